import CoreTensor
import NN

/// Adadelta (Zeiler, 2012): s ← ρ s + (1-ρ) g², δ = √(u + ε) / √(s + ε) · g, u ← ρ u + (1-ρ) δ², p ← p - lr δ, with λ p added
/// to g.
public final class Adadelta: Optimizer {
    /// ρ, the share of the old averages kept at each step, in 0 ... 1.
    public let rho: Double
    /// ε, against division by 0.
    public let epsilon: Double
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6, weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, rho: rho, epsilon: epsilon, weightDecay: weightDecay,
            maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6, weightDecay: Double = 0,
        maximize: Bool = false
    ) {
        if !(0...1).contains(rho) { fail("Adadelta", "rho \(rho); must be in 0 ... 1") }
        Optimizer.check("epsilon", epsilon)
        self.rho = rho
        self.epsilon = epsilon
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        var numbers = SweepNumbers(rate: group.learningRate)
        numbers.decay = group.weightDecay
        numbers.epsilon = epsilon
        numbers.maximize = maximize
        numbers.c.0 = rho
        numbers.c.1 = 1 - rho
        sweep(.adadelta, parameter, gradient, &state, "square", "delta", numbers)
    }
}
