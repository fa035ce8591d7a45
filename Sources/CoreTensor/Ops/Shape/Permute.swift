final class PermuteBackward: Node, @unchecked Sendable {
    let inverse: [Int]
    init(inverse: [Int]) {
        self.inverse = inverse
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.permuted(inverse) }
}

extension Tensor {
    /// A view with the axes in another order: axis `i` of the result is axis `axes[i]` of this.
    public func permuted(_ axes: [Int]) -> Tensor {
        if axes.count != rank { fail("permute", "\(axes) does not name the \(rank) axes of \(shape)") }
        let order = axes.map { resolveAxis("permute", $0, rank: rank) }
        if Set(order).count != rank { fail("permute", "an axis is named twice in \(axes)") }
        if isBatched {
            return lifted { x, hidden in x.permuted(Array(0..<hidden) + order.map { $0 + hidden }) }
        }
        let view = raw.view(Layout(shape: order.map { shape[$0] }, strides: order.map { strides[$0] }))
        return record(view, self) {
            var inverse = order
            for (position, axis) in order.enumerated() { inverse[axis] = position }
            return PermuteBackward(inverse: inverse)
        }
    }

    /// As ``permuted(_:)-([Int])``: `x.permuted(0, 2, 1)`.
    public func permuted(_ axes: Int...) -> Tensor { permuted(axes) }

    /// A view with two axes exchanged; the last two by default.
    public func transposed(_ a: Int = -2, _ b: Int = -1) -> Tensor {
        var order = Array(0..<rank)
        let first = resolveAxis("transpose", a, rank: rank), second = resolveAxis("transpose", b, rank: rank)
        order.swapAt(first, second)
        return permuted(order)
    }

    /// The transpose of a matrix, or of the last two axes.
    public var T: Tensor { transposed() }
}
