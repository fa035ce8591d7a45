final class VectorNormBackward: Node, @unchecked Sendable {
    let order: Double
    let axes: Axes
    let kept: Shape
    init(order: Double, axes: Axes, kept: Shape) {
        self.order = order
        self.axes = axes
        self.kept = kept
        super.init()
    }

    // d|x|ₚ = sign(x) |x|^(p-1) |x|ₚ^(1-p); 0 at 0 (PyTorch's subgradients), shared by ties of an extreme.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        let g = g.reshaped(kept), norm = saved(1).reshaped(kept)
        let isZero = norm.detached() .== 0
        switch order {
        case 0: return Tensor(zerosLike: x)
        case 1: return sign(x) * g
        case 2: return g * (x / norm).maskedFill(isZero, 0)
        case .infinity, -.infinity:
            let hits = ((abs(x.detached()) .== norm.detached()) .| x.detached().isNaN).to(g.dtype)
            return sign(x) * (g * hits / hits.sum(axes, keepDims: true))
        case ..<1:
            let scaled = sign(x) * pow(abs(x), order - 1).maskedFill(x.detached() .== 0, 0)
            return scaled * (g * pow(norm, 1 - order))
        case ..<2:
            let scaled = sign(x) * pow(abs(x), order - 1)
            return scaled * (g / pow(norm, order - 1)).maskedFill(isZero, 0)
        default:
            let scaled = x * pow(abs(x), order - 2)
            return scaled * (g / pow(norm, order - 1)).maskedFill(isZero, 0)
        }
    }
}

extension LinearAlgebra {
    /// (Σ |x|ᵖ)^(1/p) over the axes. `order` 0 counts the elements that are not 0, ∞ and -∞ take the largest and smallest |x|; any other
    /// number is allowed. Over nothing: 0, but a trap for negative orders and ∞, which have no identity. float16 and bfloat16 are
    /// summed in float32. PyTorch's `torch.linalg.vector_norm`.
    public static func vectorNorm(
        _ x: Tensor, _ order: Double = 2, axes: Axes = .all, keepDims: Bool = false, dtype: DType? = nil
    ) -> Tensor {
        if x.isBatched {
            let visible = axes.resolved("vectorNorm", rank: x.rank)
            return x.lifted { x, hidden in
                vectorNorm(x, order, axes: Axes(visible.map { $0 + hidden }), keepDims: keepDims, dtype: dtype)
            }
        }
        if !x.dtype.isDifferentiable { fail("vectorNorm", "\(x.dtype) has no norm; convert with to(.float32)") }
        if let dtype, dtype.promoted(with: x.dtype) != dtype { fail("vectorNorm", "dtype: \(dtype) is narrower than \(x.dtype)") }
        let result = dtype ?? x.dtype
        let wide = result == .float16 || result == .bfloat16 ? x.to(.float32) : x.to(result)
        let resolved = axes.resolved("vectorNorm", rank: x.rank)
        var kept = x.shape
        for axis in resolved where axis < x.rank { kept[axis] = 1 }
        let out = withoutGrad { forward(wide.detached(), order, axes, keepDims) }.raw
        let norm = record(out, wide) {
            let node = VectorNormBackward(order: order, axes: axes, kept: kept)
            node.save(wide)
            node.save(output: out)
            return node
        }
        return norm.to(result.real)
    }

    private static func forward(_ x: Tensor, _ order: Double, _ axes: Axes, _ keepDims: Bool) -> Tensor {
        let sizes = abs(x)
        let resolved = axes.resolved("vectorNorm", rank: x.rank)
        let isEmpty = resolved.contains { x.shape[$0] == 0 } || (x.rank > 0 && resolved.count == x.rank && x.count == 0)
        if isEmpty && (order < 0 || order == .infinity) {
            fail("vectorNorm", "the norm of order \(order) of no elements (\(x.shape)) is not defined")
        }
        switch order {
        case 0: return (sizes .!= 0).to(sizes.dtype).sum(axes, keepDims: keepDims)
        case 1: return sizes.sum(axes, keepDims: keepDims)
        case 2: return sqrt(square(sizes).sum(axes, keepDims: keepDims))
        case .infinity: return sizes.max(axes, keepDims: keepDims)
        case -.infinity: return sizes.min(axes, keepDims: keepDims)
        default: return pow(pow(sizes, order).sum(axes, keepDims: keepDims), 1 / order)
        }
    }

    /// The norm of order `p` of the difference of two tensors, broadcast: a scalar. PyTorch's `torch.dist`.
    public static func dist(_ a: Tensor, _ b: Tensor, p: Double = 2) -> Tensor { vectorNorm(a - b, p) }
}
