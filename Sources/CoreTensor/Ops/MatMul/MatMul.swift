/// A matrix (or a batch of them) as BLAS takes it: rows in memory, perhaps transposed.
private struct MatrixOperand {
    var raw: RawTensor
    var transposed: Bool
    var leading: Int
    /// Elements between matrices: one stride for the whole batch; 0 repeats the matrix.
    var batchStride: Int

    /// `raw` is `[batch..., rows, columns]` with the batch axes already broadcast.
    init(_ raw: RawTensor) {
        let rank = raw.layout.rank
        let rows = raw.shape[rank - 2], columns = raw.shape[rank - 1]
        if let (transposed, leading) = Self.rowLength(raw, rows, columns), let stride = Self.batchStride(raw) {
            self.raw = raw
            self.transposed = transposed
            self.leading = leading
            batchStride = stride
        } else {
            self.raw = raw.denseCopy()
            transposed = false
            leading = Swift.max(columns, 1)
            batchStride = rows * columns
        }
    }

    private static func rowLength(_ raw: RawTensor, _ rows: Int, _ columns: Int) -> (Bool, Int)? {
        let rank = raw.layout.rank
        let s0 = raw.layout.strides[rank - 2], s1 = raw.layout.strides[rank - 1]
        if (s1 == 1 || columns == 1) && (s0 >= Swift.max(columns, 1) || rows == 1) {
            return (false, Swift.max(rows == 1 ? columns : s0, 1))
        }
        if (s0 == 1 || rows == 1) && (s1 >= Swift.max(rows, 1) || columns == 1) {
            return (true, Swift.max(columns == 1 ? rows : s1, 1))
        }
        return nil
    }

    /// The one stride that walks through all batch axes, if there is one.
    private static func batchStride(_ raw: RawTensor) -> Int? {
        let batch = raw.layout.rank - 2
        var stride: Int?
        var span = 0
        for axis in stride2(batch) where raw.shape[axis] != 1 {
            if stride == nil {
                stride = raw.layout.strides[axis]
            } else if raw.layout.strides[axis] != span {
                return nil
            }
            span = raw.layout.strides[axis] * raw.shape[axis]
        }
        guard let stride else { return 0 }
        return stride < 0 ? nil : stride
    }

    private static func stride2(_ batch: Int) -> ReversedCollection<Range<Int>> { (0..<batch).reversed() }
}

/// `op(a) · op(b) (+ bias)` written or added to `out`, which is dense and has m · n elements in any shape. Each operand is a matrix `[rows, columns]`,
/// or dense and of any shape with `rows · columns` elements; transposed it is taken as `[columns, rows]`.
func matrixProduct(
    _ a: RawTensor, _ aRows: Int, _ aColumns: Int, transposed aTransposed: Bool, _ b: RawTensor, _ bRows: Int, _ bColumns: Int,
    transposed bTransposed: Bool, bias: RawTensor? = nil, to out: RawTensor, adding: Bool = false
) {
    func operand(_ x: RawTensor, _ rows: Int, _ columns: Int) -> (raw: RawTensor, turned: Bool, leading: Int) {
        if x.layout.isContiguous { return (x, false, Swift.max(columns, 1)) }
        if x.layout.rank == 2 {
            let s0 = x.layout.strides[0], s1 = x.layout.strides[1]
            if s1 == 1 && s0 >= columns { return (x, false, s0) }
            if s0 == 1 && s1 >= rows { return (x, true, s1) }
        }
        return (x.denseCopy(), false, Swift.max(columns, 1))
    }
    let left = operand(a, aRows, aColumns), right = operand(b, bRows, bColumns)
    var plan = MatMulPlan(
        transposeA: left.turned != aTransposed, transposeB: right.turned != bTransposed, m: aTransposed ? aColumns : aRows,
        n: bTransposed ? bRows : bColumns, k: aTransposed ? aRows : aColumns, lda: left.leading, ldb: right.leading)
    plan.accumulate = adding
    out.backend.matmul(left.raw, right.raw, out, plan, bias: bias)
}

/// `a · b` on the last two axes, batch axes broadcast; both of rank 2 or more and of one type that products are computed in. The
/// result of bfloat16 may be `float32`.
func matmulForward(_ a: RawTensor, _ b: RawTensor, bias: RawTensor? = nil, as dtype: DType? = nil) -> RawTensor {
    requireSameDevice("matmul", a, b)
    let m = a.shape[a.layout.rank - 2], k = a.shape[a.layout.rank - 1], n = b.shape[b.layout.rank - 1]
    if a.layout.rank == 2 && b.layout.rank == 2 {
        let out = RawTensor(.dense(m, n), dtype ?? a.dtype, a.device)
        matrixProduct(a, m, k, transposed: false, b, k, n, transposed: false, bias: bias, to: out)
        return out
    }
    let batchShape = broadcastShape(Array(a.shape.dropLast(2)), Array(b.shape.dropLast(2)))!
    let out = RawTensor(shape: batchShape + [m, n], dtype ?? a.dtype, a.device)
    let batch = batchShape.reduce(1, *)
    // One matrix on the right and dense rows on the left: a single product.
    if b.layout.rank == 2 && a.layout.rank > 2 {
        let left = MatrixOperand(a.reshaped([batch * m, k])), right = MatrixOperand(b)
        let plan = MatMulPlan(
            transposeA: left.transposed, transposeB: right.transposed, m: batch * m, n: n, k: k, lda: left.leading,
            ldb: right.leading)
        out.backend.matmul(left.raw, right.raw, out, plan, bias: bias)
        return out
    }
    let left = MatrixOperand(a.layout.rank == 2 && batchShape.isEmpty ? a : a.broadcast(to: batchShape + [m, k]))
    let right = MatrixOperand(b.layout.rank == 2 && batchShape.isEmpty ? b : b.broadcast(to: batchShape + [k, n]))
    let plan = MatMulPlan(
        transposeA: left.transposed, transposeB: right.transposed, m: m, n: n, k: k, lda: left.leading,
        ldb: right.leading, strideA: left.batchStride, strideB: right.batchStride, strideC: m * n, batch: batch)
    out.backend.matmul(left.raw, right.raw, out, plan, bias: bias)
    return out
}

final class MatMulBackward: Node, @unchecked Sendable {
    // da = g bᵀ, db = aᵀ g; the engine sums over broadcast batch axes.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = saved(0), b = saved(1), g = g.to(a.dtype)
        if g.isBatched { return input == 0 ? matmul(g, b.transposed()) : matmul(a.transposed(), g) }
        if input == 0 { return matmul2(g, b.transposed()) }
        if b.rank == 2 && a.rank > 2 {
            let rows = a.shape.last!
            return matmul2(a.reshaped([-1, rows]).transposed(), g.reshaped([-1, g.shape.last!]))
        }
        return matmul2(a.transposed(), g)
    }
}

/// Both of rank 2 or more; see ``matmulForward(_:_:bias:as:)``.
func matmul2(_ a: Tensor, _ b: Tensor, as dtype: DType? = nil) -> Tensor {
    record(matmulForward(a.raw, b.raw, as: dtype), a, b) {
        let node = MatMulBackward()
        node.save(a)
        node.save(b)
        return node
    }
}

/// Matrix product over the last two axes, batch axes broadcast: `[..., m, k] · [..., k, n]` gives `[..., m, n]`. A vector on
/// the left is a row, on the right a column, and its axis is dropped again: `[k] · [k]` is the dot product.
///
/// float16 and bfloat16 are summed in float32 and rounded once; integers in int64, wrapping. (A CPU with AVX512-BF16 takes subnormal
/// bfloat16 numbers as 0.)
public func matmul(_ a: Tensor, _ b: Tensor) -> Tensor {
    let (a, b) = promoted(Autocast.lowered(a), Autocast.lowered(b))
    if a.rank == 0 || b.rank == 0 {
        fail("matmul", "scalars have no matrix product: \(a.shape) · \(b.shape); use *")
    }
    let k = a.shape.last!, kb = b.rank == 1 ? b.shape[0] : b.shape[b.rank - 2]
    if k != kb { fail("matmul", "inner dimensions differ: \(a.shape) · \(b.shape) (\(k) ≠ \(kb))") }
    if a.rank > 2 || b.rank > 2,
        broadcastShape(Array(a.shape.dropLast(2)), Array(b.shape.dropLast(2))) == nil
    {
        fail("matmul", "batch axes do not broadcast: \(a.shape) · \(b.shape)")
    }
    if a.dtype.isComplex { return withoutAutocast { complexMatmul(a, b) } }
    if a.isBatched || b.isBatched { return batchedMatmul(a, b) }
    requireSameDevice("matmul", a.raw, b.raw)
    switch a.dtype {
    case .float32, .float64, .bfloat16, .int64: break
    case .float16 where a.raw.backend.multipliesHalfFloats: break
    case .float16: return withoutAutocast { matmul(a.to(.float32), b.to(.float32)).to(a.dtype) }
    default: return matmul(a.to(.int64), b.to(.int64)).to(a.dtype)
    }
    if a.rank > 1 && b.rank > 1 { return matmul2(a, b) }
    let product = matmul2(a.rank == 1 ? a.unsqueezed(0) : a, b.rank == 1 ? b.unsqueezed(1) : b)
    var shape = product.shape
    if b.rank == 1 { shape.removeLast() }
    if a.rank == 1 { shape.remove(at: shape.count - (b.rank == 1 ? 1 : 2)) }
    return product.reshaped(shape)
}

/// Inside `vmap`: hidden axes are batch axes, and a matrix without them meets all examples in one product.
private func batchedMatmul(_ a: Tensor, _ b: Tensor) -> Tensor {
    if !b.isBatched && b.rank <= 2 && a.rank >= 2 { return a.lifted { a, _ in matmul(a, b) } }
    let left = a.rank == 1 ? a.unsqueezed(0) : a, right = b.rank == 1 ? b.unsqueezed(1) : b
    let product = liftedBroadcast([left, right]) { matmul($0[0], $0[1]) }
    var shape = product.shape
    if b.rank == 1 { shape.removeLast() }
    if a.rank == 1 { shape.remove(at: shape.count - (b.rank == 1 ? 1 : 2)) }
    return product.reshaped(shape)
}

/// By four real products.
private func complexMatmul(_ a: Tensor, _ b: Tensor) -> Tensor {
    let ar = a.real, ai = a.imaginary, br = b.real, bi = b.imaginary
    return complex(real: matmul(ar, br) - matmul(ai, bi), imaginary: matmul(ar, bi) + matmul(ai, br))
}

infix operator • : MultiplicationPrecedence

extension Tensor {
    /// ``matmul(_:_:)`` as an operator.
    public static func • (a: Tensor, b: Tensor) -> Tensor { CoreTensor.matmul(a, b) }

    /// ``matmul(_:_:)`` as a method.
    public func matmul(_ other: Tensor) -> Tensor { CoreTensor.matmul(self, other) }
}
