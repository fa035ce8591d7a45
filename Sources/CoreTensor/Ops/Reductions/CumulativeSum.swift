final class CumulativeSumBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }
    // The adjoint sums from the other end.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        g.flipped(Axes([axis])).cumsum(axis: axis).flipped(Axes([axis]))
    }
}

extension Tensor {
    /// Running sum along an axis; integers and bools add up as `int64`.
    public func cumsum(axis: Int) -> Tensor {
        if isAutocastEnabled && dtype.byteCount == 2 { return Autocast.raised(self).cumsum(axis: axis) }
        let axis = resolveAxis("cumsum", axis, rank: rank)
        if rank == 0 { return dtype.isDifferentiable ? self : to(.int64) }
        if isBatched { return lifted { x, hidden in x.cumsum(axis: axis + hidden) } }
        if dtype.isComplex { return viewAsReal.cumsum(axis: axis).viewAsComplex }
        let x = dtype.isDifferentiable ? self : to(.int64)
        let out = RawTensor(shape: shape, x.dtype, device)
        out.backend.cumsum(x.raw.contiguous(), out, AxisView(shape, axis: axis))
        return record(out, x) { CumulativeSumBackward(axis: axis) }
    }
}
