final class SolveBackward: Node, @unchecked Sendable {
    // dB = A⁻ᴴ dX, dA = -dB Xᴴ. Without a tape of its own the rule uses the factors of the forward pass.
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let g = outputs[0]!
        let a = saved(0), x = saved(1)
        let gb: Tensor
        if g.isBatched || isRecording([a, g, x]) {
            gb = LinearAlgebra.solveUnchecked(adjoint(a), g).result
        } else {
            gb = Tensor(
                raw: luSolveForward(
                    ColumnMajor(columnsOf: saved(2).raw), saved(3).raw, g.raw, batch: Array(g.shape.dropLast(2)), adjoint: true))
        }
        return [needs[0] ? -matmul(gb, adjoint(x)) : nil, gb]
    }
}

extension LinearAlgebra {
    /// `A⁻¹ B` for `A [..., n, n]` and `B [..., n, k]`, batch axes broadcast, and LAPACK's findings about A.
    static func solveUnchecked(_ a: Tensor, _ b: Tensor) -> (result: Tensor, info: Tensor) {
        if a.isBatched || b.isBatched {
            let y = liftedMatrices([a, b]) {
                let (x, info) = solveUnchecked($0[0], $0[1])
                return [x, info]
            }
            return (y[0], y[1])
        }
        let batch = requireBatch("solve", a, b)
        let (lu, pivots, info) = luForward(a.raw)
        let out = luSolveForward(lu, pivots, b.raw, batch: batch)
        let result = record(out, a, b) {
            let node = SolveBackward()
            node.save(a)
            node.save(output: out)
            node.save(Tensor(raw: lu.raw))
            node.save(Tensor(raw: pivots))
            return node
        }
        return (result, Tensor(raw: info))
    }

    /// The solution of `A X = B`, or of `X A = B` from the right (`left: false`), for square `A [..., n, n]`.
    ///
    /// `b` is a vector `[n]`, a batch of vectors (shape `a.shape` without its last axis), or matrices `[..., n, k]` (`[..., k, n]` from
    /// the right); batch axes broadcast. Throws ``LinearAlgebraError/Reason/singular(row:)``. PyTorch's `torch.linalg.solve`.
    public static func solve(_ a: Tensor, _ b: Tensor, left: Bool = true) throws -> Tensor {
        let (x, info) = solveWithInfo(a, b, left: left)
        try check("solve", info.peeled.raw) { .singular(row: $0 - 1) }
        return x
    }

    /// As ``solve(_:_:left:)``, with `info` (`int32`, the batch axes of `a`) in place of errors: 0, or the place from 1 of a pivot
    /// that is 0, where the solution means nothing.
    public static func solveWithInfo(_ a: Tensor, _ b: Tensor, left: Bool = true) -> (result: Tensor, info: Tensor) {
        requireSquare("solve", a)
        requireSameType("solve", a, b)
        if b.rank == 0 { fail("solve", "needs right-hand sides, not a scalar") }
        let isVector = b.rank == 1 || (b.rank == a.rank - 1 && b.shape == Array(a.shape.dropLast()))
        if isVector && !left { fail("solve", "a vector has no side; use left: true with \(b.shape)") }
        let matrix = isVector ? b.unsqueezed(-1) : b
        if a.shape[a.rank - 1] != matrix.shape[matrix.rank - (left ? 2 : 1)] {
            fail("solve", "a matrix \(a.shape) does not fit right-hand sides \(b.shape) from the \(left ? "left" : "right")")
        }
        if left {
            let (x, info) = solveUnchecked(a, matrix)
            return (isVector ? x.squeezed([-1]) : x, info)
        }
        let (x, info) = solveUnchecked(a.transposed(), matrix.transposed())
        return (x.transposed(), info)
    }
}
