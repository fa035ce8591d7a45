final class PseudoInverseBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { pseudoInverseGradient(g, saved(0), inverse: saved(1)) }
}

/// The gradient of the pseudo-inverse at `a`, on matrices of constant rank (Golub & Pereyra 1973, theorem 4.3), the smaller products
/// first.
func pseudoInverseGradient(_ g: Tensor, _ a: Tensor, inverse y: Tensor) -> Tensor {
    let yh = adjoint(y), gh = adjoint(g)
    if a.shape[a.rank - 2] <= a.shape[a.rank - 1] {
        let k = matmul(gh, y), ky = matmul(k, yh)
        return -adjoint(matmul(y, k)) + ky - matmul(matmul(a, y), ky) + matmul(matmul(yh, y), gh - matmul(k, a))
    }
    let k = matmul(y, gh), yk = matmul(yh, k)
    return -adjoint(matmul(k, y)) + matmul(matmul(gh - matmul(a, k), y), yh) + yk - matmul(matmul(yk, y), a)
}

/// The size below which a singular value counts as 0: max(atol, rtol · largest), `[...]` like the values without their axis.
/// `rtol` is ε · max(m, n) unless a positive `atol` (or an `rtol`) is given.
private func cutoff(_ x: Tensor, largest: Tensor, atol: Tensor?, rtol: Tensor?) -> Tensor {
    let standard = x.dtype.real.epsilon * Double(x.shape.suffix(2).max()!)
    let none = Tensor(zeros: [], dtype: largest.dtype, device: x.device)
    let absolute = atol?.detached().to(largest.dtype) ?? none
    let relative: Tensor
    if let rtol {
        relative = rtol.detached().to(largest.dtype)
    } else {
        relative = which(absolute .> 0, none, Tensor(standard, dtype: largest.dtype, device: x.device))
    }
    return maximum(absolute, relative * largest)
}

extension LinearAlgebra {
    /// The Moore-Penrose inverse `[..., n, m]` of `x [..., m, n]`: singular values at most max(atol, rtol · largest) count as 0.
    /// `rtol` is ε · max(m, n) unless given, or 0 beside a positive `atol`. `hermitian` trusts that x is, and takes eigenvalues.
    /// Throws as ``svd(_:fullMatrices:)``. PyTorch's `torch.linalg.pinv`.
    public static func pinv(
        _ x: Tensor, atol: Double? = nil, rtol: Double? = nil, hermitian: Bool = false
    ) throws -> Tensor {
        try pinv(
            x, atol: atol.map { Tensor($0, dtype: .float64, device: x.device) },
            rtol: rtol.map { Tensor($0, dtype: .float64, device: x.device) },
            hermitian: hermitian)
    }

    /// As the function with numbers, with tolerances per matrix: `atol` and `rtol` broadcast to the batch axes.
    public static func pinv(_ x: Tensor, atol: Tensor?, rtol: Tensor?, hermitian: Bool = false) throws -> Tensor {
        if x.isBatched { return try liftedMatrices([x]) { [try pinv($0[0], atol: atol, rtol: rtol, hermitian: hermitian)] }[0] }
        if hermitian { requireSquare("pinv", x) } else { requireMatrices("pinv", x) }
        let a = x.detached()
        if x.count == 0 {
            return Tensor(
                zeros: Array(x.shape.dropLast(2)) + [x.shape[x.rank - 1], x.shape[x.rank - 2]], dtype: x.dtype, device: x.device)
        }
        func inverted(_ values: Tensor, _ sizes: Tensor) -> Tensor {
            let limit = cutoff(x, largest: sizes.max([-1]), atol: atol, rtol: rtol).unsqueezed(-1)
            return which(sizes .> limit, reciprocal(values), Tensor(zerosLike: values)).unsqueezed(-2)
        }
        let out: Tensor
        if hermitian {
            let (w, v) = try eigh(a)
            out = matmul(v * inverted(w, abs(w)), adjoint(v))
        } else {
            let (u, s, vh) = try svd(a, fullMatrices: false)
            out = matmul(adjoint(vh) * inverted(s, s), adjoint(u))
        }
        return record(out.raw, x) {
            let node = PseudoInverseBackward()
            node.save(x)
            node.save(output: out.raw)
            return node
        }
    }

    /// How many singular values of `x [..., m, n]` exceed max(atol, rtol · largest), `int64` `[...]`. Tolerances as
    /// ``pinv(_:atol:rtol:hermitian:)-(_,Double?,_,_)``. Has no gradient. PyTorch's `torch.linalg.matrix_rank`.
    public static func matrixRank(
        _ x: Tensor, atol: Double? = nil, rtol: Double? = nil, hermitian: Bool = false
    ) throws -> Tensor {
        try matrixRank(
            x, atol: atol.map { Tensor($0, dtype: .float64, device: x.device) },
            rtol: rtol.map { Tensor($0, dtype: .float64, device: x.device) },
            hermitian: hermitian)
    }

    /// As the function with numbers, with tolerances per matrix: `atol` and `rtol` broadcast to the batch axes.
    public static func matrixRank(_ x: Tensor, atol: Tensor?, rtol: Tensor?, hermitian: Bool = false) throws -> Tensor {
        if hermitian { requireSquare("matrixRank", x) } else { requireMatrices("matrixRank", x) }
        if x.shape.suffix(2).contains(0) { return Tensor(zeros: Array(x.shape.dropLast(2)), dtype: .int64, device: x.device) }
        let sizes = hermitian ? abs(try eigvalsh(x.detached())) : try svdvals(x.detached())
        if sizes.count == 0 { return Tensor(zeros: Array(sizes.shape.dropLast()), dtype: .int64, device: x.device) }
        return (sizes .> cutoff(x, largest: sizes.max([-1]), atol: atol, rtol: rtol).unsqueezed(-1)).sum([-1])
    }
}
