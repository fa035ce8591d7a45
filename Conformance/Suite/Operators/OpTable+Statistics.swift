import Tapestry

extension OpTable {
    static func type(_ call: GoldenCall, _ position: Int = 9, _ name: String = "dtype") throws -> DType? {
        guard case .dtype(let text) = call.value(position, name) else { return nil }
        guard let type = GoldenFile.dtype(text) else { throw Unsupported("type \(text)") }
        return type
    }

    private static func both(_ r: ValuesAndIndices) -> [Tensor] { [r.values, r.indices] }

    /// `op(dim, keepdim)` with values and places.
    private static func placed(_ f: @escaping @Sendable (Tensor, Int, Bool) -> ValuesAndIndices) -> Function {
        { call in
            try call.allow("dim", "keepdim")
            return both(f(try call.tensor(0), try call.int(1, "dim"), call.bool(2, "keepdim")))
        }
    }

    private static func nanReduced(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "keepdim", "dtype")
            let x = try call.tensor(0)
            return [f(try type(call).map { x.to($0) } ?? x, try call.axes(1), call.bool(2, "keepdim"))]
        }
    }

    private static func quantile(_ call: GoldenCall, ignoringNaN: Bool) throws -> [Tensor] {
        try call.allow("q", "dim", "keepdim", "interpolation")
        let x = try call.tensor(0)
        let q: Tensor
        switch call.value(1, "q") {
        case .tensor(let t): q = t
        default: q = Tensor(try call.double(1, "q", or: 0), dtype: .float64)
        }
        guard let kind = QuantileInterpolation(rawValue: call.string(9, "interpolation", or: "linear")) else {
            throw GoldenError("no such interpolation")
        }
        let axes = try call.axes(2)
        return [
            ignoringNaN
                ? x.nanQuantile(q, axes, keepDims: call.bool(3, "keepdim"), interpolation: kind)
                : x.quantile(q, axes, keepDims: call.bool(3, "keepdim"), interpolation: kind)
        ]
    }

    private static func scanned(_ f: @escaping @Sendable (Tensor, Int) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "dtype")
            let x = try call.tensor(0), axis = try call.int(1, "dim")
            guard let type = try type(call) else { return [f(x, axis)] }
            return [f(x.to(type), axis).to(type)]
        }
    }

    private static func extremeOf(
        _ call: GoldenCall, _ whole: (Tensor) -> Tensor, _ two: (Tensor, Tensor) -> Tensor,
        _ along: (Tensor, Int, Bool) -> ValuesAndIndices
    ) throws -> [Tensor] {
        let x = try call.tensor(0)
        switch call.value(1, "dim", "other") {
        case .none: return [whole(x)]
        case .tensor(let other): return [two(x, other)]
        default: return both(along(x, try call.int(1, "dim"), call.bool(2, "keepdim")))
        }
    }

    static let statistics: [String: Function] = [
        "max": { try extremeOf($0, { $0.max() }, { Tapestry.maximum($0, $1) }, { $0.maximum(axis: $1, keepDims: $2) }) },
        "min": { try extremeOf($0, { $0.min() }, { Tapestry.minimum($0, $1) }, { $0.minimum(axis: $1, keepDims: $2) }) },
        "aminmax": { call in
            try call.allow("dim", "keepdim")
            let axes = try call.axes(9), keep = call.bool(9, "keepdim"), x = try call.tensor(0)
            return [x.min(axes, keepDims: keep), x.max(axes, keepDims: keep)]
        },
        "median": { call in
            if case .none = call.value(1, "dim") { return [try call.tensor(0).median()] }
            return both(try call.tensor(0).median(axis: try call.int(1, "dim"), keepDims: call.bool(2, "keepdim")))
        },
        "nanmedian": { call in
            if case .none = call.value(1, "dim") { return [try call.tensor(0).nanMedian()] }
            return both(try call.tensor(0).nanMedian(axis: try call.int(1, "dim"), keepDims: call.bool(2, "keepdim")))
        },
        "mode": { call in
            both(try call.tensor(0).mode(axis: try call.int(1, "dim", or: -1), keepDims: call.bool(2, "keepdim")))
        },
        "kthvalue": { call in
            both(
                try call.tensor(0).kthValue(
                    try call.int(1, "k"), axis: try call.int(2, "dim", or: -1), keepDims: call.bool(3, "keepdim")))
        },
        "quantile": { try quantile($0, ignoringNaN: false) }, "nanquantile": { try quantile($0, ignoringNaN: true) },
        "nansum": nanReduced { $0.nanSum($1, keepDims: $2) }, "nanmean": nanReduced { $0.nanMean($1, keepDims: $2) },
        "count_nonzero": { [try $0.tensor(0).countNonzero(try $0.axes(1))] },
        "std_mean": { call in
            try spread(call) { $0.standardDeviation($1, correction: $2, keepDims: $3) }
                + spread(call) { x, a, _, k in x.mean(a, keepDims: k) }
        },
        "var_mean": { call in
            try spread(call) { $0.variance($1, correction: $2, keepDims: $3) }
                + spread(call) { x, a, _, k in x.mean(a, keepDims: k) }
        },
        "cumprod": scanned { $0.cumprod(axis: $1) }, "logcumsumexp": scanned { $0.logCumsumExp(axis: $1) },
        "cummax": { both(try $0.tensor(0).cummax(axis: try $0.int(1, "dim"))) },
        "cummin": { both(try $0.tensor(0).cummin(axis: try $0.int(1, "dim"))) },
        "sort": { call in
            // (dim, descending) or, with stable first, by name
            try call.allow("dim", "descending", "stable")
            return both(try call.tensor(0).sorted(axis: try call.int(1, "dim", or: -1), descending: call.bool(2, "descending")))
        },
        "argsort": { call in
            try call.allow("dim", "descending", "stable")
            return [try call.tensor(0).argsort(axis: try call.int(1, "dim", or: -1), descending: call.bool(2, "descending"))]
        },
        "msort": { [try $0.tensor(0).sorted(axis: 0).values] },
        "topk": { call in
            try call.allow("dim", "largest", "sorted")
            return both(
                try call.tensor(0).topK(
                    try call.int(1, "k"), axis: try call.int(2, "dim", or: -1), largest: call.bool(3, "largest", or: true)))
        },
        "unique": { call in
            try call.allow("sorted", "return_inverse", "return_counts", "dim")
            let axis: Int? = call.has("dim") ? try call.int(9, "dim") : nil
            let r = try call.tensor(0).unique(axis: axis)
            return [r.values] + (call.bool(9, "return_inverse") ? [r.inverse] : [])
                + (call.bool(9, "return_counts") ? [r.counts] : [])
        },
        "unique_consecutive": { call in
            try call.allow("return_inverse", "return_counts", "dim")
            let axis: Int? = call.has("dim") ? try call.int(9, "dim") : nil
            let r = try call.tensor(0).uniqueConsecutive(axis: axis)
            return [r.values] + (call.bool(9, "return_inverse") ? [r.inverse] : [])
                + (call.bool(9, "return_counts") ? [r.counts] : [])
        },
        "searchsorted": { call in
            try call.allow("out_int32", "right", "side", "sorter")
            let right = call.bool(9, "right") || call.string(9, "side", or: "left") == "right"
            let found = try call.tensor(0).searchSorted(
                try call.tensor(1), right: right, sorter: try call.optionalTensor(9, "sorter"))
            return [call.bool(9, "out_int32") ? found.to(.int32) : found]
        },
        "bucketize": { call in
            try call.allow("out_int32", "right")
            let found = try call.tensor(0).bucketized(try call.tensor(1), right: call.bool(9, "right"))
            return [call.bool(9, "out_int32") ? found.to(.int32) : found]
        },
        "isin": { call in
            try call.allow("assume_unique", "invert")
            return [try call.tensor(0).isIn(try call.tensor(1), inverted: call.bool(9, "invert"))]
        },
        "bincount": { call in
            [
                try call.tensor(0).bincount(
                    weights: try call.optionalTensor(1, "weights"), minimumLength: try call.int(2, "minlength", or: 0))
            ]
        },
        "histc": { call in
            let low = try call.double(2, "min", or: 0), high = try call.double(3, "max", or: 0)
            return [
                try call.tensor(0).histogram(
                    bins: try call.int(1, "bins", or: 100), range: low == 0 && high == 0 ? nil : low...high
                ).counts
            ]
        },
        "histogram": { call in
            try call.allow("weight", "density", "range")
            let x = try call.tensor(0), weight = try call.optionalTensor(9, "weight"), density = call.bool(9, "density")
            if case .tensor(let edges) = call.value(1) {
                return [x.histogram(edges: edges, weights: weight, density: density), edges]
            }
            var range: ClosedRange<Double>?
            if case .list(let list) = call.value(9, "range"), case .float(let a) = list[0], case .float(let b) = list[1] {
                range = a...b
            }
            let r = x.histogram(bins: try call.int(1), range: range, weights: weight, density: density)
            return [r.counts, r.edges]
        },
        "diff": { call in
            try call.allow("n", "dim", "prepend", "append")
            return [
                try call.tensor(0).differences(
                    order: try call.int(1, "n", or: 1), axis: try call.int(2, "dim", or: -1),
                    prepend: try call.optionalTensor(3, "prepend"),
                    append: try call.optionalTensor(4, "append"))
            ]
        },
        "trapezoid": { try integral($0) { $0.trapezoid(at: $1, spacing: $2, axis: $3) } },
        "trapz": { try integral($0) { $0.trapezoid(at: $1, spacing: $2, axis: $3) } },
        "cumulative_trapezoid": { try integral($0) { $0.cumulativeTrapezoid(at: $1, spacing: $2, axis: $3) } },
        "gradient": { call in
            try call.allow("spacing", "dim", "edge_order")
            let x = try call.tensor(0)
            let axes: [Int]
            switch call.value(9, "dim") {
            case .none: axes = Array(0..<x.rank)
            default: axes = try call.ints(9, "dim")
            }
            let order = try call.int(9, "edge_order", or: 1)
            var places: [Tensor?] = axes.map { _ in nil }
            var steps = axes.map { _ in 1.0 }
            switch call.value(9, "spacing") {
            case .none: break
            case .list(let list):
                if list.count != axes.count { throw GoldenError("\(list.count) spacings for \(axes.count) axes") }
                for (i, value) in list.enumerated() {
                    switch value {
                    case .tensor(let t): places[i] = t
                    case .int(let n): steps[i] = Double(n)
                    case .float(let v): steps[i] = v
                    default: throw Unsupported("a spacing of this kind")
                    }
                }
            default: steps = axes.map { _ in (try? call.double(9, "spacing", or: 1)) ?? 1 }
            }
            return axes.indices.map {
                x.centralDifferences(axis: axes[$0], spacing: steps[$0], coordinates: places[$0], edgeOrder: order)
            }
        },
        "cov": { call in
            try call.allow("correction", "fweights", "aweights")
            return [
                try call.tensor(0).covariance(
                    correction: try call.double(1, "correction", or: 1), counts: try call.optionalTensor(2, "fweights"),
                    weights: try call.optionalTensor(3, "aweights"))
            ]
        },
        "corrcoef": one { $0.correlation() },
    ]

    private static func integral(_ call: GoldenCall, _ f: (Tensor, Tensor?, Double, Int) -> Tensor) throws -> [Tensor] {
        try call.allow("x", "dx", "dim")
        return [
            f(
                try call.tensor(0), try call.optionalTensor(1, "x"), try call.double(9, "dx", or: 1),
                try call.int(9, "dim", or: -1))
        ]
    }
}
