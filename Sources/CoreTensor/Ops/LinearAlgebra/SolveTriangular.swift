final class SolveTriangularBackward: Node, @unchecked Sendable {
    let form: TriangularForm
    init(_ form: TriangularForm) {
        self.form = form
        super.init()
    }

    // op A X = B: dB = A⁻ᴴ dX, dA = -dB Xᴴ on the triangle; from the right alike (Giles 2008, section 2.3.1).
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let g = outputs[0]!
        let a = saved(0), x = saved(1)
        let upper = form.contains(.upper), unit = form.contains(.unit), left = form.contains(.left)
        let gb = LinearAlgebra.solveTriangular(adjoint(a), g, upper: !upper, left: left, unitriangular: unit)
        if !needs[0] { return [nil, gb] }
        let ga = -(left ? matmul(gb, adjoint(x)) : matmul(adjoint(x), gb))
        return [upper ? ga.triu(diagonal: unit ? 1 : 0) : ga.tril(diagonal: unit ? -1 : 0), needs[1] ? gb : nil]
    }
}

/// `op(A) X = B` for raw matrices of one type; the batch axes broadcast to `batch`.
private func triangularForward(_ a: RawTensor, _ b: RawTensor, _ batch: Shape, _ form: TriangularForm) -> RawTensor {
    let out = ColumnMajor(copying: b, batch: batch)
    if out.raw.count == 0 { return out.matrix }
    var form = form
    let wide = a.broadcast(to: batch + a.shape.suffix(2))
    let columns: ColumnMajor
    if wide.matrixTransposed().isContiguous {
        columns = ColumnMajor(columnsOf: wide.matrixTransposed())
    } else {
        // Dense rows are the columns of the transpose.
        columns = ColumnMajor(columnsOf: wide.contiguous())
        form.formSymmetricDifference([.transposed, .upper])
    }
    out.raw.backend.linearAlgebra(.triangularSolve(columns, b: out, form: form))
    return out.matrix
}

extension LinearAlgebra {
    /// The solution of `A X = B` (or `X A = B` from the right) for triangular `A [..., n, n]` and `B [..., n, k]` (`[..., k, n]`);
    /// batch axes broadcast. The other triangle is not read, nor is the diagonal if `unitriangular`: it counts as ones.
    /// A 0 on the diagonal gives infinities. PyTorch's `torch.linalg.solve_triangular`.
    public static func solveTriangular(
        _ a: Tensor, _ b: Tensor, upper: Bool, left: Bool = true, unitriangular: Bool = false
    ) -> Tensor {
        if a.isBatched || b.isBatched {
            return liftedMatrices([a, b]) {
                [solveTriangular($0[0], $0[1], upper: upper, left: left, unitriangular: unitriangular)]
            }[0]
        }
        requireSquare("solveTriangular", a)
        requireMatrices("solveTriangular", b, "right-hand sides")
        requireSameType("solveTriangular", a, b)
        let batch = requireBatch("solveTriangular", a, b)
        if a.shape[a.rank - 1] != b.shape[b.rank - (left ? 2 : 1)] {
            fail(
                "solveTriangular",
                "a matrix \(a.shape) does not fit right-hand sides \(b.shape) from the \(left ? "left" : "right")")
        }
        var form: TriangularForm = []
        if left { form.insert(.left) }
        if upper { form.insert(.upper) }
        if unitriangular { form.insert(.unit) }
        let out = triangularForward(a.raw, b.raw, batch, form)
        return record(out, a, b) {
            let node = SolveTriangularBackward(form)
            node.save(a)
            node.save(output: out)
            return node
        }
    }
}
