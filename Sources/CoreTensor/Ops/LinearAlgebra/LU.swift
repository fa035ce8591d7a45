final class LUFactorBackward: Node, @unchecked Sendable {
    let pivot: Bool
    init(pivot: Bool) {
        self.pivot = pivot
        super.init()
    }

    // With A = P L U, L₁ and U₁ the square parts and L₂, U₂ what is below or beside them:
    // Φ = tril(L₁ᴴ dL₁ - dU₂ U₂ᴴ, -1) + triu(dU₁ U₁ᴴ - L₂ᴴ dL₂), dA = P [L₁⁻ᴴ Φ U₁⁻ᴴ beside L₁⁻ᴴ dU₂, or over dL₂ U₁⁻ᴴ].
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let lu = saved(0)
        let m = lu.shape[lu.rank - 2], n = lu.shape[lu.rank - 1], k = Swift.min(m, n)
        if lu.count == 0 { return Tensor(zerosLike: lu) }
        let square = matrixColumns(matrixRows(lu, 0, k), 0, k), gSquare = matrixColumns(matrixRows(g, 0, k), 0, k)
        let identity = Tensor(eye: k, dtype: lu.dtype).to(device: lu.device)
        let l = square.tril(diagonal: -1) + identity, u = square.triu()
        var lower = matmul(adjoint(l), gSquare.tril(diagonal: -1))
        var upper = matmul(gSquare.triu(), adjoint(u))
        if n > k {
            lower = lower - matmul(matrixColumns(g, k, n - k), adjoint(matrixColumns(lu, k, n - k)))
        }
        if m > k {
            upper = upper - matmul(adjoint(matrixRows(lu, k, m - k)), matrixRows(g, k, m - k))
        }
        let phi = lower.tril(diagonal: -1) + upper.triu()
        func byL(_ x: Tensor) -> Tensor { LinearAlgebra.solveTriangular(adjoint(l), x, upper: true, unitriangular: true) }
        func byU(_ x: Tensor) -> Tensor { LinearAlgebra.solveTriangular(adjoint(u), x, upper: false, left: false) }
        var ga = byU(byL(phi))
        if n > k { ga = concatenate([ga, byL(matrixColumns(g, k, n - k))], axis: -1) }
        if m > k { ga = concatenate([ga, byU(matrixRows(g, k, m - k))], axis: -2) }
        return pivot ? matmul(LinearAlgebra.permutationMatrix(pivots: saved(1), rows: m, dtype: ga.dtype), ga) : ga
    }
}

/// Packed factors, pivots and LAPACK's findings.
func luForward(_ x: RawTensor, pivot: Bool = true) -> (lu: ColumnMajor, pivots: RawTensor, info: RawTensor) {
    let a = ColumnMajor(copying: x)
    let pivots = RawTensor(shape: a.batchShape + [Swift.min(a.rows, a.columns)], .int32, x.device)
    let info = RawTensor.zeros(a.batchShape, .int32, x.device)
    a.raw.backend.linearAlgebra(.luFactor(a, pivots: pivots, info: info, pivot: pivot))
    return (a, pivots, info)
}

/// A⁻¹ B or A⁻ᴴ B from packed factors, the batch axes broadcast to `batch`.
func luSolveForward(_ lu: ColumnMajor, _ pivots: RawTensor, _ b: RawTensor, batch: Shape, adjoint: Bool = false) -> RawTensor {
    let out = ColumnMajor(copying: b, batch: batch)
    let wide = ColumnMajor(columnsOf: lu.raw.broadcast(to: batch + lu.raw.shape.suffix(2)).contiguous())
    let widePivots = pivots.broadcast(to: batch + pivots.shape.suffix(1)).contiguous()
    out.raw.backend.linearAlgebra(.luSolve(wide, pivots: widePivots, b: out, adjoint: adjoint))
    return out.matrix
}

extension LinearAlgebra {
    /// LU decomposition in packed form: `x [..., m, n]` gives `lu [..., m, n]` (U on and above the diagonal, L below it, its
    /// ones left out) and `pivots [..., min(m, n)]` (`int32`, from 1: row i was exchanged with row `pivots[i]`). Throws
    /// ``LinearAlgebraError/Reason/singular(row:)`` if U has a 0 on its diagonal; ``lu(_:pivot:)`` and
    /// ``luFactorWithInfo(_:pivot:)`` do not. Without pivoting, rows are not exchanged.
    public static func luFactor(_ x: Tensor, pivot: Bool = true) throws -> (lu: Tensor, pivots: Tensor) {
        let (lu, pivots, info) = luFactorWithInfo(x, pivot: pivot)
        try check("luFactor", info.peeled.raw) { .singular(row: $0 - 1) }
        return (lu, pivots)
    }

    /// As ``luFactor(_:pivot:)``, with `info [...]` (`int32`) in place of errors: 0, or the place from 1 of the first 0 on U's
    /// diagonal.
    public static func luFactorWithInfo(_ x: Tensor, pivot: Bool = true) -> (lu: Tensor, pivots: Tensor, info: Tensor) {
        if x.isBatched {
            let y = liftedMatrices([x]) {
                let (lu, pivots, info) = luFactorWithInfo($0[0], pivot: pivot)
                return [lu, pivots, info]
            }
            return (y[0], y[1], y[2])
        }
        requireMatrices("luFactor", x)
        let (lu, pivots, info) = luForward(x.raw, pivot: pivot)
        let out = record(lu.matrix, x) {
            let node = LUFactorBackward(pivot: pivot)
            node.save(output: lu.matrix)
            node.save(Tensor(raw: pivots))
            return node
        }
        return (out, Tensor(raw: pivots), Tensor(raw: info))
    }

    /// `A = P L U` with `P [..., m, m]` a permutation, `L [..., m, k]` unit lower and `U [..., k, n]` upper triangular, k = min(m, n).
    /// Without pivoting P is empty: `[0]`. PyTorch's `torch.linalg.lu`.
    public static func lu(_ x: Tensor, pivot: Bool = true) -> (p: Tensor, l: Tensor, u: Tensor) {
        let (packed, pivots, _) = luFactorWithInfo(x, pivot: pivot)
        let (p, l, u) = luUnpack(packed, pivots: pivots)
        return (pivot ? p : Tensor(zeros: [0], dtype: x.dtype, device: x.device), l, u)
    }

    /// P, L and U of what ``luFactor(_:pivot:)`` gave.
    public static func luUnpack(_ lu: Tensor, pivots: Tensor) -> (p: Tensor, l: Tensor, u: Tensor) {
        requireMatrices("luUnpack", lu, "packed factors")
        let m = lu.shape[lu.rank - 2], k = Swift.min(m, lu.shape[lu.rank - 1])
        let (l, u) = triangles(lu, k)
        return (permutationMatrix(pivots: pivots, rows: m, dtype: lu.dtype), l, u)
    }

    private static func triangles(_ lu: Tensor, _ k: Int) -> (l: Tensor, u: Tensor) {
        let lower = matrixColumns(lu, 0, k).tril(diagonal: -1)
        let one = Tensor(ones: [], dtype: lu.dtype, device: lu.device)
        let rows = Tensor(arange: lower.shape[lower.rank - 2], device: lu.device).unsqueezed(1)
        let l = which(rows .== Tensor(arange: k, device: lu.device), one, lower)
        return (l, matrixRows(lu, 0, k).triu())
    }

    /// The permutation `P [..., rows, rows]` of pivots `[..., k]`, for which `A = P L U`.
    static func permutationMatrix(pivots: Tensor, rows: Int, dtype: DType) -> Tensor {
        if pivots.isBatched {
            return pivots.lifted { pivots, _ in permutationMatrix(pivots: pivots, rows: rows, dtype: dtype) }
        }
        let k = pivots.shape.last!
        let batch = Array(pivots.shape.dropLast())
        let exchanges = pivots.scalars(Int.self)
        var orders: [Int] = []
        orders.reserveCapacity(batch.reduce(rows, *))
        for b in 0..<batch.reduce(1, *) {
            var order = Array(0..<rows)
            for i in 0..<k {
                let other = exchanges[b * k + i] - 1
                if other < 0 || other >= rows { fail("luUnpack", "pivot \(other + 1) is not in 1 ... \(rows)") }
                order.swapAt(i, other)
            }
            orders += order
        }
        let order = Tensor(orders, shape: batch + [1, rows], device: pivots.device)
        return (Tensor(arange: rows, device: pivots.device).unsqueezed(1) .== order).to(dtype)
    }

    /// The solution of `A X = B` (or `X A = B` from the right; of `Aᴴ` if `adjoint`) from what ``luFactor(_:pivot:)`` gave for
    /// `A [..., n, n]`; `b [..., n, k]`, or `[..., k, n]` from the right. Batch axes broadcast.
    public static func luSolve(
        _ lu: Tensor, pivots: Tensor, _ b: Tensor, left: Bool = true, adjoint isAdjoint: Bool = false
    ) -> Tensor {
        requireSquare("luSolve", lu)
        requireMatrices("luSolve", b, "right-hand sides")
        requireSameType("luSolve", lu, b)
        if pivots.dtype != .int32 || pivots.shape != Array(lu.shape.dropLast()) {
            fail(
                "luSolve",
                "pivots \(pivots.dtype) \(pivots.shape) do not fit factors \(lu.shape); needs int32 \(lu.shape.dropLast())")
        }
        if lu.shape[lu.rank - 1] != b.shape[b.rank - (left ? 2 : 1)] {
            fail("luSolve", "factors \(lu.shape) do not fit right-hand sides \(b.shape) from the \(left ? "left" : "right")")
        }
        let batch = requireBatch("luSolve", lu, b)
        if !left { return adjoint(luSolve(lu, pivots: pivots, adjoint(b), adjoint: !isAdjoint)) }
        let n = lu.shape[lu.rank - 1]
        if !isRecording([lu, b]) && !lu.isBatched && !pivots.isBatched && !b.isBatched {
            let columns = ColumnMajor(copying: lu.raw)
            return Tensor(raw: luSolveForward(columns, pivots.raw.contiguous(), b.raw, batch: batch, adjoint: isAdjoint))
        }
        let p = permutationMatrix(pivots: pivots, rows: n, dtype: lu.dtype)
        if isAdjoint {
            let y = solveTriangular(adjoint(lu), b, upper: false)
            return matmul(p, solveTriangular(adjoint(lu), y, upper: true, unitriangular: true))
        }
        let y = solveTriangular(lu, matmul(p.transposed(), b), upper: false, unitriangular: true)
        return solveTriangular(lu, y, upper: true)
    }
}
