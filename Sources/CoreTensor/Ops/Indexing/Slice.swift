final class SliceBackward: Node, @unchecked Sendable {
    let inputShape: Shape
    let indices: [TensorIndex]
    init(_ inputShape: Shape, _ indices: [TensorIndex]) {
        self.inputShape = inputShape
        self.indices = indices
        super.init()
    }
    // The gradient of the part, in a tensor of zeros.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        Tensor(zeros: inputShape, dtype: g.dtype, device: g.device).replacing(indices, with: g)
    }
}

final class SliceAssignBackward: Node, @unchecked Sendable {
    let indices: [TensorIndex]
    init(_ indices: [TensorIndex]) {
        self.indices = indices
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        if input == 1 { return g.slice(indices) }
        return g.replacing(indices, with: Tensor(zeros: [], dtype: g.dtype, device: g.device))
    }
}

/// All parts at once, so that their gradients are joined in one copy.
final class SplitBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        if let whole = neighbours(outputs) { return [Tensor(raw: whole)] }
        let parts = outputs.enumerated().map { index, g in
            let info = outputInfo(index)
            return g
                ?? Tensor(zeros: info.layout.shape, dtype: info.dtype, device: outputs.compactMap { $0 }.first?.device ?? .cpu)
        }
        return [concatenate(parts, axis: axis)]
    }

    /// Parts that lie side by side in one buffer already, seen as one; nil if they do not, or carry a tape.
    private func neighbours(_ parts: [Tensor?]) -> RawTensor? {
        guard let first = parts[0], first.node == nil, !first.isBatched else { return nil }
        let raw = first.raw, strides = raw.layout.strides
        var shape = raw.shape, end = raw.offset + shape[axis] * strides[axis]
        for case let part in parts.dropFirst() {
            guard let part, part.node == nil, !part.isBatched, part.raw.storage === raw.storage, part.raw.offset == end,
                part.dtype == first.dtype, part.raw.layout.strides == strides
            else { return nil }
            shape[axis] += part.shape[axis]
            end += part.shape[axis] * strides[axis]
        }
        return raw.view(Layout(shape: shape, strides: strides))
    }
}

extension Tensor {
    /// A part of the tensor, as a view: `x[2]`, `x[0..<4, 3]`, `x[.ellipsis, 0]`, `x[TensorIndex.every(2)]`.
    ///
    /// Assigning writes the part (broadcasting the value), without touching any copy of the tensor:
    /// `x[0..., 3] = v`, `x[i] += 1`. Positions out of range trap; ranges are cut to the axis.
    public subscript(_ indices: any TensorIndexConvertible...) -> Tensor {
        get { slice(indices.map(\.tensorIndex)) }
        set { assign(indices.map(\.tensorIndex), newValue) }
    }

    /// ``subscript(_:)`` with the indices in an array.
    public func slice(_ indices: [TensorIndex]) -> Tensor {
        if indices.contains(where: \.isTensor) { return advanced(indices) }
        if isBatched {
            return lifted { x, hidden in x.slice([TensorIndex](repeating: .all, count: hidden) + indices) }
        }
        let region = SliceRegion(raw, indices)
        return record(raw.view(region.layout, offset: region.offset), self) { SliceBackward(shape, indices) }
    }

    /// A copy with the part at `indices` replaced.
    public func replacing(_ indices: [TensorIndex], with value: Tensor) -> Tensor {
        var copy = self
        copy.assign(indices, value)
        return copy
    }

    mutating func assign(_ indices: [TensorIndex], _ value: Tensor) {
        if indices.contains(where: \.isTensor) {
            let written = replacing(indices, with: value, accumulate: false)
            self = written
            return
        }
        let value = value.to(dtype)
        if isBatched || value.isBatched {
            let part = SliceRegion(Tensor(zeros: [], dtype: dtype).expanded(to: shape).raw, indices).layout.shape
            if broadcastShape(value.shape, part) != part {
                fail("subscript", "a value of shape \(value.shape) does not broadcast to the part's shape \(part)")
            }
            self = liftedTogether([self, value.expanded(to: part)]) { plain, hidden in
                plain[0].replacing([TensorIndex](repeating: .all, count: hidden) + indices, with: plain[1])
            }
            return
        }
        let partShape = SliceRegion(raw, indices).layout.shape
        if broadcastShape(value.shape, partShape) != partShape {
            fail("subscript", "a value of shape \(value.shape) does not broadcast to the part's shape \(partShape)")
        }
        // Without a gradient nobody needs the old elements, and holding them would force a copy.
        let old = isRecording([self, value]) ? self : nil
        if old != nil { raw = raw.denseCopy() } else { makeUnique() }
        let region = SliceRegion(raw, indices)
        raw.backend.copy(value.raw.broadcast(to: partShape), to: raw.view(region.layout, offset: region.offset))
        if let old {
            self = record(raw, old, value) { SliceAssignBackward(indices) }
        } else if !(node is LeafNode) {
            node = nil
        }
    }

    /// `length` positions of one axis from `start` on, as a view.
    public func narrowed(axis: Int, start: Int, length: Int) -> Tensor {
        let axis = resolveAxis("narrow", axis, rank: rank)
        if start < 0 || length < 0 || start + length > shape[axis] {
            fail("narrow", "\(start) ..< \(start + length) is out of range for axis \(axis) of \(shape)")
        }
        return slice(
            [TensorIndex](repeating: .all, count: axis) + [.slice(from: start, to: start + length, step: 1)])
    }

    /// Views of `size` positions each along an axis; the last may be shorter.
    public func split(size: Int, axis: Int = 0) -> [Tensor] {
        let axis = resolveAxis("split", axis, rank: rank)
        if size < 1 { fail("split", "parts of size \(size)") }
        let sizes = stride(from: 0, to: Swift.max(shape[axis], 1), by: size).map { Swift.min(size, shape[axis] - $0) }
        return split(sizes: sizes, axis: axis)
    }

    /// Views of the given sizes along an axis; the sizes add up to the axis.
    public func split(sizes: [Int], axis: Int = 0) -> [Tensor] {
        let axis = resolveAxis("split", axis, rank: rank)
        if sizes.reduce(0, +) != shape[axis] { fail("split", "\(sizes) does not add up to axis \(axis) of \(shape)") }
        if isBatched { return liftedAll { x, hidden in x.split(sizes: sizes, axis: axis + hidden) } }
        var start = 0
        let parts = sizes.map { size in
            defer { start += size }
            var partShape = shape
            partShape[axis] = size
            return raw.view(
                Layout(shape: partShape, strides: strides), offset: raw.offset + (size == 0 ? 0 : start * strides[axis]))
        }
        if parts.isEmpty { return [] }
        return record(parts, inputs: [self]) { SplitBackward(axis: axis) }
    }

    /// At most `count` views of equal size along an axis; the last may be shorter (PyTorch's `chunk`).
    public func chunked(_ count: Int, axis: Int = 0) -> [Tensor] {
        if count < 1 { fail("chunk", "\(count) chunks") }
        let size = shape[resolveAxis("chunk", axis, rank: rank)]
        return split(size: Swift.max((size + count - 1) / count, 1), axis: axis)
    }
}
