/// Activations with a fused derivative: one pass when the gradient itself is not recorded, tensor operations when it is.
class ActivationBackward: Node, @unchecked Sendable {
    final func fused(_ op: UnaryGradKernel, _ g: Tensor, _ composed: (Tensor) -> Tensor) -> Tensor {
        let s = saved(0)
        if g.isBatched || s.dtype.isComplex || (isGradEnabled && (s.requiresGrad || g.requiresGrad)) {
            return g * conj(composed(s))
        }
        let dense = s.raw.contiguous()
        let out = RawTensor(dense.layout, dense.dtype, dense.device)
        out.backend.unaryGrad(op, saved: dense, g.raw.broadcast(to: s.shape).contiguous(), out)
        return Tensor(raw: out)
    }
}

final class TanhBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fused(.tanhOutput, g) { y in 1 - y * y } }
}

/// Hyperbolic tangent. Elementwise.
public func tanh(_ x: Tensor) -> Tensor {
    unary(.tanh, x) { _, out in
        let node = TanhBackward()
        node.save(output: out)
        return node
    }
}

final class SigmoidBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fused(.sigmoidOutput, g) { y in y * (1 - y) } }
}

/// 1 / (1 + e⁻ˣ). Elementwise.
public func sigmoid(_ x: Tensor) -> Tensor {
    unary(.sigmoid, x) { _, out in
        let node = SigmoidBackward()
        node.save(output: out)
        return node
    }
}

final class ReLUBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fused(.reluOutput, g) { y in (y .> 0).to(y.dtype) } }
}

/// max(x, 0); the slope at 0 is 0, NaN stays. Elementwise.
public func relu(_ x: Tensor) -> Tensor {
    unary(.relu, x, keepsIntegers: true) { _, out in
        let node = ReLUBackward()
        node.save(output: out)
        return node
    }
}

/// The two forms of GELU.
public enum GELUApproximation: String, Sendable { case none, tanh }

final class GELUBackward: ActivationBackward, @unchecked Sendable {
    let approximation: GELUApproximation
    init(_ approximation: GELUApproximation) {
        self.approximation = approximation
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        switch approximation {
        case .none:
            // Φ(x) + x φ(x)
            fused(.geluErf, g) { x in
                (erf(x * 0.70710678118654752440) + 1) * 0.5 + x * exp(x * x * -0.5) * 0.39894228040143267794
            }
        case .tanh:
            fused(.geluTanh, g) { x in
                let c = 0.79788456080286535588
                let t = tanh((x + x * x * x * 0.044715) * c)
                return (t + 1) * 0.5 + x * (1 - t * t) * (x * x * (3 * 0.044715) + 1) * (0.5 * c)
            }
        }
    }
}

/// Gaussian error linear unit, x Φ(x) (Hendrycks and Gimpel, 2016), or its tanh form (GPT-2's). Elementwise.
public func gelu(_ x: Tensor, approximate: GELUApproximation = .none) -> Tensor {
    unary(approximate == .none ? .geluErf : .geluTanh, x) { x, _ in
        let node = GELUBackward(approximate)
        node.save(x)
        return node
    }
}

final class SiLUBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        fused(.silu, g) { x in
            let s = sigmoid(x)
            return s * (x * (1 - s) + 1)
        }
    }
}

/// x · sigmoid(x), also called Swish. Elementwise.
public func silu(_ x: Tensor) -> Tensor {
    unary(.silu, x) { x, _ in
        let node = SiLUBackward()
        node.save(x)
        return node
    }
}

final class SoftplusBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fused(.softplus, g) { x in sigmoid(x) } }
}

/// ln(1 + eˣ), without overflow. Elementwise.
public func softplus(_ x: Tensor) -> Tensor {
    unary(.softplus, x) { x, _ in
        let node = SoftplusBackward()
        node.save(x)
        return node
    }
}

/// ln(1 + e^(βx)) / β, and x itself where βx is above `threshold`, as PyTorch's. Elementwise.
public func softplus(_ x: Tensor, beta: Double, threshold: Double = 20) -> Tensor {
    if !(beta > 0) { fail("softplus", "beta \(beta); must be above 0") }
    return which(x * beta .> threshold, x, softplus(x * beta) / beta)
}

final class LogSigmoidBackward: ActivationBackward, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fused(.logSigmoid, g) { x in sigmoid(-x) } }
}

/// ln(sigmoid(x)), without overflow. Elementwise.
public func logSigmoid(_ x: Tensor) -> Tensor {
    unary(.logSigmoid, x) { x, _ in
        let node = LogSigmoidBackward()
        node.save(x)
        return node
    }
}

/// max(x, 0) + slope · min(x, 0). Elementwise.
public func leakyReLU(_ x: Tensor, negativeSlope: Double = 0.01) -> Tensor { which(x .> 0, x, x * negativeSlope) }

/// x where x > 0, α (eˣ - 1) elsewhere. Elementwise.
public func elu(_ x: Tensor, alpha: Double = 1) -> Tensor {
    // The exponent is cut at 0 so that the unused branch cannot give 0 · ∞.
    which(x .> 0, x, expm1(minimum(x, 0)) * alpha)
}
