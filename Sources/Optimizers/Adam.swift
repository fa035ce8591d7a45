import CoreTensor
import NN

/// Adam (Kingma and Ba, 2015): m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← p - lr m̂ / (√v̂ + ε), with bias-corrected m̂ and v̂.
/// Weight decay is added to the gradient; ``AdamW`` decouples it.
open class Adam: Optimizer {
    /// β₁ and β₂, the shares of the old averages kept at each step; both in 0 ..< 1. β₁ in force is each group's `momentum`.
    public final let betas: (Double, Double)
    /// ε, added to √v̂ so that nothing is divided by 0.
    public final let epsilon: Double
    /// Uses the largest v so far (Reddi et al., 2018).
    public final let amsgrad: Bool
    /// Whether the parameters climb the gradient instead of descending.
    public final let maximize: Bool
    final let decoupled: Bool

    /// One group of parameters. Traps on a beta outside 0 ..< 1 or any other number below 0.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon,
            weightDecay: weightDecay, amsgrad: amsgrad, maximize: maximize)
    }

    /// Groups with learning rates and weight decays of their own; the numbers here stand where a group has none.
    public convenience init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 0, amsgrad: Bool = false, maximize: Bool = false
    ) {
        self.init(
            groups, learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
            amsgrad: amsgrad, maximize: maximize, decoupled: false)
    }

    init(
        _ groups: [ParameterGroup], learningRate: Double, betas: (Double, Double), epsilon: Double, weightDecay: Double,
        amsgrad: Bool, maximize: Bool, decoupled: Bool
    ) {
        Optimizer.check("beta", betas.0, below: 1)
        Optimizer.check("beta", betas.1, below: 1)
        Optimizer.check("epsilon", epsilon)
        self.betas = betas
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.maximize = maximize
        self.decoupled = decoupled
        super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentum: betas.0)
    }

    final override var sweepsNarrowParameters: Bool { true }

    public final override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        let step = countStep(&state)
        let sweep = AdamSweep(
            learningRate: group.learningRate, beta1: group.momentum ?? betas.0, beta2: betas.1, epsilon: epsilon,
            weightDecay: group.weightDecay, step: step, decoupled: decoupled, maximize: maximize)
        parameter.update { p in
            withState(&state, "m", like: p) { (m: RawTensor, state: inout [String: Tensor]) in
                withState(&state, "v", like: p) { (v: RawTensor, state: inout [String: Tensor]) in
                    withState(&state, amsgrad ? "maxV" : nil, like: p) { maxV, _ in
                        if mayPutOff {
                            putOff.append(AdamStep(p: p, g: gradient.raw, m: m, v: v, maxV: maxV, options: sweep))
                        } else {
                            run(.adam(sweep), p, gradient.raw, m, v, maxV)
                        }
                    }
                }
            }
        }
    }

    private final var putOff: [AdamStep] = []

    /// The parameters of a device at once.
    override final func finishUpdates() {
        for steps in Dictionary(grouping: putOff, by: \.p.device).values { steps[0].p.backend.adam(steps) }
        putOff = []
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019): p ← p (1 - lr λ) before the step.
public final class AdamW: Adam {
    /// One group of parameters. Traps on a beta outside 0 ..< 1 or any other number below 0.
    public convenience init(
        _ parameters: [Parameter], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 1e-2, amsgrad: Bool = false, maximize: Bool = false
    ) {
        self.init(
            [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon,
            weightDecay: weightDecay, amsgrad: amsgrad, maximize: maximize)
    }

    /// Groups with learning rates and weight decays of their own; the numbers here stand where a group has none.
    public convenience init(
        _ groups: [ParameterGroup], learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999),
        epsilon: Double = 1e-8, weightDecay: Double = 1e-2, amsgrad: Bool = false, maximize: Bool = false
    ) {
        self.init(
            groups, learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
            amsgrad: amsgrad, maximize: maximize, decoupled: true)
    }
}
