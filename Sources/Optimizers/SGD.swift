import CoreTensor
import NN

/// Stochastic gradient descent, with momentum in PyTorch's form v ← μ v + (1 - τ) g (τ: dampening), p ← p - lr v, or Nesterov's.
///
/// The exponential-average form of momentum, v ← β v + (1 - β) g, is ``averaged(_:learningRate:beta:weightDecay:)``.
public final class SGD: Optimizer {
    /// μ, the share of the old velocity kept at each step; 0 for plain descent.
    public let momentum: Double
    /// τ, what the gradient's share of the velocity falls short of 1 by.
    public let dampening: Double
    /// Whether the step goes along g + μ v instead of v (Sutskever et al., 2013).
    public let nesterov: Bool
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool
    /// Whether the first step, too, is dampened (it is not in PyTorch's form).
    private let dampensFirstStep: Bool

    /// Groups with learning rates and weight decays of their own; the numbers here stand where a group has none. Traps on
    /// Nesterov momentum without momentum or with dampening.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-3, momentum: Double = 0, dampening: Double = 0,
        weightDecay: Double = 0, nesterov: Bool = false, maximize: Bool = false
    ) {
        Optimizer.check("momentum", momentum)
        if nesterov && (momentum <= 0 || dampening != 0) {
            fail("SGD", "Nesterov momentum needs a momentum above 0 and no dampening")
        }
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.maximize = maximize
        dampensFirstStep = false
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: momentum)
    }

    /// One group of parameters. Traps on Nesterov momentum without momentum or with dampening.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, momentum: Double = 0, dampening: Double = 0,
        weightDecay: Double = 0, nesterov: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, momentum: momentum, dampening: dampening,
            weightDecay: weightDecay, nesterov: nesterov, maximize: maximize)
    }

    private init(_ groups: [ParameterGroup], learningRate: Double, beta: Double, weightDecay: Double) {
        Optimizer.check("beta", beta, below: 1)
        momentum = beta
        dampening = beta
        nesterov = false
        maximize = false
        dampensFirstStep = true
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: momentum)
    }

    /// Momentum as an exponential average that starts at 0: v ← β v + (1 - β) g, p ← p - lr v.
    public static func averaged(
        _ parameters: [Parameter], learningRate: Double = 1e-3, beta: Double = 0.9, weightDecay: Double = 0
    ) -> SGD {
        SGD([ParameterGroup(parameters)], learningRate: learningRate, beta: beta, weightDecay: weightDecay)
    }

    /// Without momentum and decay; the rest of the table has no state either.
    public override func leavesZeroGradientsAlone(_ group: Group, _ state: [String: Tensor]) -> Bool {
        (group.momentum ?? momentum) == 0 && group.weightDecay == 0
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let momentum = group.momentum ?? momentum
        let sweep = SGDSweep(
            learningRate: group.learningRate, weightDecay: group.weightDecay, momentum: momentum, dampening: dampening,
            nesterov: nesterov, isFirst: momentum > 0 && state["momentum"] == nil && !dampensFirstStep, maximize: maximize)
        parameter.update { p in
            withState(&state, momentum > 0 ? "momentum" : nil, like: p) { buffer, _ in
                run(.sgd(sweep), p, gradient.raw, buffer)
            }
        }
    }
}
