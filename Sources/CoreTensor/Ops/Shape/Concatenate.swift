final class ConcatenateBackward: Node, @unchecked Sendable {
    let axis: Int
    let starts: [Int]
    let lengths: [Int]
    init(axis: Int, starts: [Int], lengths: [Int]) {
        self.axis = axis
        self.starts = starts
        self.lengths = lengths
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        g.narrowed(axis: axis, start: starts[input], length: lengths[input])
    }
}

/// Tensors joined along an existing axis; the other axes agree.
public func concatenate(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
    guard let first = tensors.first else { fail("concatenate", "no tensors") }
    let axis = resolveAxis("concatenate", axis, rank: first.rank)
    if first.rank == 0 { fail("concatenate", "scalars have no axis to join; use stack") }
    let dtype = tensors.reduce(first.dtype) { $0.promoted(with: $1.dtype) }
    if tensors.contains(where: \.isBatched) {
        return liftedTogether(tensors) { plain, hidden in concatenate(plain, axis: axis + hidden) }
    }
    for part in tensors { requireSameDevice("concatenate", first.raw, part.raw) }
    let parts = tensors.map { $0.to(dtype) }
    var shape = first.shape
    shape[axis] = 0
    var starts: [Int] = []
    for part in parts {
        var other = part.shape
        if other.count == shape.count { other[axis] = 0 }
        var expected = shape
        expected[axis] = 0
        if other != expected {
            fail("concatenate", "shapes \(first.shape) and \(part.shape) differ beside axis \(axis)")
        }
        starts.append(shape[axis])
        shape[axis] += part.shape[axis]
    }
    let out = RawTensor(shape: shape, dtype, first.device)
    for (part, start) in zip(parts, starts) {
        let place = out.view(
            Layout(shape: part.shape, strides: out.layout.strides), offset: start * out.layout.strides[axis])
        out.backend.copy(part.raw, to: place)
    }
    return record(out, inputs: parts) {
        ConcatenateBackward(axis: axis, starts: starts, lengths: parts.map { $0.shape[axis] })
    }
}

/// Tensors of one shape joined along a new axis.
public func stack(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
    for tensor in tensors where tensor.shape != tensors[0].shape {
        fail("stack", "shapes \(tensors[0].shape) and \(tensor.shape) differ")
    }
    return concatenate(tensors.map { $0.unsqueezed(axis) }, axis: axis)
}
