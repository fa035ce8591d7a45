final class DeterminantBackward: Node, @unchecked Sendable {
    // dA = g conj(det A) A⁻ᴴ. Where det A is 0, the transposed cofactors come from A's singular values instead.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = saved(0), det = saved(1)
        if a.count == 0 { return Tensor(zerosLike: a) }
        let isSingular = det.detached() .== 0
        if !isSingular.any().item(Bool.self) { return invertible(g, a, det) }
        if isSingular.all().item(Bool.self) { return singular(g, a) }
        let mask = isSingular.unsqueezed(-1).unsqueezed(-1)
        // Each rule sees harmless matrices in the places of the other's.
        let n = a.shape.last!
        let identity = Tensor(eye: n, dtype: a.dtype).to(device: a.device)
        let spread = diagonalMatrix(Tensor(arange: n, dtype: a.dtype, device: a.device) + 1)
        let one = Tensor(ones: [], dtype: a.dtype, device: a.device)
        let regular = invertible(g, which(mask, identity, a), which(isSingular, one, det))
        return which(mask, singular(g, which(mask, a, spread)), regular)
    }

    private func invertible(_ g: Tensor, _ a: Tensor, _ det: Tensor) -> Tensor {
        let scale = (g * conj(det)).unsqueezed(-1).expanded(to: Array(a.shape.dropLast()))
        return LinearAlgebra.solveUnchecked(adjoint(a), diagonalMatrix(scale)).result
    }

    // d det = g conj(det U det Vᴴ) U diag(Πⱼ≠ᵢ σⱼ) Vᴴ
    private func singular(_ g: Tensor, _ a: Tensor) -> Tensor {
        let (u, s, vh) = inRule("det") { try LinearAlgebra.svd(a, fullMatrices: true) }
        let alpha = conj(LinearAlgebra.det(u) * LinearAlgebra.det(vh)) * g
        let others = productsOfOthers(s)
        return matmul(u * (alpha.unsqueezed(-1) * others).unsqueezed(-2), vh)
    }

    /// Along the last axis, the product of all elements but the one there.
    private func productsOfOthers(_ x: Tensor) -> Tensor {
        let n = x.shape.last!
        let one = Tensor(ones: Array(x.shape.dropLast()) + [1], dtype: x.dtype, device: x.device)
        var left = [one], right = [one]
        for i in 0..<n - 1 {
            left.append(left.last! * x.narrowed(axis: -1, start: i, length: 1))
            right.append(right.last! * x.narrowed(axis: -1, start: n - 1 - i, length: 1))
        }
        return concatenate(zip(left, right.reversed()).map { $0 * $1 }, axis: -1)
    }
}

final class LogDeterminantBackward: Node, @unchecked Sendable {
    // d(ln det A) = tr(A⁻¹ dA): its real part moves ln |det|, its imaginary part turns the sign.
    override var isJoint: Bool { true }
    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let a = saved(0), sign = saved(1)
        if a.count == 0 { return [Tensor(zerosLike: a)] }
        guard let scale = slope(outputs[0], outputs[1], sign) else { return [nil] }
        let wide = scale.unsqueezed(-1).expanded(to: Array(a.shape.dropLast()))
        return [LinearAlgebra.solveUnchecked(adjoint(a), diagonalMatrix(wide)).result]
    }

    /// dL = Re(conj(z) d ln det) for this z. A real sign does not move.
    private func slope(_ gSign: Tensor?, _ gLog: Tensor?, _ sign: Tensor) -> Tensor? {
        guard let gSign, sign.dtype.isComplex else { return gLog }
        let turn = -(conj(gSign) * sign).imaginary
        return complex(real: gLog ?? Tensor(zerosLike: turn), imaginary: turn)
    }
}

extension LinearAlgebra {
    /// What LU says of the determinant: the diagonal of U and ±1 for the exchanges of rows.
    private static func luDiagonal(_ x: Tensor) -> (diagonal: Tensor, parity: Tensor) {
        let (lu, pivots, _) = luForward(x.raw)
        let n = x.shape.last!
        let moved = (Tensor(raw: pivots) .!= (Tensor(arange: n, dtype: .int32, device: x.device) + 1)).sum([-1])
        let parity = 1 - 2 * remainder(moved, Tensor(2, device: x.device))
        return (matrixDiagonal(Tensor(raw: lu.matrix)), parity.to(x.dtype))
    }

    /// The determinants `[...]` of square matrices `[..., n, n]`, by LU; 1 for an empty matrix. The gradient is right for singular
    /// matrices too (where PyTorch's first-order one is 0). PyTorch's `torch.linalg.det`.
    public static func det(_ x: Tensor) -> Tensor {
        if x.isBatched { return x.lifted { x, _ in det(x) } }
        requireSquare("det", x)
        let (diagonal, parity) = luDiagonal(x)
        let out = (diagonal.prod([-1]) * parity).raw
        return record(out, x) {
            let node = DeterminantBackward()
            node.save(x)
            node.save(output: out)
            return node
        }
    }

    /// The sign (±1 or 0; a complex number of size 1) and the natural logarithm of the size (-∞ for a singular matrix) of the
    /// determinants of `[..., n, n]`, both `[...]`, without overflow. PyTorch's `torch.linalg.slogdet`.
    public static func slogdet(_ x: Tensor) -> (sign: Tensor, logAbsDet: Tensor) {
        if x.isBatched {
            let y = liftedMatrices([x]) {
                let (sign, size) = slogdet($0[0])
                return [sign, size]
            }
            return (y[0], y[1])
        }
        requireSquare("slogdet", x)
        let (diagonal, parity) = luDiagonal(x)
        let sign = (sign(diagonal).prod([-1]) * parity).raw
        let size = log(abs(diagonal)).sum([-1]).raw
        let outs = record([sign, size], inputs: [x]) {
            let node = LogDeterminantBackward()
            node.save(x)
            node.save(output: sign, index: 0)
            return node
        }
        return (outs[0], outs[1])
    }

    /// ln det of `[..., n, n]`: -∞ where the determinant is 0, NaN where it is negative. PyTorch's `torch.logdet`.
    public static func logdet(_ x: Tensor) -> Tensor {
        requireSquare("logdet", x)
        let (sign, size) = slogdet(x)
        if x.dtype.isComplex { return log(sign) + size }
        return which(sign.detached() .< 0, Tensor(Double.nan, dtype: x.dtype, device: x.device), size)
    }
}
