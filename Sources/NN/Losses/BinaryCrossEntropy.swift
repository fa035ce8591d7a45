import CoreTensor

/// Binary cross-entropy from probabilities p and targets z in 0 ... 1: -(z ln p + (1 - z) ln(1 - p)), both logarithms at least -100;
/// shapes agree. Traps on probabilities outside 0 ... 1. From logits: ``bceWithLogits(_:_:weight:positiveWeight:reduction:)``.
///
/// - Parameter weight: factor per element, broadcast; it does not change what the mean divides by.
public func binaryCrossEntropy(
    _ probabilities: Tensor, _ targets: Tensor, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let probabilities = Autocast.raised(probabilities), targets = Autocast.raised(targets)
    checkSameShape("binaryCrossEntropy", probabilities, targets)
    if !probabilities.dtype.isFloatingPoint {
        fail("binaryCrossEntropy", "probabilities must be floats, not \(probabilities.dtype)")
    }
    var loss = binaryCrossEntropyElements(probabilities, targets.to(probabilities.dtype))
    if let weight {
        checkBroadcast("binaryCrossEntropy", targets, weight)
        loss = loss * weight
    }
    return reduce(loss, reduction)
}

/// Binary cross-entropy from logits x and targets z in 0 ... 1, without overflow: max(x, 0) - x z + ln(1 + e^-|x|).
///
/// - Parameters:
///   - weight: factor per element, broadcast.
///   - positiveWeight: factor of the positive part, broadcast.
public func bceWithLogits(
    _ logits: Tensor, _ targets: Tensor, weight: Tensor? = nil, positiveWeight: Tensor? = nil,
    reduction: Reduction = .mean
) -> Tensor {
    let logits = Autocast.raised(logits), targets = Autocast.raised(targets)
    checkSameShape("bceWithLogits", logits, targets)
    let z = targets.to(logits.dtype)
    // -(p z ln σ(x) + (1 - z) ln(1 - σ(x))), with ln(1 - σ(x)) = ln σ(x) - x
    var loss: Tensor
    if let positiveWeight {
        loss = (1 - z) * logits - ((positiveWeight - 1) * z + 1) * logSigmoid(logits)
    } else {
        loss = (1 - z) * logits - logSigmoid(logits)
    }
    if let weight { loss = loss * weight }
    return reduce(loss, reduction)
}
