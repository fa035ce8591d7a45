/// The engine sums over broadcast axes, so the rule passes the gradient on.
final class ExpandBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g }
}

extension Tensor {
    /// A view broadcast to `shape` (no copy: strides of 0).
    public func expanded(to shape: Shape) -> Tensor {
        if shape == self.shape { return self }
        if broadcastShape(self.shape, shape) != shape {
            fail("expand", "\(self.shape) does not broadcast to \(shape)")
        }
        if isBatched {
            return lifted { x, hidden in
                // New axes go behind the hidden ones.
                var x = x
                let sizes = Array(x.shape[..<hidden])
                for _ in x.rank - hidden..<shape.count { x = x.unsqueezed(hidden) }
                return x.expanded(to: sizes + shape)
            }
        }
        return record(raw.broadcast(to: shape), self) { ExpandBackward() }
    }

    /// Summed over the axes along which `shape` was broadcast to this tensor's shape: the adjoint of ``expanded(to:)``.
    public func summed(to shape: Shape) -> Tensor {
        if shape == self.shape { return self }
        let lead = rank - shape.count
        if lead < 0 || broadcastShape(shape, self.shape) != self.shape {
            fail("sum", "\(self.shape) was not broadcast from \(shape)")
        }
        let axes = (0..<rank).filter { $0 < lead || (shape[$0 - lead] == 1 && self.shape[$0] != 1) }
        return (axes.isEmpty ? self : sum(Axes(axes), keepDims: true)).reshaped(shape)
    }
}
