import CoreTensor
import NN

/// Adamax (Kingma and Ba, 2015): m ← β₁ m + (1-β₁) g, u ← max(β₂ u, |g| + ε), p ← p - lr / (1 - β₁ᵗ) · m / u, with λ p added
/// to g.
public final class Adamax: Optimizer {
    /// β₁ and β₂, the shares of the old averages kept at each step; both in 0 ..< 1. β₁ in force is each group's `momentum`.
    public let betas: (Double, Double)
    /// ε, against division by 0.
    public let epsilon: Double
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
            maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 2e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, maximize: Bool = false
    ) {
        Optimizer.check("beta", betas.0, below: 1)
        Optimizer.check("beta", betas.1, below: 1)
        Optimizer.check("epsilon", epsilon)
        self.betas = betas
        self.epsilon = epsilon
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: betas.0)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let beta1 = group.momentum ?? betas.0
        var numbers = SweepNumbers(rate: group.learningRate / (1 - pow(beta1, Double(countStep(&state)))))
        numbers.decay = group.weightDecay
        numbers.epsilon = epsilon
        numbers.maximize = maximize
        numbers.c.0 = 1 - beta1
        numbers.c.1 = betas.1
        sweep(.adamax, parameter, gradient, &state, "m", "u", numbers)
    }
}
