final class EigBackward: Node, @unchecked Sendable {
    // dA = V⁻ᴴ [(Vᴴ dV - Vᴴ V Re diag(Vᴴ dV)) / conj(λⱼ - λᵢ) + dΛ] Vᴴ: the second term keeps the vectors' lengths at 1
    // (Boeddeker et al. 2017, section 4.2). A real matrix takes the real part.
    let isReal: Bool
    init(isReal: Bool) {
        self.isReal = isReal
        super.init()
    }

    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let w = saved(0), v = saved(1)
        if v.count == 0 { return [Tensor(zeros: v.shape, dtype: isReal ? v.dtype.real : v.dtype, device: v.device)] }
        let vh = adjoint(v)
        let inner: Tensor
        if let gv = outputs[1] {
            let product = matmul(vh, gv)
            let diagonal = matrixDiagonal(product)
            if !product.isBatched && largestSize(diagonal.imaginary) > 1e-2 * Swift.max(1, largestSize(product)) {
                fail("EigBackward", "the result depends on the phases of the eigenvectors, which are not determined")
            }
            let tangent = product - matmul(vh, v * diagonal.real.unsqueezed(-2))
            let conjugate = conj(w)
            let one = Tensor(ones: [], dtype: w.dtype, device: w.device)
            let gap = replacingDiagonal(conjugate.unsqueezed(-2) - conjugate.unsqueezed(-1), one)
            let zero = Tensor(zeros: [], dtype: v.dtype, device: v.device)
            inner = matmul(replacingDiagonal(tangent / gap, outputs[0] ?? zero), vh)
        } else {
            inner = outputs[0]!.unsqueezed(-1) * vh
        }
        let ga = LinearAlgebra.solveUnchecked(vh, inner).result
        return [isReal ? ga.real : ga]
    }
}

extension LinearAlgebra {
    /// Eigenvalues `[..., n]`, in no order, and eigenvectors `[..., n, n]` (columns of length 1) of square matrices, both complex.
    /// Throws for NaN and infinities and where LAPACK's QR iteration does not converge. Gradients need distinct eigenvalues, and trap
    /// where a result depends on the vectors' phases. PyTorch's `torch.linalg.eig`.
    public static func eig(_ x: Tensor) throws -> (eigenvalues: Tensor, eigenvectors: Tensor) {
        if x.isBatched {
            let y = try liftedMatrices([x]) {
                let (w, v) = try eig($0[0])
                return [w, v]
            }
            return (y[0], y[1])
        }
        let (w, v) = try eigForward("eig", x, vectors: true)
        let outs = record([w, v!.matrix], inputs: [x]) {
            let node = EigBackward(isReal: !x.dtype.isComplex)
            node.save(output: w, index: 0)
            node.save(output: v!.matrix, index: 1)
            return node
        }
        return (outs[0], outs[1])
    }

    /// The eigenvalues of ``eig(_:)`` alone.
    public static func eigvals(_ x: Tensor) throws -> Tensor {
        if isRecording([x]) || x.isBatched { return try eig(x).eigenvalues }
        return Tensor(raw: try eigForward("eigvals", x, vectors: false).0)
    }

    /// The largest |λ| of square matrices: `[..., n, n]` gives `[...]`, 0 for empty matrices. Throws as ``eig(_:)``.
    public static func spectralRadius(_ x: Tensor) throws -> Tensor {
        requireSquare("spectralRadius", x)
        if x.shape.last! == 0 { return Tensor(zeros: Array(x.shape.dropLast(2)), dtype: x.dtype.real, device: x.device) }
        return abs(try eigvals(x)).max([-1])
    }

    private static func eigForward(_ operation: String, _ x: Tensor, vectors: Bool) throws -> (RawTensor, ColumnMajor?) {
        requireSquare(operation, x)
        try requireFinite(operation, x)
        let a = ColumnMajor(copying: x.raw)
        let w = RawTensor(shape: Array(x.shape.dropLast()), x.dtype.complex, x.device)
        let v = vectors ? ColumnMajor(batch: a.batchShape, rows: a.rows, columns: a.rows, x.dtype.complex, x.device) : nil
        let info = RawTensor.zeros(a.batchShape, .int32, x.device)
        a.raw.backend.linearAlgebra(.eig(a, w: w, v: v, info: info))
        try check(operation, info) { _ in .notConverged }
        return (w, v)
    }
}
