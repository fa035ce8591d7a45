import CoreTensor
import NN

/// Rectified Adam (Liu et al., 2020): the steps of Adam scaled by r while the variance of v̂ is finite (ρ > 5), plain momentum
/// before that.
public final class RAdam: Optimizer {
    /// β₁ and β₂, the shares of the old averages kept at each step; both in 0 ..< 1. β₁ in force is each group's `momentum`.
    public let betas: (Double, Double)
    /// ε, against division by 0.
    public let epsilon: Double
    /// Whether weight decay multiplies the parameter by 1 - lr λ (as in AdamW) in place of adding λ p to the gradient.
    public let decoupledWeightDecay: Bool
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, decoupledWeightDecay: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
            decoupledWeightDecay: decoupledWeightDecay, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
        weightDecay: Double = 0, decoupledWeightDecay: Bool = false, maximize: Bool = false
    ) {
        Optimizer.check("beta", betas.0, below: 1)
        Optimizer.check("beta", betas.1, below: 1)
        Optimizer.check("epsilon", epsilon)
        self.betas = betas
        self.epsilon = epsilon
        self.decoupledWeightDecay = decoupledWeightDecay
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: betas.0)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let beta1 = group.momentum ?? betas.0, beta2 = betas.1, step = Double(countStep(&state))
        let decay = pow(beta2, step), correction2 = 1 - decay
        let longest = 2 / (1 - beta2) - 1
        let length = longest - 2 * step * decay / correction2
        let isRectified = length > 5
        var numbers = SweepNumbers(rate: group.learningRate / (1 - pow(beta1, step)))
        if isRectified {
            let r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            numbers.rate *= correction2.squareRoot() * r.squareRoot()
        }
        numbers.decay = decoupledWeightDecay ? 0 : group.weightDecay
        numbers.shrink = decoupledWeightDecay ? 1 - group.learningRate * group.weightDecay : 1
        numbers.maximize = maximize
        numbers.epsilon = epsilon
        numbers.c.0 = 1 - beta1
        numbers.c.1 = beta2
        numbers.c.2 = 1 - beta2
        numbers.c.3 = isRectified ? 1 : 0
        sweep(.radam, parameter, gradient, &state, "m", "v", numbers)
    }
}
