import Tapestry

extension OpTable {
    static func over(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "keepdim")
            return [f(try call.tensor(0), try call.axes(1), call.bool(2, "keepdim"))]
        }
    }

    static func typed(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "keepdim", "dtype")
            var x = try call.tensor(0)
            if case .dtype(let name) = call.value(9, "dtype") {
                guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
                x = x.to(type)
            }
            return [f(x, try call.axes(1), call.bool(2, "keepdim"))]
        }
    }

    /// PyTorch alone gives `uint8` for any and all of `uint8`; NumPy and the library give bool.
    @Sendable static func likePyTorch(_ x: Tensor, _ y: Tensor) -> Tensor { x.dtype == .uint8 ? y.to(.uint8) : y }

    static func spread(_ call: GoldenCall, _ f: (Tensor, Axes, Double, Bool) -> Tensor) throws -> [Tensor] {
        try call.allow("dim", "keepdim", "unbiased", "correction")
        var axes = Axes.all
        var correction = 1.0
        if case .bool(let unbiased) = call.value(1, "unbiased") {
            correction = unbiased ? 1 : 0
            axes = try call.axes(9)
        } else {
            axes = try call.axes(1)
            if call.has("unbiased") { correction = call.bool(9, "unbiased") ? 1 : 0 }
        }
        if call.has("correction") { correction = try call.double(9, "correction", or: 1) }
        return [f(try call.tensor(0), axes, correction, call.bool(9, "keepdim"))]
    }

    static let reductions: [String: Function] = [
        "sum": typed { $0.sum($1, keepDims: $2) }, "mean": typed { $0.mean($1, keepDims: $2) },
        "prod": typed { $0.prod($1, keepDims: $2) },
        "amax": over { $0.max($1, keepDims: $2) }, "amin": over { $0.min($1, keepDims: $2) },
        "any": over { likePyTorch($0, $0.any($1, keepDims: $2)) }, "all": over { likePyTorch($0, $0.all($1, keepDims: $2)) },
        "logsumexp": over { $0.logSumExp($1, keepDims: $2) },
        "var": { try spread($0) { $0.variance($1, correction: $2, keepDims: $3) } },
        "std": { try spread($0) { $0.standardDeviation($1, correction: $2, keepDims: $3) } },
        "argmax": { try extreme($0, { $0.argmax() }, { $0.argmax(axis: $1, keepDims: $2) }) },
        "argmin": { try extreme($0, { $0.argmin() }, { $0.argmin(axis: $1, keepDims: $2) }) },
        "cumsum": { call in
            try call.allow("dim", "dtype")
            let x = try call.tensor(0), axis = try call.int(1, "dim")
            guard case .dtype(let name) = call.value(9, "dtype") else { return [x.cumsum(axis: axis)] }
            guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
            return [x.to(type).cumsum(axis: axis).to(type)]
        },
    ]

    static func extreme(
        _ call: GoldenCall, _ whole: (Tensor) -> Tensor, _ along: (Tensor, Int, Bool) -> Tensor
    ) throws -> [Tensor] {
        try call.allow("dim", "keepdim")
        let x = try call.tensor(0)
        if case .none = call.value(1, "dim") {
            let i = whole(x)
            return [call.bool(2, "keepdim") ? i.reshaped(x.shape.map { _ in 1 }) : i]
        }
        return [along(x, try call.int(1, "dim"), call.bool(2, "keepdim"))]
    }
}
