import CKernels

/// Update rules of the rarer optimizers, each one pass over parameter, gradient and state. Raw values are those of the C kernels.
///
/// With d = ±g + decay p and q = p · shrink, both from the old p, and the rule's numbers c₀ …:
///
/// - `adagrad`: a ← a + d²; p ← q - rate d / (√a + ε)
/// - `adadelta`: a ← c₀ a + c₁ d²; s = √(b + ε) / √(a + ε) d; b ← c₀ b + c₁ s²; p ← q - rate s
/// - `adamax`: a ← a + c₀ (d - a); b ← max(c₁ b, |d| + ε); p ← q - rate a / b
/// - `nadam`: a ← a + c₀ (d - a); b ← c₁ b + c₂ d²; p ← q - (rate d + c₃ a) / (√b c₄ + ε)
/// - `radam`: a and b as in `nadam`; p ← q - rate a / (√b + ε), undivided if c₃ is 0
/// - `asgd`: p ← q - rate d; a ← a + c₀ (p - a)
/// - `rprop`: b grows by c₁ where d a > 0 and shrinks by c₀ where d a < 0 (there d is 0), within c₂ … c₃; a ← d; p ← q - sign(d) b
/// - `lion`: p ← q - rate sign(c₀ a + c₁ d); a ← c₂ a + c₃ d
public enum SweepKernel: Int32, Sendable {
    case adagrad = 0
    case adadelta, adamax, nadam, radam, asgd, rprop, lion
}

/// The numbers of one step of a ``SweepKernel``.
public struct SweepNumbers: Sendable {
    /// λ: what of the parameter is added to the gradient.
    public var decay = 0.0
    /// What the parameter is multiplied by before the step: decoupled weight decay.
    public var shrink = 1.0
    /// The step along the direction that the rule finds.
    public var rate: Double
    /// ε, against division by 0.
    public var epsilon = 0.0
    /// c₀ … c₄ of the rule.
    public var c: (Double, Double, Double, Double, Double) = (0, 0, 0, 0, 0)
    /// Negates the gradient, to climb.
    public var maximize = false
    /// A rule's numbers; what is not set stands as it is.
    public init(rate: Double) { self.rate = rate }
}

extension CPUBackend {
    /// One sweep over `p` and its states, by `tk_sweep`; float32 and float64.
    public func sweep(
        _ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers
    ) {
        var o = numbers.kernelOptions
        tk_sweep(rule.rawValue, p.dtype.code, p.pointer, g.pointer, a.pointer, b?.pointer, Int64(p.count), &o)
    }
}

extension SweepNumbers {
    var kernelOptions: tk_sweep_options {
        tk_sweep_options(decay: decay, shrink: shrink, rate: rate, eps: epsilon, c: c, maximize: maximize ? 1 : 0)
    }
}
