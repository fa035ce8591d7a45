/// What all reductions share: the axes, brought together, and one pass of a kernel.
struct Reduction {
    /// Dense, with the reduced axes next to each other.
    let x: RawTensor
    let view: AxisView
    let keptShape: Shape  // with the reduced axes as 1
    let droppedShape: Shape  // without them

    init(_ operation: String, _ raw: RawTensor, _ axes: Axes) {
        let rank = raw.layout.rank
        let axes = axes.resolved(operation, rank: rank)
        let shape = raw.shape
        var kept = shape
        for axis in axes where axis < rank { kept[axis] = 1 }
        keptShape = kept
        droppedShape = shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
        if rank == 0 || axes.isEmpty {
            x = raw.contiguous()
            view = AxisView(outer: 1, n: 1, inner: raw.count)
            return
        }
        let adjacent = axes.last! - axes.first! == axes.count - 1
        if adjacent {
            x = raw.contiguous()
            view = AxisView(
                outer: shape[..<axes.first!].reduce(1, *), n: shape[axes.first!...axes.last!].reduce(1, *),
                inner: shape[(axes.last! + 1)...].reduce(1, *))
        } else {
            let order = shape.indices.filter { !axes.contains($0) } + axes
            let strides = raw.layout.strides
            x = raw.view(Layout(shape: order.map { shape[$0] }, strides: order.map { strides[$0] })).contiguous()
            let n = axes.reduce(1) { $0 * shape[$1] }
            view = AxisView(outer: droppedShape.reduce(1, *), n: n, inner: 1)
        }
    }

    func shape(keepDims: Bool) -> Shape { keepDims ? keptShape : droppedShape }
}

/// The gradient of a reduction, back at the input's shape.
func expandReduced(_ g: Tensor, kept: Shape, to shape: Shape) -> Tensor { g.reshaped(kept).expanded(to: shape) }
