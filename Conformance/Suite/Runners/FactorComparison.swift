import Tapestry

/// Factors that are determined up to signs (phases): what they multiply to, and that they are of their kind.
enum FactorComparison {
    /// What is wrong with the outputs of a decomposition, or nil.
    static func problem(_ op: String, _ actual: [Tensor], _ expected: [Tensor], _ tolerance: (Tensor) -> Tolerance) -> String? {
        for (y, z) in zip(actual, expected) where y.shape != z.shape || y.dtype != z.dtype {
            return "shape \(y.shape) \(y.dtype), expected \(z.shape) \(z.dtype)"
        }
        func agree(_ what: String, _ y: Tensor, _ z: Tensor) -> String? { mismatch(y, z, tolerance(z)).map { "\(what): \($0)" } }
        func orthonormal(_ what: String, _ q: Tensor) -> String? {
            let n = q.shape[q.rank - 1]
            let identity = Tensor(eye: n, dtype: q.dtype).expanded(to: Array(q.shape.dropLast(2)) + [n, n])
            return agree("\(what)ᴴ \(what)", matmul(q.adjoint, q), identity)
        }
        func cut(_ q: Tensor, _ s: Tensor) -> Tensor { q.narrowed(axis: -1, start: 0, length: s.shape[s.rank - 1]) }
        switch op {
        case "linalg.svd", "svd":
            let isOld = op == "svd"
            func right(_ list: [Tensor]) -> Tensor { isOld ? list[2] : list[2].adjoint }
            func product(_ list: [Tensor]) -> Tensor {
                matmul(cut(list[0], list[1]) * list[1].unsqueezed(-2), cut(right(list), list[1]).adjoint)
            }
            return agree("S", actual[1], expected[1]) ?? agree("U S Vᴴ", product(actual), product(expected))
                ?? orthonormal("U", actual[0]) ?? orthonormal("V", right(actual))
        case "linalg.eigh":
            func product(_ list: [Tensor]) -> Tensor { matmul(list[1] * list[0].unsqueezed(-2), list[1].adjoint) }
            return agree("L", actual[0], expected[0]) ?? agree("V L Vᴴ", product(actual), product(expected))
                ?? orthonormal("V", actual[1])
        case "linalg.qr", "qr":
            let sizes = agree("|R|", abs(actual[1]), abs(expected[1])) ?? agree("triu(R)", actual[1].triu(), actual[1])
            if actual[0].rank < 2 { return sizes }
            return sizes ?? agree("Q R", matmul(actual[0], actual[1]), matmul(expected[0], expected[1]))
                ?? orthonormal("Q", actual[0])
        case "linalg.eig":
            // In any order: each A v = λ v, with A made again from what is expected.
            let a = matmul(expected[1] * expected[0].unsqueezed(-2), (try? LinearAlgebra.inv(expected[1])) ?? expected[1])
            return agree("A V", matmul(a, actual[1]), actual[1] * actual[0].unsqueezed(-2))
                ?? agree("Σ λ", actual[0].sum([-1]), expected[0].sum([-1]))
        default: return "no comparison up to signs for \(op)"
        }
    }
}
