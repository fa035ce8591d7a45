final class InverseBackward: Node, @unchecked Sendable {
    // dA = -A⁻ᴴ dY A⁻ᴴ
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let y = adjoint(saved(0))
        return -matmul(y, matmul(g, y))
    }
}

extension LinearAlgebra {
    /// The inverse of square matrices `[..., n, n]`. Throws ``LinearAlgebraError/Reason/singular(row:)``. To multiply by an inverse use
    /// ``solve(_:_:left:)``, which is faster and more accurate. PyTorch's `torch.linalg.inv`.
    public static func inv(_ x: Tensor) throws -> Tensor {
        let (y, info) = invWithInfo(x)
        try check("inv", info.peeled.raw) { .singular(row: $0 - 1) }
        return y
    }

    /// As ``inv(_:)``, with `info [...]` (`int32`) in place of errors: 0, or the place from 1 of a pivot that is 0.
    public static func invWithInfo(_ x: Tensor) -> (result: Tensor, info: Tensor) {
        if x.isBatched {
            let y = liftedMatrices([x]) {
                let (y, info) = invWithInfo($0[0])
                return [y, info]
            }
            return (y[0], y[1])
        }
        requireSquare("inv", x)
        let batch = Array(x.shape.dropLast(2))
        let (lu, pivots, info) = luForward(x.raw)
        let inverse = ColumnMajor(copying: identityMatrix(batch, x.shape.last!, x.detached()).raw)
        inverse.raw.backend.linearAlgebra(.luInverse(lu, pivots: pivots, b: inverse))
        let out = inverse.matrix
        let y = record(out, x) {
            let node = InverseBackward()
            node.save(output: out)
            return node
        }
        return (y, Tensor(raw: info))
    }
}
