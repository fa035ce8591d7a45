import CoreTensor
import NN

/// RMSProp (Tieleman and Hinton, 2012) as PyTorch defines it: s ← α s + (1-α) g², p ← p - lr g / (√s + ε); `centered` subtracts
/// the squared mean of the gradient, `momentum` averages the steps.
public final class RMSProp: Optimizer {
    public let alpha: Double
    public let epsilon: Double
    public let momentum: Double
    public let centered: Bool
    public let maximize: Bool

    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, alpha: Double = 0.99, epsilon: Double = 1e-8,
        weightDecay: Double = 0, momentum: Double = 0, centered: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, alpha: alpha, epsilon: epsilon,
            weightDecay: weightDecay, momentum: momentum, centered: centered, maximize: maximize)
    }

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
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay)
    }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let sweep = RMSPropSweep(
            learningRate: group.learningRate, alpha: alpha, epsilon: epsilon, weightDecay: group.weightDecay,
            momentum: momentum, centered: centered, maximize: maximize)
        parameter.update { p in
            withState(&state, "square", like: p) { (square: RawTensor, state: inout [String: Tensor]) in
                withState(&state, centered ? "average" : nil, like: p) { average, state in
                    withState(&state, momentum > 0 ? "momentum" : nil, like: p) { buffer, _ in
                        p.backend.rmsProp(p, gradient.raw, square: square, average: average, momentum: buffer, sweep)
                    }
                }
            }
        }
    }
}
