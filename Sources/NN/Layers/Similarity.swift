import CoreTensor

/// ⟨a, b⟩ / (‖a‖ ‖b‖) along an axis, as a layer.
public final class CosineSimilarity: Module {
    /// The axis that goes away; negative ones count from the last.
    public let axis: Int
    /// The least norm that is divided by.
    public let eps: Double
    /// Along the second axis unless told otherwise.
    public init(axis: Int = 1, eps: Double = 1e-8) {
        self.axis = axis
        self.eps = eps
    }
    /// Broadcasts `a` and `b`; the axis goes away.
    public func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor { cosineSimilarity(a, b, axis: axis, epsilon: eps) }
}

/// ‖a - b + eps‖ₚ along the last axis, as a layer.
public final class PairwiseDistance: Module {
    /// Which norm.
    public let p: Double
    /// Added to the difference, against the kink at 0.
    public let eps: Double
    /// Whether the last axis stays, with size 1.
    public let keepDims: Bool
    /// The Euclidean norm unless told otherwise.
    public init(p: Double = 2, eps: Double = 1e-6, keepDims: Bool = false) {
        self.p = p
        self.eps = eps
        self.keepDims = keepDims
    }
    /// Broadcasts `a` and `b`.
    public func callAsFunction(_ a: Tensor, _ b: Tensor) -> Tensor {
        pairwiseDistance(a, b, p: p, epsilon: eps, keepDims: keepDims)
    }
}
