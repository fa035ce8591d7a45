final class LeastSquaresBackward: Node, @unchecked Sendable {
    // X = A⁺ B: dB = A⁺ᴴ dX, and dA through the pseudo-inverse.
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let g = outputs[0]!
        let a = saved(0), b = saved(1)
        let inverse = inRule("lstsq") { try LinearAlgebra.pinv(a) }
        return [
            needs[0] ? pseudoInverseGradient(matmul(g, adjoint(b)), a, inverse: inverse) : nil,
            needs[1] ? matmul(adjoint(inverse), g) : nil,
        ]
    }
}

extension LinearAlgebra {
    /// What ``lstsq(_:_:rcond:driver:)`` found.
    public struct LeastSquares: Sendable {
        /// The X of least |A X - B|, and of least size among those: `[..., n, k]`, or `[..., n]` for vectors.
        public let solution: Tensor
        /// |A X - B|² per right-hand side, `[..., k]`, if m > n, every A has full rank and the driver is not `gelsy`; otherwise
        /// empty, `[0]`.
        public let residuals: Tensor
        /// The numerical rank of each A, `int64` `[...]`; empty, `[0]`, for `gels`.
        public let rank: Tensor
        /// A's singular values `[..., min(m, n)]`; empty, `[0]`, unless the driver is `gelsd` or `gelss`.
        public let singularValues: Tensor
    }

    /// Least squares: the X nearest to solving `A X = B`, for `a [..., m, n]` and `b [..., m, k]`, or vectors `[..., m]`, batch axes
    /// broadcast. Singular values at most `rcond` (ε · max(m, n) unless given) times the largest count as 0, except for `gels`, which
    /// needs full rank. Throws ``LinearAlgebraError``. The solution's gradient needs full rank. PyTorch's `torch.linalg.lstsq`.
    public static func lstsq(
        _ a: Tensor, _ b: Tensor, rcond: Double? = nil, driver: LeastSquaresDriver = .gelsy
    ) throws -> LeastSquares {
        if a.isBatched || b.isBatched {
            // The first and the last of what it gives are there for every example or for none.
            var kinds: [Int] = []
            let isVector = b.rank == a.rank - 1
            let parts = try liftedMatrices([a, isVector ? b.unsqueezed(-1) : b]) { plain -> [Tensor] in
                let found = try lstsq(plain[0], plain[1], rcond: rcond, driver: driver)
                let all = [found.solution, found.residuals, found.rank, found.singularValues]
                kinds = all.indices.filter { $0 == 0 || all[$0].shape != [0] }
                return kinds.map { all[$0] }
            }
            let empty = Tensor(zeros: [0], dtype: a.dtype.real, device: a.device)
            func part(_ i: Int) -> Tensor? { kinds.firstIndex(of: i).map { parts[$0] } }
            return LeastSquares(
                solution: isVector ? parts[0].squeezed(-1) : parts[0], residuals: part(1) ?? empty,
                rank: part(2) ?? empty.to(.int64),
                singularValues: part(3) ?? empty)
        }
        requireMatrices("lstsq", a)
        requireSameType("lstsq", a, b)
        let isVector = b.rank == a.rank - 1
        if b.rank < 1 || (!isVector && b.rank < 2) || b.rank > a.rank && a.rank < 2 {
            fail("lstsq", "right-hand sides \(b.shape)")
        }
        let matrix = isVector ? b.unsqueezed(-1) : b
        let m = a.shape[a.rank - 2], n = a.shape[a.rank - 1]
        if matrix.shape[matrix.rank - 2] != m { fail("lstsq", "a matrix \(a.shape) does not fit right-hand sides \(b.shape)") }
        try requireFinite("lstsq", a)
        try requireFinite("lstsq", matrix)
        let batch = requireBatch("lstsq", a, matrix)
        let columns = matrix.shape[matrix.rank - 1], k = Swift.min(m, n)
        let hasValues = driver == .gelsd || driver == .gelss
        let rank = RawTensor.zeros(batch, .int32, a.device), info = RawTensor.zeros(batch, .int32, a.device)
        let s = hasValues ? RawTensor.zeros(batch + [k], a.dtype.real, a.device) : nil

        // LAPACK wants room for both: B below which zeros, then X.
        let work = ColumnMajor(columnsOf: RawTensor.zeros(batch + [columns, Swift.max(m, n)], a.dtype, a.device))
        let place = Tensor(raw: work.matrix)
        work.raw.backend.copy(matrix.raw.broadcast(to: batch + [m, columns]), to: matrixRows(place, 0, m).raw)
        if m > 0 && n > 0 {
            let tolerance = rcond ?? a.dtype.real.epsilon * Double(Swift.max(m, n))
            work.raw.backend.linearAlgebra(
                .leastSquares(
                    ColumnMajor(copying: a.raw, batch: batch), b: work, driver: driver, rcond: tolerance, s: s, rank: rank,
                    info: info))
            try check("lstsq", info) { _ in driver == .gels ? .rankDeficient : .notConverged }
        }
        // Without rows any X is best, and 0 the least.
        let out = m > 0 ? matrixRows(place, 0, n).raw : RawTensor.zeros(batch + [n, columns], a.dtype, a.device)
        let solution = record(out, a, matrix) {
            let node = LeastSquaresBackward()
            node.save(a)
            node.save(matrix)
            return node
        }
        let empty = Tensor(zeros: [0], dtype: a.dtype.real, device: a.device)
        let ranks = Tensor(raw: rank).to(.int64)
        var residuals = empty
        if m > n && driver != .gelsy && (driver == .gels || (ranks .== n).all().item(Bool.self)) {
            residuals = square(abs(matmul(a, solution) - matrix)).sum([-2])
            if isVector { residuals = residuals.squeezed([-1]) }
        }
        return LeastSquares(
            solution: isVector ? solution.squeezed([-1]) : solution, residuals: residuals,
            rank: driver == .gels ? Tensor(zeros: [0], dtype: .int64, device: a.device) : ranks,
            singularValues: s.map { Tensor(raw: $0) } ?? empty)
    }
}
