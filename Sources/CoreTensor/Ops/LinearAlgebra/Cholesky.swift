final class CholeskyBackward: Node, @unchecked Sendable {
    let upper: Bool
    init(upper: Bool) {
        self.upper = upper
        super.init()
    }

    // dA = L⁻ᴴ Φ L⁻¹ with Φ the Hermitian part of tril(Lᴴ dL) (Murray 2016, eq. 10).
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let l = upper ? adjoint(saved(0)) : saved(0)
        let phi = matmul(adjoint(l), upper ? adjoint(g) : g).tril()
        let symmetric = (phi + adjoint(phi.tril(diagonal: -1))) * 0.5
        let half = LinearAlgebra.solveTriangular(adjoint(l), symmetric, upper: true)
        return LinearAlgebra.solveTriangular(l, half, upper: false, left: false)
    }
}

final class CholeskySolveBackward: Node, @unchecked Sendable {
    let upper: Bool
    init(upper: Bool) {
        self.upper = upper
        super.init()
    }

    // X = (L Lᴴ)⁻¹ B: dB = (L Lᴴ)⁻¹ dX, dL = -(C + Cᴴ) L with C = dB Xᴴ
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let l = saved(0), x = saved(1)
        let gb = LinearAlgebra.choleskySolve(l, outputs[0]!, upper: upper)
        if !needs[0] { return [nil, gb] }
        let c = matmul(gb, adjoint(x))
        let both = -(c + adjoint(c))
        return [upper ? matmul(l, both) : matmul(both, l), needs[1] ? gb : nil]
    }
}

final class CholeskyInverseBackward: Node, @unchecked Sendable {
    let upper: Bool
    init(upper: Bool) {
        self.upper = upper
        super.init()
    }

    // Y = (L Lᴴ)⁻¹: dL = -Y (G + Gᴴ) Y L
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let l = saved(0), y = saved(1)
        let c = -matmul(y, matmul(g + adjoint(g), y))
        return upper ? matmul(l, c) : matmul(c, l)
    }
}

extension LinearAlgebra {
    /// The triangular factor of positive definite (Hermitian) matrices `[..., n, n]`: lower, `A = L Lᴴ`, or upper, `A = Uᴴ U`. Only that
    /// triangle of A is read. Throws ``LinearAlgebraError/Reason/notPositiveDefinite(order:)``. PyTorch's `torch.linalg.cholesky`.
    public static func cholesky(_ x: Tensor, upper: Bool = false) throws -> Tensor {
        let (l, info) = choleskyWithInfo(x, upper: upper)
        try check("cholesky", info.peeled.raw) { .notPositiveDefinite(order: $0) }
        return l
    }

    /// As ``cholesky(_:upper:)``, with `info [...]` (`int32`) in place of errors: 0, or the order of the first leading block that is not
    /// positive definite, where the factor means nothing.
    public static func choleskyWithInfo(_ x: Tensor, upper: Bool = false) -> (result: Tensor, info: Tensor) {
        if x.isBatched {
            let y = liftedMatrices([x]) {
                let (l, info) = choleskyWithInfo($0[0], upper: upper)
                return [l, info]
            }
            return (y[0], y[1])
        }
        requireSquare("cholesky", x)
        let a = ColumnMajor(copying: x.raw)
        let info = RawTensor.zeros(a.batchShape, .int32, x.device)
        a.raw.backend.linearAlgebra(.cholesky(a, upper: upper, info: info))
        let out = a.matrix
        let l = record(out, x) {
            let node = CholeskyBackward(upper: upper)
            node.save(output: out)
            return node
        }
        return (l, Tensor(raw: info))
    }

    /// The solution of `A X = B` from the factor of `A`: `[..., n, n]` and `b [..., n, k]`, batch axes broadcast. PyTorch's
    /// `torch.cholesky_solve` with its arguments in the order of ``solve(_:_:left:)``.
    public static func choleskySolve(_ factor: Tensor, _ b: Tensor, upper: Bool = false) -> Tensor {
        if factor.isBatched || b.isBatched {
            return liftedMatrices([factor, b]) { [choleskySolve($0[0], $0[1], upper: upper)] }[0]
        }
        requireSquare("choleskySolve", factor)
        requireMatrices("choleskySolve", b, "right-hand sides")
        requireSameType("choleskySolve", factor, b)
        if factor.shape[factor.rank - 1] != b.shape[b.rank - 2] {
            fail("choleskySolve", "a factor \(factor.shape) does not fit right-hand sides \(b.shape)")
        }
        let batch = requireBatch("choleskySolve", factor, b)
        let a = ColumnMajor(copying: factor.raw, batch: batch), columns = ColumnMajor(copying: b.raw, batch: batch)
        a.raw.backend.linearAlgebra(.choleskySolve(a, upper: upper, b: columns))
        let out = columns.matrix
        return record(out, factor, b) {
            let node = CholeskySolveBackward(upper: upper)
            node.save(factor)
            node.save(output: out)
            return node
        }
    }

    /// The inverse of `A [..., n, n]` from its factor. Throws ``LinearAlgebraError/Reason/singular(row:)`` for a 0 on the factor's
    /// diagonal. PyTorch's `torch.cholesky_inverse`.
    public static func choleskyInverse(_ factor: Tensor, upper: Bool = false) throws -> Tensor {
        if factor.isBatched { return try liftedMatrices([factor]) { [try choleskyInverse($0[0], upper: upper)] }[0] }
        requireSquare("choleskyInverse", factor)
        let a = ColumnMajor(copying: factor.raw)
        let info = RawTensor.zeros(a.batchShape, .int32, factor.device)
        a.raw.backend.linearAlgebra(.choleskyInverse(a, upper: upper, info: info))
        try check("choleskyInverse", info) { .singular(row: $0 - 1) }
        let out = a.matrix
        return record(out, factor) {
            let node = CholeskyInverseBackward(upper: upper)
            node.save(factor)
            node.save(output: out)
            return node
        }
    }
}
