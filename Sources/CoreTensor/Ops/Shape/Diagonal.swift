// Diagonals: taken, written and embedded.

extension Tensor {
    /// The two axes brought to the end and merged, and where the diagonal lies in the merged one; nil if it is empty.
    private func diagonalPlane(_ name: String, _ offset: Int, _ axis1: Int, _ axis2: Int)
        -> (order: [Int], rows: Int, columns: Int, length: Int, index: TensorIndex)
    {
        if rank < 2 { fail(name, "needs a matrix, not \(shape)") }
        let a = resolveAxis(name, axis1, rank: rank), b = resolveAxis(name, axis2, rank: rank)
        if a == b { fail(name, "the plane of axis \(axis1) with itself") }
        let rows = shape[a], columns = shape[b]
        let length = Swift.max(0, Swift.min(rows + Swift.min(offset, 0), columns - Swift.max(offset, 0)))
        let start = length == 0 ? 0 : offset >= 0 ? offset : -offset * columns
        let order = (0..<rank).filter { $0 != a && $0 != b } + [a, b]
        let end = length == 0 ? start : start + (length - 1) * (columns + 1) + 1
        return (order, rows, columns, length, .slice(from: start, to: end, step: columns + 1))
    }

    /// The `offset`-th diagonal of two axes, which go away, as a new last axis; a view where the elements allow.
    public func diagonal(offset: Int = 0, axis1: Int = 0, axis2: Int = 1) -> Tensor {
        let plane = diagonalPlane("diagonal", offset, axis1, axis2)
        let front = permuted(plane.order)
        let lead = Array(front.shape.dropLast(2))
        if plane.length == 0 {
            return front.reshaped(lead + [plane.rows * plane.columns]).slice([.ellipsis, .slice(from: 0, to: 0, step: 1)])
        }
        return front.reshaped(lead + [plane.rows * plane.columns]).slice([.ellipsis, plane.index])
    }

    /// A copy with the `offset`-th diagonal of two axes replaced by `values` `[..., length]` (PyTorch's `diagonal_scatter`).
    public func replacingDiagonal(_ values: Tensor, offset: Int = 0, axis1: Int = 0, axis2: Int = 1) -> Tensor {
        let plane = diagonalPlane("replacingDiagonal", offset, axis1, axis2)
        let front = permuted(plane.order)
        let lead = Array(front.shape.dropLast(2))
        if plane.length == 0 { return self }
        let flat = front.reshaped(lead + [plane.rows * plane.columns]).replacing([.ellipsis, plane.index], with: values)
        var inverse = plane.order
        for (position, axis) in plane.order.enumerated() { inverse[axis] = position }
        return flat.reshaped(front.shape).permuted(inverse)
    }

    /// The last axis as the `offset`-th diagonal of a plane of zeros, whose axes get the positions `axis1` and `axis2`.
    public func diagonalEmbedded(offset: Int = 0, axis1: Int = -2, axis2: Int = -1) -> Tensor {
        let x = rank == 0 ? reshaped([1]) : self
        let a = resolveAxis("diagonalEmbedded", axis1, rank: x.rank + 1),
            b = resolveAxis("diagonalEmbedded", axis2, rank: x.rank + 1)
        if a == b { fail("diagonalEmbedded", "the plane of axis \(axis1) with itself") }
        let n = x.shape.last! + Swift.abs(offset), lead = Array(x.shape.dropLast())
        let plane = Tensor(zeros: lead + [n, n], dtype: dtype, device: device)
        let square = plane.replacingDiagonal(x, offset: offset, axis1: -2, axis2: -1)
        return square.movedAxes(from: [-2, -1], to: [a, b])
    }

    /// A vector as the `offset`-th diagonal of a matrix of zeros; of a matrix, its diagonal (NumPy's `diag`).
    public func diag(_ offset: Int = 0) -> Tensor {
        if rank == 1 { return diagonalEmbedded(offset: offset) }
        if rank != 2 { fail("diag", "needs a vector or a matrix, not \(shape)") }
        return diagonal(offset: offset)
    }

    /// The sum of the diagonal of a matrix.
    public func trace() -> Tensor {
        if rank != 2 { fail("trace", "needs a matrix, not \(shape)") }
        return diagonal().sum()
    }

    /// Rows and columns of the elements on and below the `offset`-th diagonal of a matrix, `[2, n]`.
    public static func trilIndices(rows: Int, columns: Int, offset: Int = 0, device: Device = .cpu) -> Tensor {
        Tensor(ones: [rows, columns], dtype: .bool, device: device).tril(diagonal: offset).nonzero().T
    }

    /// Rows and columns of the elements on and above the `offset`-th diagonal of a matrix, `[2, n]`.
    public static func triuIndices(rows: Int, columns: Int, offset: Int = 0, device: Device = .cpu) -> Tensor {
        Tensor(ones: [rows, columns], dtype: .bool, device: device).triu(diagonal: offset).nonzero().T
    }
}
