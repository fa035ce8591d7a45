final class QRBackward: Node, @unchecked Sendable {
    // With A₁ = Q R₁ the square (or tall) part and A₂ = Q R₂ the columns beside it: dA₂ = Q dR₂,
    // dA₁ = [dQ' + Q syminv(triu(dR₁ R₁ᴴ - Qᴴ dQ'))] R₁⁻ᴴ, dQ' = dQ + A₂ dR₂ᴴ (Walter & Lehmann 2012; Roberts & Roberts 2020).
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let q = saved(0), r = saved(1)
        let m = q.shape[q.rank - 2], n = r.shape[r.rank - 1]
        if q.shape.last! > n {
            fail("QRBackward", "a complete Q [\(m), \(m)] of more rows than columns is not determined; use mode: .reduced")
        }
        if q.count == 0 || r.count == 0 {
            return [Tensor(zeros: Array(q.shape.dropLast()) + [n], dtype: q.dtype, device: q.device)]
        }
        let k = q.shape.last!
        let gq = outputs[0] ?? Tensor(zerosLike: q), gr = outputs[1] ?? Tensor(zerosLike: r)
        let r1 = matrixColumns(r, 0, k)
        if n == k { return [square(q, r1, gq, gr)] }
        let a2 = matmul(q, matrixColumns(r, k, n - k)), gr2 = matrixColumns(gr, k, n - k)
        let g1 = square(q, r1, gq + matmul(a2, adjoint(gr2)), matrixColumns(gr, 0, k))
        return [concatenate([g1, matmul(q, gr2)], axis: -1)]
    }

    private func square(_ q: Tensor, _ r: Tensor, _ gq: Tensor, _ gr: Tensor) -> Tensor {
        let x = (matmul(gr, adjoint(r)) - matmul(adjoint(q), gq)).triu()
        let sum = x + adjoint(x)
        let hermitian = replacingDiagonal(sum, matrixDiagonal(sum) * 0.5)
        return LinearAlgebra.solveTriangular(adjoint(r), gq + matmul(q, hermitian), upper: false, left: false)
    }
}

extension LinearAlgebra {
    /// Which parts of a QR decomposition are wanted.
    public enum QRMode: Sendable {
        /// `Q [..., m, k]`, `R [..., k, n]` with k = min(m, n).
        case reduced
        /// `Q [..., m, m]`, `R [..., m, n]`.
        case complete
        /// R of the reduced form alone; Q is empty, `[0]`, and nothing can be differentiated.
        case r
    }

    /// `A = Q R` of `x [..., m, n]`: orthonormal columns times an upper triangle. A gradient needs the first min(m, n) columns to be
    /// independent, and traps for a complete Q with m > n. PyTorch's `torch.linalg.qr`.
    public static func qr(_ x: Tensor, mode: QRMode = .reduced) -> (q: Tensor, r: Tensor) {
        if x.isBatched {
            let y = liftedMatrices([x]) {
                let (q, r) = qr($0[0], mode: mode)
                return [q, r]
            }
            return (y[0], y[1])
        }
        requireMatrices("qr", x)
        let m = x.shape[x.rank - 2], n = x.shape[x.rank - 1], k = Swift.min(m, n)
        let batch = Array(x.shape.dropLast(2))
        let (a, tau) = householderForward(x.raw)
        let packed = Tensor(raw: a.matrix)
        if mode == .r {
            if isRecording([x]) { fail("qr", "mode: .r has no derivative, which needs Q; use mode: .reduced") }
            return (Tensor(zeros: [0], dtype: x.dtype, device: x.device), matrixRows(packed, 0, k).triu())
        }
        let columns = mode == .complete ? m : k
        let q = ColumnMajor(batch: batch, rows: m, columns: columns, x.dtype, x.device)
        if k == 0 {
            let identity = Tensor(eye: m, dtype: x.dtype, device: x.device).narrowed(axis: 1, start: 0, length: columns)
            q.raw.backend.copy(identity.raw.broadcast(to: batch + [m, columns]), to: q.matrix)
        } else {
            // The vectors of the reflectors, and room for the further columns.
            q.raw.backend.copy(
                matrixColumns(packed, 0, k).raw, to: matrixColumns(Tensor(raw: q.matrix), 0, k).raw)
            q.raw.backend.linearAlgebra(.householderProduct(q, tau: tau))
        }
        let r = matrixRows(packed, 0, columns).triu().raw
        let outs = record([q.matrix, r], inputs: [x]) {
            let node = QRBackward()
            node.save(output: q.matrix, index: 0)
            node.save(output: r, index: 1)
            return node
        }
        return (outs[0], outs[1])
    }

    private static func householderForward(_ x: RawTensor) -> (ColumnMajor, tau: RawTensor) {
        let a = ColumnMajor(copying: x)
        let tau = RawTensor.zeros(a.batchShape + [Swift.min(a.rows, a.columns)], x.dtype, x.device)
        a.raw.backend.linearAlgebra(.qr(a, tau: tau))
        return (a, tau)
    }

    /// The QR decomposition as LAPACK's `geqrf` leaves it: R on and above the diagonal of `a [..., m, n]`, below it the vectors of
    /// the reflectors `I - τ v vᴴ`, and `tau [..., min(m, n)]`. Has no derivative.
    public static func householderQR(_ x: Tensor) -> (a: Tensor, tau: Tensor) {
        requireMatrices("householderQR", x)
        checkNoGrad("householderQR", x)
        let (a, tau) = householderForward(x.raw)
        return (Tensor(raw: a.matrix), Tensor(raw: tau))
    }

    /// The first n columns of the product of reflectors `H₁ H₂ … Hₖ`, `Hᵢ = I - τᵢ vᵢ vᵢᴴ`, whose vectors are the columns of
    /// `a [..., m, n]` below the diagonal (with 1 on it), `tau [..., k]`, k ≤ n ≤ m. PyTorch's `torch.linalg.householder_product`.
    public static func householderProduct(_ a: Tensor, tau: Tensor) -> Tensor {
        requireMatrices("householderProduct", a)
        requireSameType("householderProduct", a, tau)
        let m = a.shape[a.rank - 2], n = a.shape[a.rank - 1]
        if n > m { fail("householderProduct", "needs at least as many rows as columns, not \(a.shape)") }
        if tau.rank != a.rank - 1 || Array(tau.shape.dropLast()) != Array(a.shape.dropLast(2)) || tau.shape.last! > n {
            fail("householderProduct", "factors \(tau.shape) do not fit vectors \(a.shape)")
        }
        let k = tau.shape.last!, batch = Array(a.shape.dropLast(2))
        let identity = identityMatrix(batch, m, a.detached()).narrowed(axis: -1, start: 0, length: n)
        if k == 0 || a.count == 0 { return identity }
        if !isRecording([a, tau]) && !a.isBatched && !tau.isBatched {
            let q = ColumnMajor(copying: a.raw)
            q.raw.backend.linearAlgebra(.householderProduct(q, tau: tau.raw.contiguous()))
            return Tensor(raw: q.matrix)
        }
        // On the tape: the reflectors applied to the identity, last first.
        let unit = which(identity .== 1, Tensor(onesLike: identity), a.tril(diagonal: -1))
        var q = identity
        for i in (0..<k).reversed() {
            let v = matrixColumns(unit, i, 1)
            q = q - matmul(tau.narrowed(axis: -1, start: i, length: 1).unsqueezed(-1) * v, matmul(adjoint(v), q))
        }
        return q
    }
}
