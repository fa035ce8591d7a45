import Tapestry

extension OnnxTable {
    static let reductions: [String: OnnxOperator] = [
        "ReduceSum": reduction { $0.sum($1, keepDims: $2) },
        "ReduceMean": reduction { $0.mean($1, keepDims: $2) },
        "ReduceProd": reduction { $0.prod($1, keepDims: $2) },
        "ReduceL1": reduction { abs($0).sum($1, keepDims: $2) },
        "ReduceL2": reduction { sqrt(($0 * $0).sum($1, keepDims: $2)) },
        "ReduceSumSquare": reduction { ($0 * $0).sum($1, keepDims: $2) },
        "ReduceLogSum": reduction { log($0.sum($1, keepDims: $2)) },
        "ReduceLogSumExp": reduction { $0.logSumExp($1, keepDims: $2) },
        "ReduceMax": reduction { extreme($0, $1, $2, isMax: true) },
        "ReduceMin": reduction { extreme($0, $1, $2, isMax: false) },
        "ArgMax": { try place($0) { $0.argmax(axis: $1, keepDims: $2) } },
        "ArgMin": { try place($0) { $0.argmin(axis: $1, keepDims: $2) } },
        "CumSum": { try scan($0, neutral: 0) { $0.cumsum(axis: $1) } },
        "CumProd": { try scan($0, neutral: 1) { $0.cumprod(axis: $1) } },
    ]

    /// Axes are an attribute or, later, an input; none means all, or with `noop_with_empty_axes` none.
    private static func reduction(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> OnnxOperator {
        { call in
            let x = try call.x(), named = try call.intsInEither("axes", input: 1) ?? []
            let takesNone = try call.flag("noop_with_empty_axes")
            let axes = named.isEmpty && !takesNone ? Axes.all : Axes(named)
            return f(x, axes, try call.flag("keepdims", or: true)).to(x.dtype)
        }
    }

    /// The largest or smallest; of nothing, the type's end (∞ for floats).
    private static func extreme(_ x: Tensor, _ axes: Axes, _ keepDims: Bool, isMax: Bool) -> Tensor {
        if x.dtype == .bool { return isMax ? x.any(axes, keepDims: keepDims) : x.all(axes, keepDims: keepDims) }
        if x.count > 0 { return isMax ? x.max(axes, keepDims: keepDims) : x.min(axes, keepDims: keepDims) }
        let shape = x.sum(axes, keepDims: keepDims).shape
        guard let type = OnnxInteger.of(x.dtype) else {
            return Tensor(repeating: isMax ? -Double.infinity : .infinity, shape: shape, dtype: x.dtype)
        }
        return Tensor(repeating: isMax ? type.lowest : type.highest, shape: shape, dtype: x.dtype)
    }

    private static func place(_ call: OnnxCall, _ f: (Tensor, Int, Bool) -> Tensor) throws -> Tensor {
        let x = try call.x(), axis = try call.axis(0, rank: x.rank), keepDims = try call.flag("keepdims", or: true)
        if !(try call.flag("select_last_index")) { return f(x, axis, keepDims) }
        return (x.shape[axis] - 1) - f(x.flipped(Axes([axis])), axis, keepDims)
    }

    /// A scan from either end; an exclusive one starts with the neutral element and leaves the last out.
    private static func scan(_ call: OnnxCall, neutral: Int, _ f: (Tensor, Int) -> Tensor) throws -> Tensor {
        let source = try call.x(), named = try call.x(1).item(Int.self), axis = named < 0 ? named + source.rank : named
        let isReverse = try call.flag("reverse"), size = source.shape[axis]
        var x = isReverse ? source.flipped(Axes([axis])) : source
        if try call.flag("exclusive") && size > 0 {
            let first = Tensor(repeating: neutral, shape: x.shape(with: 1, at: axis), dtype: x.dtype)
            x = concatenate([first, x.narrowed(axis: axis, start: 0, length: size - 1)], axis: axis)
        }
        let y = f(x, axis).to(source.dtype)
        return isReverse ? y.flipped(Axes([axis])) : y
    }
}
