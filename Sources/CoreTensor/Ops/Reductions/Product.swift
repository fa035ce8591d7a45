final class ProductBackward: Node, @unchecked Sendable {
    let kept: Shape, shape: Shape
    let axes: [Int]
    init(kept: Shape, shape: Shape, axes: [Int]) {
        self.kept = kept
        self.shape = shape
        self.axes = axes
        super.init()
    }
    // The product of the others: the whole over each, or, where a factor is 0, by products from the left and from the right.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        let wide = expandReduced(g, kept: kept, to: shape)
        if axes.isEmpty || x.count == 0 { return wide }
        if (x.detached() .!= 0).all().item(Bool.self) {
            return wide * conj(expandReduced(saved(1), kept: kept, to: shape) / x)
        }
        let others = shape.indices.filter { !axes.contains($0) }
        let order = others + axes
        let flat = x.permuted(order).reshaped(others.map { shape[$0] } + [axes.reduce(1) { $0 * shape[$1] }])
        let n = flat.shape.last!
        let one = Tensor(ones: Array(flat.shape.dropLast()) + [1], dtype: x.dtype, device: x.device)
        var left = [one], right = [one]
        for i in 0..<n - 1 {
            left.append(left.last! * flat.narrowed(axis: -1, start: i, length: 1))
            right.append(right.last! * flat.narrowed(axis: -1, start: n - 1 - i, length: 1))
        }
        let rest = concatenate(zip(left, right.reversed()).map { $0 * $1 }, axis: -1)
        var inverse = order
        for (position, axis) in order.enumerated() { inverse[axis] = position }
        return wide * conj(rest.reshaped(order.map { shape[$0] }).permuted(inverse))
    }
}

extension Tensor {
    /// Product over the axes; integers and bools multiply as `int64`. 1 over nothing.
    public func prod(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        if isAutocastEnabled && dtype.byteCount == 2 { return Autocast.raised(self).prod(axes, keepDims: keepDims) }
        if isBatched {
            let moved = axes.shifted("prod", rank: rank)
            return lifted { x, hidden in x.prod(moved(hidden), keepDims: keepDims) }
        }
        let x = dtype.isDifferentiable ? self : to(.int64)
        let reduction = Reduction("prod", x.raw, axes)
        let out = RawTensor(shape: reduction.shape(keepDims: keepDims), x.dtype, device)
        out.backend.reduce(.prod, reduction.x, out, reduction.view)
        return record(out, x) {
            let node = ProductBackward(
                kept: reduction.keptShape, shape: shape, axes: rank == 0 ? [] : axes.resolved("prod", rank: rank))
            node.save(x)
            node.save(output: out)
            return node
        }
    }
}
