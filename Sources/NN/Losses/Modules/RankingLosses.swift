import CoreTensor

/// ``softMarginLoss(_:_:reduction:)`` as a module.
public final class SoftMarginLoss: Module {
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(reduction: Reduction = .mean) {
        self.reduction = reduction
    }

    /// Prediction and targets ±1 of one shape.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        softMarginLoss(prediction, target, reduction: reduction)
    }
}

/// ``hingeEmbeddingLoss(_:_:margin:reduction:)`` as a module.
public final class HingeEmbeddingLoss: Module {
    /// The margin.
    public let margin: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(margin: Double = 1, reduction: Reduction = .mean) {
        self.margin = margin
        self.reduction = reduction
    }

    /// Distances and targets ±1.
    public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
        hingeEmbeddingLoss(prediction, target, margin: margin, reduction: reduction)
    }
}

/// ``marginRankingLoss(_:_:_:margin:reduction:)`` as a module.
public final class MarginRankingLoss: Module {
    /// The margin.
    public let margin: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(margin: Double = 0, reduction: Reduction = .mean) {
        self.margin = margin
        self.reduction = reduction
    }

    /// Two scores and targets ±1.
    public func callAsFunction(_ first: Tensor, _ second: Tensor, _ target: Tensor) -> Tensor {
        marginRankingLoss(first, second, target, margin: margin, reduction: reduction)
    }
}

/// ``cosineEmbeddingLoss(_:_:_:margin:reduction:)`` as a module.
public final class CosineEmbeddingLoss: Module {
    /// The margin.
    public let margin: Double
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(margin: Double = 0, reduction: Reduction = .mean) {
        self.margin = margin
        self.reduction = reduction
    }

    /// Two vectors `[batch, width]` and targets ±1 `[batch]`.
    public func callAsFunction(_ first: Tensor, _ second: Tensor, _ target: Tensor) -> Tensor {
        cosineEmbeddingLoss(first, second, target, margin: margin, reduction: reduction)
    }
}

/// ``tripletMarginLoss(_:_:_:margin:p:eps:swap:reduction:)`` as a module.
public final class TripletMarginLoss: Module {
    /// The margin.
    public let margin: Double
    /// Of the norm.
    public let p: Double
    /// What is added to differences.
    public let eps: Double
    /// Whether the positive may take the anchor's place.
    public let swap: Bool
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(margin: Double = 1, p: Double = 2, eps: Double = 1e-6, swap: Bool = false, reduction: Reduction = .mean) {
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction
    }

    /// Anchor, positive and negative `[batch, width]`.
    public func callAsFunction(_ anchor: Tensor, _ positive: Tensor, _ negative: Tensor) -> Tensor {
        tripletMarginLoss(anchor, positive, negative, margin: margin, p: p, eps: eps, swap: swap, reduction: reduction)
    }
}

/// ``tripletMarginLoss(_:_:_:margin:swap:reduction:distance:)`` as a module.
public final class TripletMarginWithDistanceLoss: Module {
    /// The distance; nil is the Euclidean one.
    public let distance: ((Tensor, Tensor) -> Tensor)?
    /// The margin.
    public let margin: Double
    /// Whether the positive may take the anchor's place.
    public let swap: Bool
    /// How the losses of single elements become one result.
    public let reduction: Reduction

    /// The loss with the options given.
    public init(
        distance: ((Tensor, Tensor) -> Tensor)? = nil, margin: Double = 1, swap: Bool = false, reduction: Reduction = .mean
    ) {
        self.distance = distance
        self.margin = margin
        self.swap = swap
        self.reduction = reduction
    }

    /// Anchor, positive and negative of one shape.
    public func callAsFunction(_ anchor: Tensor, _ positive: Tensor, _ negative: Tensor) -> Tensor {
        tripletMarginLoss(
            anchor, positive, negative, margin: margin, swap: swap, reduction: reduction,
            distance: distance ?? { differenceNorm($0, $1, 2, 1e-6) })
    }
}
