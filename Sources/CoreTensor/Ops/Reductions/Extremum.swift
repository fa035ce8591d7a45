final class ExtremumBackward: Node, @unchecked Sendable {
    let kept: Shape, shape: Shape
    let axes: Axes
    init(kept: Shape, shape: Shape, axes: Axes) {
        self.kept = kept
        self.shape = shape
        self.axes = axes
        super.init()
    }
    // Tied elements share the gradient equally (PyTorch's amax).
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        let hits = (x .== saved(1).detached().reshaped(kept)).to(g.dtype)
        return expandReduced(g, kept: kept, to: shape) * (hits / hits.sum(axes, keepDims: true))
    }
}

extension Tensor {
    /// Largest element over the axes; NaN if there is one. Traps over nothing. Ties share the gradient.
    public func max(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor { extremum("max", .max, axes, keepDims) }

    /// Smallest element over the axes; NaN if there is one. Traps over nothing. Ties share the gradient.
    public func min(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor { extremum("min", .min, axes, keepDims) }

    private func extremum(_ name: String, _ op: ReduceKernel, _ axes: Axes, _ keepDims: Bool) -> Tensor {
        if isBatched {
            let moved = axes.shifted(name, rank: rank)
            return lifted { x, hidden in x.extremum(name, op, moved(hidden), keepDims) }
        }
        if dtype.isComplex || dtype.isStorageOnly { fail(name, "\(dtype) numbers have no order; convert with to(_:)") }
        if dtype == .bool { return op == .max ? any(axes, keepDims: keepDims) : all(axes, keepDims: keepDims) }
        let reduction = Reduction(name, raw, axes)
        if reduction.view.n == 0 && reduction.view.outer * reduction.view.inner > 0 {
            fail(name, "no elements to compare along \(axes.resolved(name, rank: rank)) of \(shape)")
        }
        let out = RawTensor(shape: reduction.shape(keepDims: keepDims), dtype, device)
        out.backend.reduce(op, reduction.x, out, reduction.view)
        return record(out, self) {
            let node = ExtremumBackward(kept: reduction.keptShape, shape: shape, axes: axes)
            node.save(self)
            node.save(output: out)
            return node
        }
    }

    /// Position (`int64`) of the first largest element along an axis; a NaN counts as largest.
    public func argmax(axis: Int, keepDims: Bool = false) -> Tensor { argReduce("argmax", false, axis, keepDims) }

    /// Position (`int64`) of the first smallest element along an axis; a NaN counts as smallest.
    public func argmin(axis: Int, keepDims: Bool = false) -> Tensor { argReduce("argmin", true, axis, keepDims) }

    /// Position of the first largest element in row-major order.
    public func argmax() -> Tensor { reshaped([-1]).argmax(axis: 0) }
    /// Position of the first smallest element in row-major order.
    public func argmin() -> Tensor { reshaped([-1]).argmin(axis: 0) }

    private func argReduce(_ name: String, _ minimum: Bool, _ axis: Int, _ keepDims: Bool) -> Tensor {
        if isBatched {
            if rank == 0 { return Tensor(zeros: [], dtype: .int64, device: device) }
            let resolved = resolveAxis(name, axis, rank: rank)
            return lifted { x, hidden in x.argReduce(name, minimum, resolved + hidden, keepDims) }
        }
        if dtype.isComplex || dtype.isStorageOnly { fail(name, "\(dtype) numbers have no order; convert with to(_:)") }
        let reduction = Reduction(name, rank == 0 ? raw.reshaped([1]) : raw, Axes([axis]))
        if reduction.view.n == 0 { fail(name, "no elements along axis \(axis) of \(shape)") }
        let shape = rank == 0 ? [] : reduction.shape(keepDims: keepDims)
        let out = RawTensor(shape: shape, .int64, device)
        out.backend.argReduce(minimum: minimum, reduction.x, out, reduction.view)
        return Tensor(raw: out)
    }

    /// Whether any element over the axes is not 0.
    public func any(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor { truth("any", .any, axes, keepDims) }

    /// Whether no element over the axes is 0.
    public func all(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor { truth("all", .all, axes, keepDims) }

    private func truth(_ name: String, _ op: ReduceKernel, _ axes: Axes, _ keepDims: Bool) -> Tensor {
        if isBatched {
            let moved = axes.shifted(name, rank: rank)
            return lifted { x, hidden in x.truth(name, op, moved(hidden), keepDims) }
        }
        let reduction = Reduction(name, detached().to(.bool).raw, axes)
        let out = RawTensor(shape: reduction.shape(keepDims: keepDims), .bool, device)
        out.backend.reduce(op, reduction.x, out, reduction.view)
        return Tensor(raw: out)
    }
}

extension Tensor {
    /// Whether no element is true, for checks of arguments: also inside `vmap`, where it means all examples.
    public var isFalseEverywhere: Bool { !peeled.any().item(Bool.self) }
}
