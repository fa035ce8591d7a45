final class MatrixExponentialBackward: Node, @unchecked Sendable {
    // The derivative of exp at Aᴴ towards G is the upper right block of exp [[Aᴴ, G], [0, Aᴴ]] (Mathias 1996).
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = adjoint(saved(0))
        let n = a.shape.last!
        let top = concatenate([a, g], axis: -1), bottom = concatenate([Tensor(zerosLike: a), a], axis: -1)
        let both = LinearAlgebra.matrixExp(concatenate([top, bottom], axis: -2))
        return matrixColumns(matrixRows(both, 0, n), n, n)
    }
}

/// exp by Padé approximants with scaling and squaring (Higham 2005, tables 2.3 and 2.4).
private enum Pade {
    static let coefficients: [Int: [Double]] = [
        3: [120, 60, 12, 1], 5: [30240, 15120, 3360, 420, 30, 1],
        7: [17_297_280, 8_648_640, 1_995_840, 277_200, 25200, 1512, 56, 1],
        9: [17_643_225_600, 8_821_612_800, 2_075_673_600, 302_702_400, 30_270_240, 2_162_160, 110_880, 3960, 90, 1],
        13: [
            64_764_752_532_480_000, 32_382_376_266_240_000, 7_771_770_303_897_600, 1_187_353_796_428_800, 129_060_195_264_000,
            10_559_470_521_600, 670_442_572_800, 33_522_128_640, 1_323_241_920, 40_840_800, 960_960, 16380, 182, 1,
        ],
    ]

    /// The 1-norm up to which each order is exact to rounding in double precision; the last serves larger norms by scaling.
    static let limits: [(order: Int, norm: Double)] = [
        (3, 1.495585217958292e-2), (5, 2.539398330063230e-1), (7, 9.504178996162932e-1), (9, 2.097847961257068),
        (13, 5.371920351148152),
    ]

    static func exponential(_ a: Tensor) -> Tensor {
        let norms = abs(a).sum([-2]).max([-1])
        let largest = norms.max().item(Double.self)
        let identity = Tensor(eye: a.shape.last!, dtype: a.dtype).to(device: a.device)
        if let fit = limits.first(where: { largest <= $0.norm }) { return approximant(a, fit.order, identity) }
        // Each matrix is halved as often as it needs; those with a NaN not at all.
        let (order, limit) = limits.last!
        let halvings = maximum(ceil(log2(norms * (1 / limit))), 0.0)
        let counts = which(halvings.isFinite, halvings, 0.0)
        var y = approximant(a * exp2(-counts).unsqueezed(-1).unsqueezed(-1), order, identity)
        for i in 0..<Int(counts.max().item(Double.self)) {
            y = which((counts .> Double(i)).unsqueezed(-1).unsqueezed(-1), matmul(y, y), y)
        }
        return y
    }

    /// (V - U)⁻¹ (V + U) with U the odd and V the even terms of the numerator.
    private static func approximant(_ a: Tensor, _ order: Int, _ identity: Tensor) -> Tensor {
        let b = coefficients[order]!
        let a2 = matmul(a, a)
        var u: Tensor, v: Tensor
        if order == 13 {
            let a4 = matmul(a2, a2), a6 = matmul(a4, a2)
            u = matmul(a6, a6 * b[13] + a4 * b[11] + a2 * b[9]) + a6 * b[7] + a4 * b[5] + a2 * b[3] + identity * b[1]
            v = matmul(a6, a6 * b[12] + a4 * b[10] + a2 * b[8]) + a6 * b[6] + a4 * b[4] + a2 * b[2] + identity * b[0]
        } else {
            u = identity * b[1]
            v = identity * b[0]
            var power = a2
            for i in stride(from: 2, to: order, by: 2) {
                if i > 2 { power = matmul(power, a2) }
                u = u + power * b[i + 1]
                v = v + power * b[i]
            }
        }
        u = matmul(a, u)
        return LinearAlgebra.solveUnchecked(v - u, v + u).result
    }
}

extension LinearAlgebra {
    /// The matrix exponential Σ Aⁱ / i! of `[..., n, n]`, by Padé approximants with scaling and squaring (Higham 2005), computed in double
    /// precision. PyTorch's `torch.matrix_exp`.
    public static func matrixExp(_ x: Tensor) -> Tensor {
        // Squaring multiplies rounding errors: all but the widest types are computed in twice their precision.
        switch x.dtype {
        case .float16, .bfloat16, .float32: return matrixExp(x.to(.float64)).to(x.dtype)
        case .complex64: return matrixExp(x.to(.complex128)).to(x.dtype)
        default: break
        }
        if x.isBatched { return x.lifted { x, _ in matrixExp(x) } }
        requireSquare("matrixExp", x)
        let out = x.count == 0 ? x.raw : withoutGrad { Pade.exponential(x.detached()).raw }
        return record(out, x) {
            let node = MatrixExponentialBackward()
            node.save(x)
            return node
        }
    }
}
