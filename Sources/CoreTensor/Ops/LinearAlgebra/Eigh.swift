final class EighBackward: Node, @unchecked Sendable {
    // dA = V [skew(Vᴴ dV) / 2 / (λⱼ - λᵢ) + dΛ] Vᴴ, which is Hermitian (Giles 2008, section 3.1).
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let w = saved(0), v = saved(1)
        if v.count == 0 { return [Tensor(zerosLike: v)] }
        guard let gv = outputs[1] else { return [matmul(v * outputs[0]!.unsqueezed(-2), adjoint(v))] }
        let inner = matmul(adjoint(v), gv)
        let skew = (inner - adjoint(inner)) * 0.5
        if v.dtype.isComplex && !skew.isBatched && largestSize(matrixDiagonal(skew)) > 1e-2 * Swift.max(1, largestSize(inner)) {
            fail("EighBackward", "the result depends on the phases of the eigenvectors, which are not determined")
        }
        let gap = replacingDiagonal(w.unsqueezed(-2) - w.unsqueezed(-1), Tensor(ones: [], dtype: w.dtype, device: w.device))
        let zero = Tensor(zeros: [], dtype: v.dtype, device: v.device)
        let core = replacingDiagonal(skew / gap, outputs[0]?.to(v.dtype) ?? zero)
        return [matmul(v, matmul(core, adjoint(v)))]
    }
}

extension LinearAlgebra {
    /// Eigenvalues `[..., n]`, ascending and real, and orthonormal eigenvectors `[..., n, n]` (columns) of symmetric (Hermitian)
    /// matrices `x [..., n, n]`, of which one triangle is read. Throws for NaN and infinities and where LAPACK's divide and conquer
    /// does not converge. Gradients of the vectors need distinct eigenvalues. PyTorch's `torch.linalg.eigh`.
    public static func eigh(_ x: Tensor, upper: Bool = false) throws -> (eigenvalues: Tensor, eigenvectors: Tensor) {
        if x.isBatched {
            let y = try liftedMatrices([x]) {
                let (w, v) = try eigh($0[0], upper: upper)
                return [w, v]
            }
            return (y[0], y[1])
        }
        let (w, v) = try eighForward("eigh", x, upper: upper, vectors: true)
        let outs = record([w, v.matrix], inputs: [x]) {
            let node = EighBackward()
            node.save(output: w, index: 0)
            node.save(output: v.matrix, index: 1)
            return node
        }
        return (outs[0], outs[1])
    }

    /// The eigenvalues of ``eigh(_:upper:)`` alone.
    public static func eigvalsh(_ x: Tensor, upper: Bool = false) throws -> Tensor {
        if isRecording([x]) || x.isBatched { return try eigh(x, upper: upper).eigenvalues }
        return Tensor(raw: try eighForward("eigvalsh", x, upper: upper, vectors: false).0)
    }

    private static func eighForward(
        _ operation: String, _ x: Tensor, upper: Bool, vectors: Bool
    ) throws -> (RawTensor, ColumnMajor) {
        requireSquare(operation, x)
        try requireFinite(operation, upper ? x.detached().triu() : x.detached().tril())
        let a = ColumnMajor(copying: x.raw)
        let w = RawTensor(shape: Array(x.shape.dropLast()), x.dtype.real, x.device)
        let info = RawTensor.zeros(a.batchShape, .int32, x.device)
        a.raw.backend.linearAlgebra(.eigh(a, w: w, vectors: vectors, upper: upper, info: info))
        try check(operation, info) { _ in .notConverged }
        return (w, a)
    }
}
