final class FlipBackward: Node, @unchecked Sendable {
    let axes: [Int]
    init(_ axes: [Int]) {
        self.axes = axes
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.flipped(Axes(axes)) }
}

extension Tensor {
    /// A view with the order along the axes reversed.
    public func flipped(_ axes: Axes = .all) -> Tensor {
        let axes = axes.resolved("flip", rank: rank)
        if isBatched { return lifted { x, hidden in x.flipped(Axes(axes.map { $0 + hidden })) } }
        var strides = self.strides
        var offset = raw.offset
        if count > 0 {
            for axis in axes {
                offset += (shape[axis] - 1) * strides[axis]
                strides[axis] = -strides[axis]
            }
        }
        return record(raw.view(Layout(shape: shape, strides: strides), offset: offset), self) { FlipBackward(axes) }
    }
}
