import CoreTensor
import NN

/// Resilient backpropagation (Riedmiller and Braun, 1993): each element has a step of its own, which grows by η₊ while its gradient
/// keeps its sign and shrinks by η₋ where it changes; the element then moves by that step against the sign. For whole
/// batches. The learning rate is the first step.
public final class Rprop: Optimizer {
    /// η₋ and η₊, with 0 < η₋ < 1 < η₊.
    public let etas: (Double, Double)
    /// The smallest and the largest step.
    public let stepSizes: (Double, Double)
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, etas: (Double, Double) = (0.5, 1.2),
        stepSizes: (Double, Double) = (1e-6, 50), maximize: Bool = false
    ) {
        self.init([ParameterGroup(parameters)], learningRate: learningRate, etas: etas, stepSizes: stepSizes, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-2, etas: (Double, Double) = (0.5, 1.2),
        stepSizes: (Double, Double) = (1e-6, 50), maximize: Bool = false
    ) {
        if !(0 < etas.0 && etas.0 < 1 && 1 < etas.1) { fail("Rprop", "etas \(etas); must be 0 < η₋ < 1 < η₊") }
        self.etas = etas
        self.stepSizes = stepSizes
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: 0)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        if state["stepSize"] == nil {
            state["stepSize"] = Tensor(
                repeating: group.learningRate, shape: parameter.shape, dtype: parameter.dtype.ofStates, device: gradient.device)
        }
        var numbers = SweepNumbers(rate: 1)
        numbers.maximize = maximize
        numbers.c = (etas.0, etas.1, stepSizes.0, stepSizes.1, 0)
        sweep(.rprop, parameter, gradient, &state, "previous", "stepSize", numbers)
    }
}
