// Indices that are tensors themselves. Integer tensors broadcast together and name positions (negative ones from the end); a bool
// tensor stands for the places where it holds, over as many axes as it has. If the tensor indices stand next to each other their
// common shape takes their place, otherwise it comes first.

/// One axis of an indexing: positions for it, or all of it.
private struct Places {
    /// Per indexed axis (of the basic result) its positions, all of one shape.
    var axes: [Int]
    var positions: [Tensor]
    var shape: Shape
    /// Where the common shape goes in the result.
    var place: Int

    /// Works on the result of the basic indices, whose axes the tensors index.
    init(_ x: Tensor, _ tensors: [(axis: Int, index: Tensor)], adjacent: Bool) {
        axes = []
        var raw: [Tensor] = []
        for (axis, index) in tensors {
            if index.dtype == .bool {
                let lead = Array(x.shape.dropFirst(axis).prefix(index.rank))
                if index.shape != lead { fail("subscript", "a mask of shape \(index.shape) for axes \(lead) of \(x.shape)") }
                if index.rank == 0 { fail("subscript", "a scalar mask; use which") }
                let places = index.nonzero()
                for k in 0..<index.rank {
                    axes.append(axis + k)
                    raw.append(places[0..., k])
                }
            } else {
                axes.append(axis)
                raw.append(index)
            }
        }
        shape = raw.reduce([]) { requireBroadcast("subscript", $0, $1.shape) }
        positions = []
        for (axis, index) in zip(axes, raw) {
            positions.append(index.wrapped("subscript", limit: x.shape[axis]).expanded(to: shape))
        }
        let isAdjacent = adjacent && axes.last! - axes.first! == axes.count - 1
        place = isAdjacent ? axes.first! : 0
    }

    /// The indexed axes first and merged, then the others.
    func order(_ rank: Int) -> [Int] { axes + (0..<rank).filter { !axes.contains($0) } }

    /// One position on the merged axis for each element of the common shape.
    func flat(_ shape: Shape) -> Tensor {
        var result = Tensor(zeros: self.shape, dtype: .int64, device: positions.first?.device ?? .cpu)
        for (axis, index) in zip(axes, positions) { result = result * shape[axis] + index }
        return result
    }
}

extension Tensor {
    /// Splits indices into basic ones (tensors standing for whole axes) and the tensors with the axes they index in the basic result.
    private func parted(_ indices: [TensorIndex]) -> (basic: [TensorIndex], tensors: [(axis: Int, index: Tensor)], adjacent: Bool)
    {
        var used = 0
        for index in indices {
            switch index {
            case .tensor(let t): used += t.dtype == .bool ? t.rank : 1
            case .at, .slice: used += 1
            default: break
            }
        }
        if used > rank { fail("subscript", "\(used) indices for a tensor of shape \(shape)") }
        var basic: [TensorIndex] = []
        var tensors: [(axis: Int, index: Tensor)] = []
        var axis = 0
        var lastTensor = -1
        var adjacent = true
        for (position, index) in indices.enumerated() {
            switch index {
            case .tensor(let t):
                if lastTensor >= 0 && lastTensor != position - 1 { adjacent = false }
                lastTensor = position
                let n = t.dtype == .bool ? t.rank : 1
                tensors.append((axis, t))
                basic += [TensorIndex](repeating: .all, count: n)
                axis += n
            case .at:
                basic.append(index)
                // An integer between tensors does not part them.
                if lastTensor == position - 1 && lastTensor >= 0 { lastTensor = position }
            case .slice, .newAxis:
                basic.append(index)
                axis += 1
            case .ellipsis:
                basic.append(index)
                axis += rank - used
            }
        }
        return (basic, tensors, adjacent)
    }

    /// The part that basic and tensor indices name.
    func advanced(_ indices: [TensorIndex]) -> Tensor {
        let (basic, tensors, adjacent) = parted(indices)
        let x = slice(basic)
        let places = Places(x, tensors, adjacent: adjacent)
        let front = x.permuted(places.order(x.rank))
        let rest = Array(front.shape.dropFirst(places.axes.count))
        let merged = front.shape.prefix(places.axes.count).reduce(1, *)
        let taken = embedding(places.flat(x.shape), front.reshaped([merged, rest.reduce(1, *)])).reshaped(places.shape + rest)
        if places.place == 0 { return taken }
        let n = places.shape.count
        return taken.movedAxes(from: Array(0..<n), to: Array(places.place..<(places.place + n)))
    }

    /// A copy with the part that basic and tensor indices name replaced (or added to); of places named twice the last in order
    /// stays (PyTorch's `index_put`).
    public func replacing(_ indices: [TensorIndex], with value: Tensor, accumulate: Bool) -> Tensor {
        let (basic, tensors, adjacent) = parted(indices)
        if tensors.isEmpty { return replacing(indices, with: accumulate ? slice(indices) + value : value) }
        let x = slice(basic)
        let places = Places(x, tensors, adjacent: adjacent)
        let order = places.order(x.rank), n = places.shape.count
        let front = x.permuted(order)
        let rest = Array(front.shape.dropFirst(places.axes.count))
        var resultShape = rest
        resultShape.insert(contentsOf: places.shape, at: places.place)
        if broadcastShape(value.shape, resultShape) != resultShape {
            fail("subscript", "a value of shape \(value.shape) does not broadcast to the part's shape \(resultShape)")
        }
        var values = value.to(dtype).expanded(to: resultShape)
        if places.place > 0 { values = values.movedAxes(from: Array(places.place..<(places.place + n)), to: Array(0..<n)) }
        let width = rest.reduce(1, *), rows = places.shape.reduce(1, *)
        let merged = front.shape.prefix(places.axes.count).reduce(1, *)
        let table = front.reshaped([merged, width])
        let index = places.flat(x.shape).reshaped([rows, 1]).expanded(to: [rows, width])
        let source = values.reshaped([rows, width])
        let written =
            accumulate
            ? table.scatterAdded(axis: 0, index: index, source: source) : table.scattered(axis: 0, index: index, source: source)
        var inverse = order
        for (position, axis) in order.enumerated() { inverse[axis] = position }
        return replacing(basic, with: written.reshaped(front.shape).permuted(inverse))
    }
}

extension Tensor: TensorIndexConvertible {
    /// ``TensorIndex/tensor(_:)``: integers name positions, bools places.
    public var tensorIndex: TensorIndex { .tensor(self) }
}
