import CoreTensor
import NN

/// Adam with Nesterov momentum (Dozat, 2016): the momentum of step t is μₜ = β₁ (1 - 0.96^(t ψ) / 2), and
/// p ← p - lr (μₜ₊₁ m / (1 - μ₁ … μₜ₊₁) + (1 - μₜ) g / (1 - μ₁ … μₜ)) / (√v̂ + ε).
public final class NAdam: Optimizer {
    /// β₁ and β₂, the shares of the old averages kept at each step; both in 0 ..< 1. β₁ in force is each group's `momentum`.
    public let betas: (Double, Double)
    /// ε, against division by 0.
    public let epsilon: Double
    /// ψ, how fast the momentum reaches β₁.
    public let momentumDecay: Double
    /// Whether weight decay multiplies the parameter by 1 - lr λ (as in AdamW) in place of adding λ p to the gradient.
    public let decoupledWeightDecay: Bool
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, momentumDecay: Double = 4e-3, decoupledWeightDecay: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
            momentumDecay: momentumDecay, decoupledWeightDecay: decoupledWeightDecay, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, momentumDecay: Double = 4e-3, decoupledWeightDecay: Bool = false, maximize: Bool = false
    ) {
        Optimizer.check("beta", betas.0, below: 1)
        Optimizer.check("beta", betas.1, below: 1)
        Optimizer.check("epsilon", epsilon)
        Optimizer.check("momentumDecay", momentumDecay)
        self.betas = betas
        self.epsilon = epsilon
        self.momentumDecay = momentumDecay
        self.decoupledWeightDecay = decoupledWeightDecay
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: betas.0)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let beta1 = group.momentum ?? betas.0, step = Double(countStep(&state))
        let mu = beta1 * (1 - 0.5 * pow(0.96, step * momentumDecay))
        let next = beta1 * (1 - 0.5 * pow(0.96, (step + 1) * momentumDecay))
        // PyTorch keeps the product in float32; its digits show in float64 parameters.
        let product = (state["muProduct"]?.item(Float.self) ?? 1) * Float(mu)
        state["muProduct"] = Tensor(product)
        var numbers = SweepNumbers(rate: group.learningRate * (1 - mu) / (1 - Double(product)))
        numbers.decay = decoupledWeightDecay ? 0 : group.weightDecay
        numbers.shrink = decoupledWeightDecay ? 1 - group.learningRate * group.weightDecay : 1
        numbers.maximize = maximize
        numbers.epsilon = epsilon
        numbers.c.0 = 1 - beta1
        numbers.c.1 = betas.1
        numbers.c.2 = 1 - betas.1
        numbers.c.3 = group.learningRate * next / (1 - Double(product) * next)
        numbers.c.4 = 1 / (1 - pow(betas.1, step)).squareRoot()
        sweep(.nadam, parameter, gradient, &state, "m", "v", numbers)
    }
}
