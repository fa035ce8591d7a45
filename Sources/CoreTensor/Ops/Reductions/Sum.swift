final class SumBackward: Node, @unchecked Sendable {
    let kept: Shape, shape: Shape
    init(kept: Shape, shape: Shape) {
        self.kept = kept
        self.shape = shape
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { expandReduced(g, kept: kept, to: shape) }
}

/// The sum of all elements.
final class TotalBackward: Node, @unchecked Sendable {
    private let shape: Shape
    init(_ shape: Shape) {
        self.shape = shape
        super.init()
    }
    override var name: String { "SumBackward" }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.expanded(to: shape) }
}

extension Tensor {
    /// Sum over the axes; integers and bools add up as `int64`. 0 over nothing.
    public func sum(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        sum(axes, keepDims: keepDims, compensated: false)
    }

    /// The same; if `compensated`, the rounding errors of a float's sum are added up beside (Kahan, 1965; here Sum2 of Ogita, Rump and Oishi,
    /// 2005), and the result is as accurate as one computed in twice the precision.
    public func sum(_ axes: Axes = .all, keepDims: Bool = false, compensated: Bool) -> Tensor {
        if isAutocastEnabled && dtype.byteCount == 2 {
            return Autocast.raised(self).sum(axes, keepDims: keepDims, compensated: compensated)
        }
        if isBatched {
            let moved = axes.shifted("sum", rank: rank)
            return lifted { x, hidden in x.sum(moved(hidden), keepDims: keepDims, compensated: compensated) }
        }
        if dtype.isComplex {
            let parts = viewAsReal.sum(Axes(axes.resolved("sum", rank: rank)), keepDims: keepDims, compensated: compensated)
            return parts.viewAsComplex
        }
        if dtype.isStorageOnly { fail("sum", "\(dtype) is for storage; convert with to(.float32)") }
        let x = dtype.isFloatingPoint ? self : to(.int64)
        let isCompensated = compensated && x.dtype.isFloatingPoint
        func reduce(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
            if isCompensated { out.backend.compensatedSum(x, out, view) } else { out.backend.reduce(.sum, x, out, view) }
        }
        if axes.list == nil && !keepDims {
            let dense = x.raw.contiguous(), out = RawTensor(.scalar, x.dtype, device)
            reduce(dense, out, AxisView(outer: 1, n: dense.count, inner: 1))
            return record(out, x) { TotalBackward(shape) }
        }
        let reduction = Reduction("sum", x.raw, axes)
        let out = RawTensor(shape: reduction.shape(keepDims: keepDims), x.dtype, device)
        reduce(reduction.x, out, reduction.view)
        return record(out, x) { SumBackward(kept: reduction.keptShape, shape: shape) }
    }

    /// Arithmetic mean over the axes; floats only. NaN over nothing.
    public func mean(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        if !dtype.isDifferentiable { fail("mean", "\(dtype) has no mean of its own type; convert with to(.float32)") }
        let n = axes.list == nil ? count : axes.resolved("mean", rank: rank).reduce(1) { $0 * (rank == 0 ? 1 : shape[$1]) }
        return sum(axes, keepDims: keepDims) / Double(n)
    }
}
