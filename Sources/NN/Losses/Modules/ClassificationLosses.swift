import CoreTensor

/// ``crossEntropy(_:_:weight:ignoreIndex:labelSmoothing:reduction:classAxis:)`` as a module.
public final class CrossEntropyLoss: Module {
    /// A factor per class.
    public let weight: Buffer?
    /// Labels with this value count for nothing.
    public let ignoreIndex: Int
    /// The share of the target given to all classes alike.
    public let labelSmoothing: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// The axis of the classes; PyTorch's is 1.
    public let classAxis: Int

    /// The loss with the options given.
    public init(
        weight: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0, reduction: Reduction = .mean,
        classAxis: Int = -1
    ) {
        self.weight = weight.map(Buffer.init)
        self.ignoreIndex = ignoreIndex
        self.labelSmoothing = labelSmoothing
        self.reduction = reduction
        self.classAxis = classAxis
    }

    /// Logits with integer labels or probabilities as targets.
    public func callAsFunction(_ logits: Tensor, _ targets: Tensor) -> Tensor {
        crossEntropy(
            logits, targets, weight: weight?.value, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing,
            reduction: reduction, classAxis: classAxis)
    }
}

/// ``nllLoss(_:_:weight:ignoreIndex:reduction:classAxis:)`` as a module.
public final class NLLLoss: Module {
    /// A factor per class.
    public let weight: Buffer?
    /// Labels with this value count for nothing.
    public let ignoreIndex: Int
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// The axis of the classes; PyTorch's is 1.
    public let classAxis: Int

    /// The loss with the options given.
    public init(weight: Tensor? = nil, ignoreIndex: Int = -100, reduction: Reduction = .mean, classAxis: Int = -1) {
        self.weight = weight.map(Buffer.init)
        self.ignoreIndex = ignoreIndex
        self.reduction = reduction
        self.classAxis = classAxis
    }

    /// Log-probabilities with integer labels.
    public func callAsFunction(_ logProbabilities: Tensor, _ labels: Tensor) -> Tensor {
        nllLoss(
            logProbabilities, labels, weight: weight?.value, ignoreIndex: ignoreIndex, reduction: reduction, classAxis: classAxis)
    }
}

/// ``binaryCrossEntropy(_:_:weight:reduction:)`` as a module.
public final class BCELoss: Module {
    /// A factor per element, broadcast.
    public let weight: Buffer?
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(weight: Tensor? = nil, reduction: Reduction = .mean) {
        self.weight = weight.map(Buffer.init)
        self.reduction = reduction
    }

    /// Probabilities and targets in 0 ... 1, of one shape.
    public func callAsFunction(_ probabilities: Tensor, _ targets: Tensor) -> Tensor {
        binaryCrossEntropy(probabilities, targets, weight: weight?.value, reduction: reduction)
    }
}

/// ``bceWithLogits(_:_:weight:positiveWeight:reduction:)`` as a module.
public final class BCEWithLogitsLoss: Module {
    /// A factor per element, broadcast.
    public let weight: Buffer?
    /// A factor of the positive part, broadcast.
    public let positiveWeight: Buffer?
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(weight: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: Reduction = .mean) {
        self.weight = weight.map(Buffer.init)
        self.positiveWeight = positiveWeight.map(Buffer.init)
        self.reduction = reduction
    }

    /// Logits and targets in 0 ... 1, of one shape.
    public func callAsFunction(_ logits: Tensor, _ targets: Tensor) -> Tensor {
        bceWithLogits(logits, targets, weight: weight?.value, positiveWeight: positiveWeight?.value, reduction: reduction)
    }
}

/// ``multiMarginLoss(_:_:p:margin:weight:reduction:)`` as a module.
public final class MultiMarginLoss: Module {
    /// The power, 1 or 2.
    public let p: Int
    /// The margin.
    public let margin: Double
    /// A factor per class.
    public let weight: Buffer?
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(p: Int = 1, margin: Double = 1, weight: Tensor? = nil, reduction: Reduction = .mean) {
        self.p = p
        self.margin = margin
        self.weight = weight.map(Buffer.init)
        self.reduction = reduction
    }

    /// Scores `[batch, classes]` with labels `[batch]`.
    public func callAsFunction(_ scores: Tensor, _ labels: Tensor) -> Tensor {
        multiMarginLoss(scores, labels, p: p, margin: margin, weight: weight?.value, reduction: reduction)
    }
}

/// ``multilabelMarginLoss(_:_:reduction:)`` as a module.
public final class MultilabelMarginLoss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(reduction: Reduction = .mean) {
        self.reduction = reduction
    }

    /// Scores `[batch, classes]` with lists of labels of the same shape.
    public func callAsFunction(_ scores: Tensor, _ labels: Tensor) -> Tensor {
        multilabelMarginLoss(scores, labels, reduction: reduction)
    }
}

/// ``multilabelSoftMarginLoss(_:_:weight:reduction:)`` as a module.
public final class MultilabelSoftMarginLoss: Module {
    /// A factor per element, broadcast.
    public let weight: Buffer?
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(weight: Tensor? = nil, reduction: Reduction = .mean) {
        self.weight = weight.map(Buffer.init)
        self.reduction = reduction
    }

    /// Logits and targets `[..., classes]`.
    public func callAsFunction(_ logits: Tensor, _ targets: Tensor) -> Tensor {
        multilabelSoftMarginLoss(logits, targets, weight: weight?.value, reduction: reduction)
    }
}

/// ``ctcLoss(_:_:inputLengths:targetLengths:blank:reduction:zeroInfinity:)`` as a module.
public final class CTCLoss: Module {
    /// The class that stands for no label.
    public let blank: Int
    /// How the losses of single elements become one result.
    public let reduction: Reduction
    /// Whether infinite losses become 0.
    public let zeroInfinity: Bool

    /// The loss with the options given.
    public init(blank: Int = 0, reduction: Reduction = .mean, zeroInfinity: Bool = false) {
        self.blank = blank
        self.reduction = reduction
        self.zeroInfinity = zeroInfinity
    }

    /// Log-probabilities `[time, batch, classes]` with label sequences.
    public func callAsFunction(_ logProbabilities: Tensor, _ targets: Tensor, inputLengths: [Int], targetLengths: [Int]) -> Tensor
    {
        ctcLoss(
            logProbabilities, targets, inputLengths: inputLengths, targetLengths: targetLengths, blank: blank,
            reduction: reduction, zeroInfinity: zeroInfinity)
    }
}
