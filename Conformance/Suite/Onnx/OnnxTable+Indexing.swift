import Tapestry

extension OnnxTable {
    static let indexing: [String: OnnxOperator] = [
        "Gather": { call in
            let x = try call.x(), axis = try call.axis(0, rank: x.rank)
            let index = wrapped(try call.x(1), x.shape[axis])
            let y = x.indexSelect(axis: axis, index: index.reshaped([index.count]))
            return y.reshaped(Array(x.shape[..<axis]) + index.shape + x.shape[(axis + 1)...])
        },
        "GatherElements": { call in
            let x = try call.x(), axis = try call.axis(0, rank: x.rank)
            return x.gathered(axis: axis, index: wrapped(try call.x(1), x.shape[axis]))
        },
        "GatherND": { try $0.x().gathered(at: try $0.x(1), batchAxes: try $0.int("batch_dims", or: 0)) },
        "ScatterElements": { try scattered($0) }, "Scatter": { try scattered($0) },
        "ScatterND": { call in
            try call.x().scattered(at: try call.x(1), source: try call.x(2), try reduction(call))
        },
        "TensorScatter": { call in
            let cache = try call.x(0), update = try call.x(1), axis = try call.axis(-2, rank: cache.rank)
            let starts = try call.optional(2) ?? Tensor(zeros: [cache.shape[0]], dtype: .int64)
            let length = update.shape[axis]
            // The place of every new row along the axis.
            var places = starts.reshaped([-1, 1]) + Tensor(arange: length)
            if try call.string("mode", or: "linear") == "circular" { places = remainder(places, Tensor(cache.shape[axis])) }
            var shape = Shape(repeating: 1, count: cache.rank)
            (shape[0], shape[axis]) = (cache.shape[0], length)
            return cache.scattered(
                axis: axis, index: places.reshaped(shape).expanded(to: update.shape).contiguous(), source: update)
        },
        "OneHot": { call in
            let labels = try call.x().to(.int64), depth = try call.x(1).item(Int.self), values = try call.x(2)
            let axis = try call.axis(-1, rank: labels.rank + 1)
            let isOn = which(labels .< 0, labels + depth, labels).unsqueezed(-1) .== Tensor(arange: depth)
            return which(isOn, values[1], values[0]).movedAxis(from: labels.rank, to: axis)
        },
        "TopK": { call in
            let x = try call.x(), k = try call.inputInts(1)?.first ?? call.int("k", or: 1)
            let top = x.topK(k, axis: try call.axis(-1, rank: x.rank), largest: try call.flag("largest", or: true))
            return outputs(top.values, top.indices)
        },
        "NonZero": { try $0.x().nonzero().transposed(0, 1) },
        "Compress": { call in
            let x = try call.x(), keep = try call.x(1).nonzero().flattened()
            guard let axis = try call.optionalInt("axis") else { return x.flattened().indexSelect(axis: 0, index: keep) }
            return x.indexSelect(axis: axis < 0 ? axis + x.rank : axis, index: keep)
        },
        "Unique": { call in
            let x = try call.x(), axis = try call.optionalInt("axis")
            let found = x.unique(axis: axis), inverse = found.inverse.flattened()
            // The first place of each.
            let n = inverse.count
            let first = Tensor(repeating: n, shape: [found.counts.count], dtype: .int64)
                .scatterReduced(axis: 0, index: inverse, source: Tensor(arange: n), .min)
            if try call.flag("sorted", or: true) { return outputs(found.values, first, inverse, found.counts) }
            let order = first.argsort(), along = axis.map { $0 < 0 ? $0 + x.rank : $0 } ?? 0
            return outputs(
                found.values.indexSelect(axis: along, index: order), first.indexSelect(axis: 0, index: order),
                order.argsort().indexSelect(axis: 0, index: inverse), found.counts.indexSelect(axis: 0, index: order))
        },
        "NonMaxSuppression": { call in
            var boxes = try call.x()
            let scores = try call.x(1), limit = try call.inputInts(2)?.first ?? 0
            let overlap = try call.inputDoubles(3)?.first ?? 0, least = try call.inputDoubles(4)?.first ?? -.infinity
            let (a, b) = (boxes.narrowed(axis: 2, start: 0, length: 2), boxes.narrowed(axis: 2, start: 2, length: 2))
            // Centres and sizes, or any two opposite corners.
            let corners = try call.flag("center_point_box") ? [a - b / 2, a + b / 2] : [minimum(a, b), maximum(a, b)]
            boxes = concatenate(corners, axis: 2)
            var rows: [[Int]] = []
            for batch in 0..<scores.shape[0] {
                for kind in 0..<scores.shape[1] {
                    let values = scores[batch, kind]
                    let candidates = (values .> least).nonzero().flattened()
                    let kept = nonMaximumSuppression(
                        boxes[batch].indexSelect(axis: 0, index: candidates), values.indexSelect(axis: 0, index: candidates),
                        threshold: overlap)
                    let chosen = candidates.indexSelect(axis: 0, index: kept).scalars(Int.self).prefix(limit)
                    rows += chosen.map { [batch, kind, $0] }
                }
            }
            return Tensor(rows.flatMap { $0 }, shape: [rows.count, 3])
        },
        "ArrayFeatureExtractor": { call in
            let x = try call.x(), index = try call.x(1).flattened()
            return (x.rank == 1 ? x.unsqueezed(0) : x).indexSelect(axis: Swift.max(x.rank, 2) - 1, index: index)
        },
        "Binarizer": { call in
            let x = try call.x()
            return (x .> (try call.double("threshold", or: 0))).to(x.dtype)
        },
    ]

    /// Negative indices count from the end.
    static func wrapped(_ index: Tensor, _ size: Int) -> Tensor {
        let index = index.to(.int64)
        return which(index .< 0, index + size, index)
    }

    private static func reduction(_ call: OnnxCall) throws -> ScatterReduction? {
        let name = try call.string("reduction", or: "none")
        let known: [String: ScatterReduction] = ["add": .sum, "mul": .prod, "max": .max, "min": .min]
        if name != "none" && known[name] == nil { throw Unsupported("reduction \(name)") }
        return known[name]
    }

    private static func scattered(_ call: OnnxCall) throws -> Tensor {
        let x = try call.x(), source = try call.x(2), axis = try call.axis(0, rank: x.rank)
        let index = wrapped(try call.x(1), x.shape[axis])
        guard let reduction = try reduction(call) else { return x.scattered(axis: axis, index: index, source: source) }
        return x.scatterReduced(axis: axis, index: index, source: source, reduction)
    }
}
