final class ReshapeBackward: Node, @unchecked Sendable {
    let inputShape: Shape
    init(_ inputShape: Shape) {
        self.inputShape = inputShape
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        // A gradient may keep strides of its own, so that parts of one buffer stay there.
        if !g.isBatched, !g.isContiguous, let layout = g.raw.layout.regrouped(inputShape) {
            return record(g.raw.view(layout), g) { ReshapeBackward(g.shape) }
        }
        return g.reshaped(inputShape)
    }
}

/// The sizes with a -1 replaced by what is left of `count`; nil if there is no single -1 or nothing fits.
private func filled(_ sizes: Shape, count: Int) -> Shape? {
    guard let free = sizes.firstIndex(of: -1), sizes.lastIndex(of: -1) == free else { return nil }
    var filled = sizes
    filled[free] = 1
    let known = filled.reduce(1, *)
    if known == 0 || count % known != 0 { return nil }
    filled[free] = count / known
    return filled
}

extension Tensor {
    /// The same elements in another shape; one axis may be -1 (what is left). A view where the elements are dense.
    public func reshaped(_ shape: Shape) -> Tensor {
        let target = filled(shape, count: count) ?? shape
        if target == self.shape { return self }
        if target.contains(where: { $0 < 0 }) {
            fail("reshape", "\(self.shape) (\(count) elements) does not divide into \(shape)")
        }
        let layout = Layout(shape: target)
        if layout.count != count {
            fail("reshape", "\(self.shape) has \(count) elements, which do not fit \(shape)")
        }
        if isBatched { return lifted { x, hidden in x.reshaped(Array(x.shape[..<hidden]) + target) } }
        return record(raw.contiguous().view(layout), self) { ReshapeBackward(self.shape) }
    }

    /// As ``reshaped(_:)-([Int])``: `x.reshaped(-1, 8)`.
    public func reshaped(_ sizes: Int...) -> Tensor { reshaped(sizes) }

    /// The axes from `start` through `end` merged into one.
    public func flattened(from start: Int = 0, through end: Int = -1) -> Tensor {
        if rank == 0 { return reshaped([1]) }
        let first = resolveAxis("flatten", start, rank: rank), last = resolveAxis("flatten", end, rank: rank)
        if first > last { fail("flatten", "axis \(start) comes after axis \(end)") }
        return reshaped(Array(shape[..<first]) + [shape[first...last].reduce(1, *)] + Array(shape[(last + 1)...]))
    }

    /// One axis cut into several, always as a view: `[6]` into `[2, 3]`; one size may be -1 (what is left).
    public func unflattened(_ axis: Int, into sizes: [Int]) -> Tensor {
        let axis = resolveAxis("unflatten", axis, rank: rank)
        if rank == 0 { return reshaped(sizes) }
        let sizes = filled(sizes, count: shape[axis]) ?? sizes
        if sizes.contains(where: { $0 < 0 }) || sizes.reduce(1, *) != shape[axis] {
            fail("unflatten", "\(sizes) does not multiply to axis \(axis) of \(shape)")
        }
        if isBatched { return lifted { x, hidden in x.unflattened(axis + hidden, into: sizes) } }
        var newShape = shape, newStrides = strides
        var step = strides[axis]
        var inner: [Int] = []
        for size in sizes.reversed() {
            inner.insert(step, at: 0)
            step *= size
        }
        newShape.replaceSubrange(axis...axis, with: sizes)
        newStrides.replaceSubrange(axis...axis, with: inner)
        return record(raw.view(Layout(shape: newShape, strides: newStrides)), self) { ReshapeBackward(self.shape) }
    }

    /// Without the axes of size 1: all of them, or those named.
    public func squeezed(_ axes: Axes = .all) -> Tensor {
        let drop = Set(axes.resolved("squeeze", rank: rank).filter { shape[$0] == 1 })
        if drop.isEmpty { return self }
        let kept = shape.indices.filter { !drop.contains($0) }
        return restrided(kept.map { shape[$0] }) { kept.map { strides[$0] } }
    }

    /// With a new axis of size 1 at position `axis` (negative: from the end, -1 is last).
    public func unsqueezed(_ axis: Int) -> Tensor {
        let position = axis < 0 ? axis + rank + 1 : axis
        if position < 0 || position > rank {
            fail("unsqueeze", "axis \(axis) is out of range for rank \(rank) (allowed: \(-rank - 1) ... \(rank))")
        }
        var target = shape
        target.insert(1, at: position)
        return restrided(target) {
            var target = strides
            target.insert(0, at: position)
            return target
        }
    }

    /// A view whose axes differ by some of size 1 alone.
    private func restrided(_ shape: Shape, _ strides: () -> [Int]) -> Tensor {
        if isBatched {
            return lifted { x, hidden in x.reshapedView(Array(x.shape[..<hidden]) + shape, x.strides[..<hidden] + strides()) }
        }
        return reshapedView(shape, strides())
    }

    private func reshapedView(_ shape: Shape, _ strides: [Int]) -> Tensor {
        let layout = isContiguous ? Layout(shape: shape) : Layout(shape: shape, strides: strides)
        return record(raw.view(layout), self) { ReshapeBackward(self.shape) }
    }
}
