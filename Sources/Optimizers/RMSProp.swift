import CoreTensor
import NN

/// RMSProp (Tieleman and Hinton, 2012) as PyTorch defines it: s ← α s + (1-α) g², p ← p - lr g / (√s + ε); `centered` subtracts
/// the squared mean of the gradient, `momentum` averages the steps.
public final class RMSProp: Optimizer {
    /// α, the share of the old average of g² kept at each step.
    public let alpha: Double
    /// ε, added to √s so that nothing is divided by 0.
    public let epsilon: Double
    /// μ of b ← μ b + g / (√s + ε), p ← p - lr b; 0 for none.
    public let momentum: Double
    /// Whether the squared running mean of g is taken from s (Graves, 2013), which makes it a variance.
    public let centered: Bool
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers below 0.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, alpha: Double = 0.99, epsilon: Double = 1e-8,
        weightDecay: Double = 0, momentum: Double = 0, centered: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, alpha: alpha, epsilon: epsilon,
            weightDecay: weightDecay, momentum: momentum, centered: centered, maximize: maximize)
    }

    /// Groups with learning rates and weight decays of their own; the numbers here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-2, alpha: Double = 0.99, epsilon: Double = 1e-8,
        weightDecay: Double = 0, momentum: Double = 0, centered: Bool = false, maximize: Bool = false
    ) {
        Optimizer.check("alpha", alpha)
        Optimizer.check("epsilon", epsilon)
        Optimizer.check("momentum", momentum)
        self.alpha = alpha
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: momentum)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let sweep = RMSPropSweep(
            learningRate: group.learningRate, alpha: alpha, epsilon: epsilon, weightDecay: group.weightDecay,
            momentum: group.momentum ?? momentum, centered: centered, maximize: maximize)
        parameter.update { p in
            withState(&state, "square", like: p) { (square: RawTensor, state: inout [String: Tensor]) in
                withState(&state, centered ? "average" : nil, like: p) { average, state in
                    withState(&state, sweep.momentum > 0 ? "momentum" : nil, like: p) { buffer, _ in
                        run(.rmsProp(sweep), p, gradient.raw, square, average, buffer)
                    }
                }
            }
        }
    }
}
