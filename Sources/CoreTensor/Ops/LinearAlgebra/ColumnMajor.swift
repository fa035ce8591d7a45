/// A batch of matrices as LAPACK takes them: dense, column after column.
public struct ColumnMajor {
    /// `[batch..., columns, rows]`, dense.
    public let raw: RawTensor
    /// Rows of each matrix.
    public let rows: Int
    /// Columns of each matrix.
    public let columns: Int

    /// Uninitialised matrices.
    init(batch: Shape, rows: Int, columns: Int, _ dtype: DType, _ device: Device) {
        raw = RawTensor(shape: batch + [columns, rows], dtype, device)
        self.rows = rows
        self.columns = columns
    }

    /// A copy of `[..., rows, columns]`, its batch axes broadcast to `batch`.
    init(copying x: RawTensor, batch: Shape? = nil) {
        let rank = x.layout.rank
        rows = x.shape[rank - 2]
        columns = x.shape[rank - 1]
        let turned = x.matrixTransposed()
        raw = (batch.map { turned.broadcast(to: $0 + [turned.shape[rank - 2], turned.shape[rank - 1]]) } ?? turned).denseCopy()
    }

    /// Sees dense `[..., columns, rows]` as columns; nothing is copied.
    init(columnsOf raw: RawTensor) {
        self.raw = raw
        rows = raw.shape[raw.layout.rank - 1]
        columns = raw.shape[raw.layout.rank - 2]
    }

    /// How many matrices.
    public var batchCount: Int { raw.shape.dropLast(2).reduce(1, *) }

    /// The batch axes.
    public var batchShape: Shape { Array(raw.shape.dropLast(2)) }

    /// The matrices `[batch..., rows, columns]` as a view.
    var matrix: RawTensor { raw.matrixTransposed() }
}

extension RawTensor {
    /// The last two axes exchanged, as a view.
    func matrixTransposed() -> RawTensor {
        let rank = layout.rank
        var shape = shape, strides = layout.strides
        shape.swapAt(rank - 2, rank - 1)
        strides.swapAt(rank - 2, rank - 1)
        return view(Layout(shape: shape, strides: strides))
    }

    /// Zeros.
    static func zeros(_ shape: Shape, _ dtype: DType, _ device: Device) -> RawTensor {
        Tensor(zeros: shape, dtype: dtype, device: device).raw
    }
}

extension DType {
    /// The type's number in the C kernels for LAPACK; nil if LAPACK has no such type.
    var lapackKind: Int32? {
        switch self {
        case .float32: 0
        case .float64: 1
        case .complex64: 2
        case .complex128: 3
        default: nil
        }
    }
}

// MARK: What the gradient rules are written in

/// The conjugate transpose of the last two axes.
func adjoint(_ x: Tensor) -> Tensor { x.adjoint }

/// True on the diagonal of `[n, n]`.
private func diagonalMask(_ n: Int, _ device: Device) -> Tensor {
    let index = Tensor(arange: n, device: device)
    return index.unsqueezed(1) .== index
}

/// The diagonals of the last two axes: `[..., min(m, n)]`.
func matrixDiagonal(_ x: Tensor) -> Tensor { x.diagonal(axis1: -2, axis2: -1) }

/// Diagonal matrices: `[..., n]` gives `[..., n, n]`.
func diagonalMatrix(_ x: Tensor) -> Tensor { x.diagonalEmbedded() }

/// `x` with `diagonal [..., n]` (or a scalar) in place of its own.
func replacingDiagonal(_ x: Tensor, _ diagonal: Tensor) -> Tensor {
    let fill = diagonal.rank == 0 ? diagonal : diagonal.unsqueezed(-1)
    return which(diagonalMask(x.shape.last!, x.device), fill, x)
}

/// The identity `[batch..., n, n]`.
func identityMatrix(_ batch: Shape, _ n: Int, _ x: Tensor) -> Tensor {
    Tensor(eye: n, dtype: x.dtype, device: x.device).expanded(to: batch + [n, n])
}

/// The rows of `x` from `start` on.
func matrixRows(_ x: Tensor, _ start: Int, _ length: Int) -> Tensor { x.narrowed(axis: -2, start: start, length: length) }

/// The columns of `x` from `start` on.
func matrixColumns(_ x: Tensor, _ start: Int, _ length: Int) -> Tensor { x.narrowed(axis: -1, start: start, length: length) }

/// Matrix functions inside `vmap`: the hidden axes become batch axes, in front of those the tensors have.
func liftedMatrices(_ inputs: [Tensor], _ body: ([Tensor]) throws -> [Tensor]) rethrows -> [Tensor] {
    let levels = unionOfLevels(inputs)
    let sizes = sizesOfLevels(levels, inputs)
    let rank = inputs.map(\.rank).max() ?? 0
    let plain = inputs.map { x -> Tensor in
        var front = x.aligned(to: levels, sizes: sizes)
        for _ in x.rank..<rank { front = front.unsqueezed(levels.count) }
        return front
    }
    return try body(plain).map { $0.hiding(levels) }
}
