import CoreTensor
import NN

/// Adafactor (Shazeer and Stern, 2018) in PyTorch's form: the second moments of a matrix are kept as one mean per row and one per
/// column of its last two axes, so that the state is small; steps are relative to the size of the parameter and clipped.
///
/// β₂ₜ = 1 - t^τ, ρₜ = min(lr, 1/√t), α = max(ε₂, RMS(p)) ρₜ, p ← p (1 - lr λ) - α u / max(1, RMS(u) / d), u = g / √v.
public final class Adafactor: Optimizer {
    /// τ, not above 0.
    public let beta2Decay: Double
    /// ε₁, the least √v (nil: the machine epsilon of the parameter's type), and ε₂, the least size of a parameter.
    public let epsilons: (Double?, Double)
    /// d, the root mean square above which steps are shortened; at least 1.
    public let clippingThreshold: Double
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, beta2Decay: Double = -0.8,
        epsilons: (Double?, Double) = (nil, 1e-3), clippingThreshold: Double = 1, weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, beta2Decay: beta2Decay, epsilons: epsilons,
            clippingThreshold: clippingThreshold, weightDecay: weightDecay, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-2, beta2Decay: Double = -0.8,
        epsilons: (Double?, Double) = (nil, 1e-3), clippingThreshold: Double = 1, weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        if !(beta2Decay <= 0) { fail("Adafactor", "beta2Decay \(beta2Decay); must not be above 0") }
        if !(clippingThreshold >= 1) { fail("Adafactor", "a clippingThreshold of \(clippingThreshold); must be at least 1") }
        if let first = epsilons.0 { Optimizer.check("epsilon", first) }
        Optimizer.check("epsilon", epsilons.1)
        self.beta2Decay = beta2Decay
        self.epsilons = epsilons
        self.clippingThreshold = clippingThreshold
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay)
    }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let step = Double(countStep(&state))
        let g = maximize ? -gradient : gradient
        let p = parameter.value.detached()
        let share = pow(step, beta2Decay)
        let least = epsilons.0 ?? (p.dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne))
        let rate = max(epsilons.1, rootMeanSquare(p)) * min(group.learningRate, 1 / step.squareRoot())

        // An average that starts at 0; β₂ of the first step is 0 as well.
        func average(_ name: String, _ now: Tensor) -> Tensor {
            let old = state.removeValue(forKey: name) ?? Tensor(zerosLike: now)
            let new = old + (now - old) * share
            state[name] = new
            return new
        }
        let variance: Tensor
        if g.rank > 1 {
            let rows = average("rows", square(g).mean(-1, keepDims: true))
            let columns = average("columns", square(g).mean(-2, keepDims: true))
            variance = rows * columns / rows.mean(-2, keepDims: true).clamped(min: least)
        } else {
            variance = average("square", square(g))
        }
        let direction = g * rsqrt(variance.clamped(min: least * least))
        let shortening = max(1, rootMeanSquare(direction) / clippingThreshold)
        parameter.value = p * (1 - group.learningRate * group.weightDecay) - direction * (rate / shortening)
    }

    private func rootMeanSquare(_ x: Tensor) -> Double {
        if x.count == 0 { return 0 }
        return (x.raw.backend.sumOfSquares(x.contiguous().raw) / Double(x.count)).squareRoot()
    }

    public override func accepts(_ tensor: Tensor, named name: String, for parameter: Parameter) -> Bool {
        var shape = parameter.shape
        switch name {
        case "rows" where shape.count > 1: shape[shape.count - 1] = 1
        case "columns" where shape.count > 1: shape[shape.count - 2] = 1
        default: return super.accepts(tensor, named: name, for: parameter)
        }
        return tensor.shape == shape
    }
}
