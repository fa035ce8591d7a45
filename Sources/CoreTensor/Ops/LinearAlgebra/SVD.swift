final class SVDBackward: Node, @unchecked Sendable {
    // With E = σⱼ² - σᵢ² off the diagonal and skew(X) = X - Xᴴ:
    // dA = U [skew(Uᴴ dU) / E · Σ + Σ · skew(Vᴴ dV) / E + dΣ] Vᴴ + (I - U Uᴴ) dU Σ⁻¹ Vᴴ + U Σ⁻¹ dVᴴ (I - V Vᴴ)
    // (Giles 2008, section 3.2; Townsend 2016; Wan & Zhang 2019 for the complex diagonal). Vectors beyond the first k have no part.
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let allU = saved(0), s = saved(1), allVh = saved(2)
        let m = allU.shape[allU.rank - 2], n = allVh.shape[allVh.rank - 1], k = s.shape.last!
        if k == 0 { return [Tensor(zeros: Array(s.shape.dropLast()) + [m, n], dtype: allU.dtype, device: s.device)] }
        let u = matrixColumns(allU, 0, k), vh = matrixRows(allVh, 0, k)
        let gu = outputs[0].map { matrixColumns($0, 0, k) }, gs = outputs[1], gvh = outputs[2].map { matrixRows($0, 0, k) }
        if gu == nil && gvh == nil { return [matmul(u * gs!.unsqueezed(-2), vh)] }

        func skew(_ x: Tensor) -> Tensor { x - adjoint(x) }
        let row = s.unsqueezed(-2), column = s.unsqueezed(-1)
        let one = Tensor(ones: [], dtype: s.dtype, device: s.device)
        let gap = replacingDiagonal((row - column) * (row + column), one)
        let uPart = gu.map { skew(matmul(adjoint(u), $0)) }
        let vPart = gvh.map { skew(matmul(vh, adjoint($0))) }
        checkGauge(uPart, vPart)
        var core = Tensor(zeros: s.shape + [k], dtype: u.dtype, device: u.device)
        if let uPart { core = core + uPart / gap * row }
        if let vPart { core = core + column * (vPart / gap) }
        if let gs { core = core + diagonalMatrix(gs) }
        if let uPart, u.dtype.isComplex { core = core + diagonalMatrix(matrixDiagonal(uPart) / (s * 2)) }
        var left = matmul(u, core)
        if let gu, m > k {
            let scaled = gu / row
            left = left + scaled - matmul(u, matmul(adjoint(u), scaled))
        }
        var ga = matmul(left, vh)
        if let gvh, n > k {
            let scaled = gvh / column
            ga = ga + matmul(u, scaled - matmul(matmul(scaled, adjoint(vh)), vh))
        }
        return [ga]
    }

    // Complex singular vectors are determined up to a phase that U and V share; a gradient along it means nothing.
    private func checkGauge(_ uPart: Tensor?, _ vPart: Tensor?) {
        guard saved(0).dtype.isComplex, ![uPart, vPart].contains(where: { $0?.isBatched == true }) else { return }
        let parts = [uPart, vPart].compactMap { $0 }
        let sum = parts.dropFirst().reduce(matrixDiagonal(parts[0])) { $0 + matrixDiagonal($1) }
        let scale = parts.map(largestSize).max()!
        if largestSize(sum) > 1e-2 * Swift.max(1, scale) {
            fail("SVDBackward", "the result depends on the phases of the singular vectors, which are not determined")
        }
    }
}

/// The largest |x|, as a number.
func largestSize(_ x: Tensor) -> Double { x.count == 0 ? 0 : abs(x.detached()).max().item(Double.self) }

extension LinearAlgebra {
    /// Singular value decomposition `A = U Σ Vᴴ` of `x [..., m, n]`, k = min(m, n): `u [..., m, m]`, `s [..., k]` descending (of the
    /// real type), `vh [..., n, n]`; thin, `[..., m, k]` and `[..., k, n]`, unless `fullMatrices`.
    ///
    /// LAPACK's divide and conquer, and QR iteration where that fails. Throws for NaN and infinities and where neither converges.
    /// Singular vectors are determined up to sign (phase); their gradients need distinct singular values, and the vectors
    /// beyond the first k have none. PyTorch's `torch.linalg.svd`.
    public static func svd(_ x: Tensor, fullMatrices: Bool = true) throws -> (u: Tensor, s: Tensor, vh: Tensor) {
        if x.isBatched {
            let y = try liftedMatrices([x]) {
                let (u, s, vh) = try svd($0[0], fullMatrices: fullMatrices)
                return [u, s, vh]
            }
            return (y[0], y[1], y[2])
        }
        requireMatrices("svd", x)
        try requireFinite("svd", x)
        let m = x.shape[x.rank - 2], n = x.shape[x.rank - 1], k = Swift.min(m, n)
        let batch = Array(x.shape.dropLast(2))
        let u = ColumnMajor(batch: batch, rows: m, columns: fullMatrices ? m : k, x.dtype, x.device)
        let vh = ColumnMajor(batch: batch, rows: fullMatrices ? n : k, columns: n, x.dtype, x.device)
        let s = RawTensor(shape: batch + [k], x.dtype.real, x.device)
        if k == 0 {
            for square in [u, vh] where square.raw.count > 0 {
                square.raw.backend.copy(
                    Tensor(eye: square.rows, dtype: x.dtype, device: x.device).raw.broadcast(
                        to: batch + [square.rows, square.rows]),
                    to: square.matrix)
            }
        } else {
            let info = RawTensor.zeros(batch, .int32, x.device)
            u.raw.backend.linearAlgebra(
                .svd(ColumnMajor(copying: x.raw), s: s, u: u, vh: vh, full: fullMatrices, info: info))
            try check("svd", info) { _ in .notConverged }
        }
        let outs = record([u.matrix, s, vh.matrix], inputs: [x]) {
            let node = SVDBackward()
            node.save(output: u.matrix, index: 0)
            node.save(output: s, index: 1)
            node.save(output: vh.matrix, index: 2)
            return node
        }
        return (outs[0], outs[1], outs[2])
    }

    /// The singular values `[..., min(m, n)]` of `x [..., m, n]`, descending. Throws as ``svd(_:fullMatrices:)``.
    public static func svdvals(_ x: Tensor) throws -> Tensor {
        if isRecording([x]) || x.isBatched { return try svd(x, fullMatrices: false).s }
        requireMatrices("svdvals", x)
        try requireFinite("svdvals", x)
        let batch = Array(x.shape.dropLast(2))
        let s = RawTensor(shape: batch + [x.shape.suffix(2).min()!], x.dtype.real, x.device)
        if s.count > 0 {
            let info = RawTensor.zeros(batch, .int32, x.device)
            s.backend.linearAlgebra(
                .svd(ColumnMajor(copying: x.raw), s: s, u: nil, vh: nil, full: false, info: info))
            try check("svdvals", info) { _ in .notConverged }
        }
        return Tensor(raw: s)
    }

    /// The best approximation of rank `rank`: the largest singular values and their vectors, `u [..., m, rank]`, `s [..., rank]`,
    /// `vh [..., rank, n]`. No other matrix of that rank is nearer: the squared distance is the sum of the squares of the singular
    /// values left out (Eckart & Young 1936). Throws as ``svd(_:fullMatrices:)``; traps unless 0 ≤ rank ≤ min(m, n).
    public static func truncatedSVD(_ x: Tensor, rank: Int) throws -> (u: Tensor, s: Tensor, vh: Tensor) {
        requireMatrices("truncatedSVD", x)
        if rank < 0 || rank > x.shape.suffix(2).min()! {
            fail("truncatedSVD", "rank \(rank) is not in 0 ... min(m, n) of \(x.shape)")
        }
        let (u, s, vh) = try svd(x, fullMatrices: false)
        return (matrixColumns(u, 0, rank), s.narrowed(axis: -1, start: 0, length: rank), matrixRows(vh, 0, rank))
    }

    /// The nearest matrix of rank at most `rank`: the product of ``truncatedSVD(_:rank:)``'s parts.
    public static func lowRankApproximation(_ x: Tensor, rank: Int) throws -> Tensor {
        let (u, s, vh) = try truncatedSVD(x, rank: rank)
        return matmul(u * s.unsqueezed(-2), vh)
    }

    /// About the `rank` largest singular values and vectors of a matrix of that rank, nearly, by random projection (Halko, Martinsson
    /// & Tropp 2011, algorithms 4.4 and 5.1): `u [..., m, rank]`, `s [..., rank]`, `v [..., n, rank]`. Far cheaper than
    /// ``truncatedSVD(_:rank:)`` where rank ≪ min(m, n). PyTorch's `torch.svd_lowrank`, whose rank is 6.
    public static func svdLowRank(
        _ x: Tensor, rank: Int = 6, iterations: Int = 2, generator: RandomGenerator = .default
    ) throws -> (u: Tensor, s: Tensor, v: Tensor) {
        requireMatrices("svdLowRank", x)
        let m = x.shape[x.rank - 2], n = x.shape[x.rank - 1]
        if rank < 0 || rank > Swift.min(m, n) || iterations < 0 {
            fail("svdLowRank", "rank \(rank) with \(iterations) iterations for a matrix \(x.shape)")
        }
        if m < n {
            let (u, s, v) = try svdLowRank(adjoint(x), rank: rank, iterations: iterations, generator: generator)
            return (v, s, u)
        }
        let probe = Tensor(
            normal: [n, rank], dtype: x.dtype.real, device: x.device, generator: generator
        ).to(x.dtype)
        var q = qr(matmul(x, probe)).q
        for _ in 0..<iterations {
            q = qr(matmul(adjoint(x), q)).q
            q = qr(matmul(x, q)).q
        }
        let (u, s, vh) = try svd(matmul(adjoint(q), x), fullMatrices: false)
        return (matmul(q, u), s, adjoint(vh))
    }
}
