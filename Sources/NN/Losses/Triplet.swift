import CoreTensor

/// max(0, d(anchor, positive) - d(anchor, negative) + margin) with d the p-norm of the difference along the last axis, to which
/// `eps` is added (Balntas et al., 2016): `[batch, width]` or `[width]`, broadcast.
///
/// - Parameters:
///   - p: of the norm; may be infinite.
///   - swap: takes d(positive, negative) where it is smaller than d(anchor, negative).
public func tripletMarginLoss(
    _ anchor: Tensor, _ positive: Tensor, _ negative: Tensor, margin: Double = 1, p: Double = 2, eps: Double = 1e-6,
    swap: Bool = false, reduction: Reduction = .mean
) -> Tensor {
    let anchor = Autocast.raised(anchor), positive = Autocast.raised(positive), negative = Autocast.raised(negative)
    return tripletMarginLoss(anchor, positive, negative, margin: margin, swap: swap, reduction: reduction) {
        differenceNorm($0, $1, p, eps)
    }
}

/// The same with a distance of one's own.
public func tripletMarginLoss(
    _ anchor: Tensor, _ positive: Tensor, _ negative: Tensor, margin: Double = 1, swap: Bool = false,
    reduction: Reduction = .mean, distance: (Tensor, Tensor) -> Tensor
) -> Tensor {
    let anchor = Autocast.raised(anchor), positive = Autocast.raised(positive), negative = Autocast.raised(negative)
    if !(margin > 0) { fail("tripletMarginLoss", "a margin of \(margin); must be above 0") }
    if anchor.rank != positive.rank || anchor.rank != negative.rank {
        fail(
            "tripletMarginLoss",
            "anchor \(anchor.shape), positive \(positive.shape) and negative \(negative.shape) have different numbers of axes")
    }
    checkBroadcast("tripletMarginLoss", anchor, positive, negative)
    let near = distance(anchor, positive)
    var far = distance(anchor, negative)
    if swap { far = minimum(far, distance(positive, negative)) }
    return reduce((margin + near - far).clamped(min: 0), reduction)
}

/// The p-norm of a - b + eps along the last axis. At 0 the gradient of the root is taken as 0.
func differenceNorm(_ a: Tensor, _ b: Tensor, _ p: Double, _ eps: Double) -> Tensor {
    let x = a - b + eps
    if x.rank == 0 { return abs(x) }
    switch p {
    case 1: return abs(x).sum(-1)
    case 2:
        let squares = square(x).sum(-1)
        let isZero = squares .== 0
        return sqrt(squares.maskedFill(isZero, 1)).maskedFill(isZero, 0)
    case .infinity: return abs(x).max(-1)
    case -.infinity: return abs(x).min(-1)
    case 0: return (x .!= 0).to(x.dtype).sum(-1)
    default:
        let powers = pow(abs(x), p).sum(-1)
        let isZero = powers .== 0
        return pow(powers.maskedFill(isZero, 1), 1 / p).maskedFill(isZero, 0)
    }
}
