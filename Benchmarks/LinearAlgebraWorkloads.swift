import Tapestry

extension Workloads {
    /// A well-conditioned symmetric positive definite matrix.
    private static func positiveDefinite(_ n: Int) -> Tensor {
        let a = normal(n, n)
        return (a • a.T) / Double(n) + Tensor(eye: n)
    }

    private static func factorization(
        _ name: String, flops: Double, _ make: @escaping () -> [Tensor], _ call: @escaping ([Tensor]) throws -> Tensor
    ) -> Workload {
        Workload("linalg", "linalg_\(name)") {
            let inputs = make()
            return Timed(shape: inputs.map { "\($0.shape)" }.joined(separator: " "), flops: flops) {
                do { use(try call(inputs)) } catch { preconditionFailure("\(error)") }
            }
        }
    }

    /// LAPACK's routines; flops as they are counted by convention.
    static let linearAlgebra: [Workload] = [
        factorization("svd_512", flops: 22 * 512 * 512 * 512, { [normal(512, 512)] }) {
            try LinearAlgebra.svd($0[0], fullMatrices: false).u
        },
        factorization("svdvals_512", flops: 8.0 / 3 * 512 * 512 * 512, { [normal(512, 512)] }) {
            try LinearAlgebra.svdvals($0[0])
        },
        factorization("eigh_512", flops: 9 * 512 * 512 * 512, { [positiveDefinite(512)] }) {
            try LinearAlgebra.eigh($0[0]).eigenvectors
        },
        factorization("qr_1024", flops: 8.0 / 3 * 1024 * 1024 * 1024, { [normal(1024, 1024)] }) { LinearAlgebra.qr($0[0]).q },
        factorization("cholesky_1024", flops: 1024 * 1024 * 1024 / 3, { [positiveDefinite(1024)] }) {
            try LinearAlgebra.cholesky($0[0])
        },
        factorization(
            "solve_1024x64", flops: 2.0 / 3 * 1024 * 1024 * 1024 + 2 * 1024 * 1024 * 64,
            { [normal(1024, 1024), normal(1024, 64)] }
        ) { try LinearAlgebra.solve($0[0], $0[1]) },
        factorization("inv_1024", flops: 2 * 1024 * 1024 * 1024, { [normal(1024, 1024)] }) { try LinearAlgebra.inv($0[0]) },
    ]

    /// Word vectors by skip-gram with negative sampling, negatives drawn before. The gradients of the tables stay rows until somebody
    /// looks at them; `dense` does.
    static let words = ["sparse", "dense"].map { kind in
        Workload("w2v", "w2v_sgns_\(kind)") {
            let vocabulary = 50000, width = 300, negatives = 5, batch = 1024
            let input = Parameter(Tensor(uniform: [vocabulary, width], low: -0.5 / 300, high: 0.5 / 300))
            let output = Parameter(Tensor(zeros: [vocabulary, width]))
            let optimizer = SGD([input, output], learningRate: 0.025)
            let words = Tensor(integers: 0..<vocabulary, shape: [batch]),
                context = Tensor(integers: 0..<vocabulary, shape: [batch])
            let drawn = Tensor(integers: 0..<vocabulary, shape: [batch, negatives])
            return Timed(shape: "V50000 D300 neg5 batch 1024", items: ("pairs", Double(batch))) {
                optimizer.zeroGrad()
                let h = embedding(words, input.value)
                let near = logSigmoid((h * embedding(context, output.value)).sum(1)).sum()
                let far = logSigmoid(-matmul(embedding(drawn, output.value), h.unsqueezed(2)).squeezed(2)).sum()
                (-(near + far)).backward()
                if kind == "dense" { for table in [input, output] { table.grad!.withUnsafeBytes { _ in } } }
                optimizer.step()
            }
        }
    }
}
