import CoreTensor
import NN

/// Adagrad (Duchi et al., 2011): s ← s + g², p ← p - lr / (1 + (t - 1) η) · g / (√s + ε), with λ p added to g.
public final class Adagrad: Optimizer {
    /// η, by which the rate falls with each step.
    public let learningRateDecay: Double
    /// What s starts at.
    public let initialAccumulator: Double
    /// ε, against division by 0.
    public let epsilon: Double
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, learningRateDecay: Double = 0, weightDecay: Double = 0,
        initialAccumulator: Double = 0, epsilon: Double = 1e-10, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, learningRateDecay: learningRateDecay,
            weightDecay: weightDecay, initialAccumulator: initialAccumulator, epsilon: epsilon, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-2, learningRateDecay: Double = 0, weightDecay: Double = 0,
        initialAccumulator: Double = 0, epsilon: Double = 1e-10, maximize: Bool = false
    ) {
        Optimizer.check("learningRateDecay", learningRateDecay)
        Optimizer.check("initialAccumulator", initialAccumulator)
        Optimizer.check("epsilon", epsilon)
        self.learningRateDecay = learningRateDecay
        self.initialAccumulator = initialAccumulator
        self.epsilon = epsilon
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay)
    }

    /// Without decay, from the second step on: the first makes the accumulator.
    public override func leavesZeroGradientsAlone(_ group: Group, _ state: [String: Tensor]) -> Bool {
        group.weightDecay == 0 && state["sum"] != nil
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let step = countStep(&state)
        if state["sum"] == nil && initialAccumulator != 0 {
            state["sum"] = Tensor(
                repeating: initialAccumulator, shape: parameter.shape, dtype: parameter.dtype.ofStates, device: gradient.device)
        }
        var numbers = SweepNumbers(rate: group.learningRate / (1 + Double(step - 1) * learningRateDecay))
        numbers.decay = group.weightDecay
        numbers.epsilon = epsilon
        numbers.maximize = maximize
        sweep(.adagrad, parameter, gradient, &state, "sum", nil, numbers)
    }
}
