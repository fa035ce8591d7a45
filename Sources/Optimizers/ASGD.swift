import CoreTensor
import NN

/// Averaged stochastic gradient descent (Polyak and Juditsky, 1992): p ← p (1 - λ η) - η g with η = lr / (1 + λ lr t)^α, and the
/// running average a ← a + (p - a) / max(1, t - t₀) of the parameters; see ``averages``.
public final class ASGD: Optimizer {
    /// λ of the rule: decay, and how fast η falls.
    public let lambda: Double
    /// α, the power by which η falls.
    public let alpha: Double
    /// t₀, the step after which averaging starts.
    public let start: Double
    /// Whether the parameters climb the gradient instead of descending.
    public let maximize: Bool

    /// One group of parameters. Traps on numbers out of their range.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-2, lambda: Double = 1e-4, alpha: Double = 0.75, start: Double = 1e6,
        weightDecay: Double = 0, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, lambda: lambda, alpha: alpha, start: start,
            weightDecay: weightDecay, maximize: maximize)
    }

    /// Groups with numbers of their own; those given here stand where a group has none.
    public init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-2, lambda: Double = 1e-4, alpha: Double = 0.75, start: Double = 1e6,
        weightDecay: Double = 0, maximize: Bool = false
    ) {
        Optimizer.check("lambda", lambda)
        Optimizer.check("alpha", alpha)
        self.lambda = lambda
        self.alpha = alpha
        self.start = start
        self.maximize = maximize
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay)
    }

    override var sweepsNarrowParameters: Bool { true }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let step = Double(countStep(&state))
        // η and 1 / (t - t₀) are those of the step before, which PyTorch keeps in float32.
        let eta = Double(state["eta"]?.item(Float.self) ?? Float(group.learningRate))
        let mu = state["mu"]?.item(Float.self) ?? 1
        var numbers = SweepNumbers(rate: eta)
        numbers.decay = group.weightDecay
        numbers.shrink = 1 - lambda * eta
        numbers.maximize = maximize
        numbers.c.0 = Double(mu)
        sweep(.asgd, parameter, gradient, &state, "average", nil, numbers)
        state["eta"] = Tensor(Float(group.learningRate / pow(1 + lambda * group.learningRate * step, alpha)))
        state["mu"] = Tensor(Float(1 / max(1, step - start)))
    }

    /// The averaged values of each parameter, in the order of ``Optimizer/parameters``; the parameter itself before its first step.
    public var averages: [Tensor] {
        zip(parameters, states).map { parameter, state in state["average"] ?? parameter.value.detached() }
    }
}
