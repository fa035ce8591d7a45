import CoreTensor
import NN

/// Lion (Chen et al., 2023): p ← p (1 - lr λ) - lr sign(β₁ m + (1-β₁) g), m ← β₂ m + (1-β₂) g.
public final class Lion: Optimizer {
    /// β₁ and β₂, the shares of the old averages kept at each step; both in 0 ..< 1. β₁ in force is each group's `momentum`.
    public let betas: (Double, Double)
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-4, betas: (Double, Double) = (0.9, 0.99), weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, weightDecay: weightDecay, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-4, betas: (Double, Double) = (0.9, 0.99), weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        Optimizer.check("beta", betas.0, below: 1)
        Optimizer.check("beta", betas.1, below: 1)
        self.betas = betas
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: betas.0)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let beta1 = group.momentum ?? betas.0
        var numbers = SweepNumbers(rate: group.learningRate)
        numbers.shrink = 1 - group.learningRate * group.weightDecay
        numbers.maximize = maximize
        numbers.c = (beta1, 1 - beta1, betas.1, 1 - betas.1, 0)
        sweep(.lion, parameter, gradient, &state, "m", nil, numbers)
    }
}
