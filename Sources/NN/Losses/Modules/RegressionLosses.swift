import CoreTensor

/// ``mseLoss(_:_:weight:reduction:)`` as a module.
public final class MSELoss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(reduction: Reduction = .mean) {
        self.reduction = reduction
    }

    /// Prediction and target of one shape.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        mseLoss(prediction, target, reduction: reduction)
    }
}

/// ``l1Loss(_:_:weight:reduction:)`` as a module.
public final class L1Loss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(reduction: Reduction = .mean) {
        self.reduction = reduction
    }

    /// Prediction and target of one shape.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        l1Loss(prediction, target, reduction: reduction)
    }
}

/// ``huberLoss(_:_:delta:weight:reduction:)`` as a module.
public final class HuberLoss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// Where the square ends.
    public let delta: Double

    /// The loss with the options given.
    public init(reduction: Reduction = .mean, delta: Double = 1) {
        self.reduction = reduction
        self.delta = delta
    }

    /// Prediction and target of one shape.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        huberLoss(prediction, target, delta: delta, reduction: reduction)
    }
}

/// ``smoothL1Loss(_:_:beta:reduction:)`` as a module.
public final class SmoothL1Loss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// Where the square ends.
    public let beta: Double

    /// The loss with the options given.
    public init(reduction: Reduction = .mean, beta: Double = 1) {
        self.reduction = reduction
        self.beta = beta
    }

    /// Prediction and target of one shape.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        smoothL1Loss(prediction, target, beta: beta, reduction: reduction)
    }
}

/// ``klDivergenceLoss(_:_:logTarget:reduction:)`` as a module.
public final class KLDivLoss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// Whether the target is given as log-probabilities.
    public let logTarget: Bool

    /// The loss with the options given.
    public init(reduction: Reduction = .mean, logTarget: Bool = false) {
        self.reduction = reduction
        self.logTarget = logTarget
    }

    /// Log-probabilities and a target distribution.
    public func callAsFunction(_ logProbabilities: Tensor, _ target: Tensor) -> Tensor {
        klDivergenceLoss(logProbabilities, target, logTarget: logTarget, reduction: reduction)
    }
}

/// ``poissonNLLLoss(_:_:logInput:full:eps:reduction:)`` as a module.
public final class PoissonNLLLoss: Module {
    /// Whether the prediction is a logarithm.
    public let logInput: Bool
    /// Whether Stirling's approximation of ln z! is added.
    public let full: Bool
    /// Against the logarithm of 0.
    public let eps: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(logInput: Bool = true, full: Bool = false, eps: Double = 1e-8, reduction: Reduction = .mean) {
        self.logInput = logInput
        self.full = full
        self.eps = eps
        self.reduction = reduction
    }

    /// Predicted rates and counts.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        poissonNLLLoss(prediction, target, logInput: logInput, full: full, eps: eps, reduction: reduction)
    }
}

/// ``gaussianNLLLoss(_:_:variance:full:eps:reduction:)`` as a module.
public final class GaussianNLLLoss: Module {
    /// Whether the constant is added.
    public let full: Bool
    /// The least variance.
    public let eps: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(full: Bool = false, eps: Double = 1e-6, reduction: Reduction = .mean) {
        self.full = full
        self.eps = eps
        self.reduction = reduction
    }

    /// Means, targets and variances.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor, variance: Tensor) -> Tensor {
        gaussianNLLLoss(prediction, target, variance: variance, full: full, eps: eps, reduction: reduction)
    }
}
