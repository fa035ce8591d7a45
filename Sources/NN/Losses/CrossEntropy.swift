import CoreTensor

/// Cross-entropy from logits: `logits [..., classes]` and either integer labels `[...]` or probabilities as targets, of the shape
/// of the logits. Labels out of range trap.
///
/// - Parameters:
///   - weight: a factor per class, `[classes]`.
///   - ignoreIndex: labels with this value count for nothing. Not for probabilities.
///   - labelSmoothing: the share of the target given to all classes alike (Szegedy et al., 2016).
///   - reduction: the mean over labels divides by the weights of the labels that count (their number, if there are no
///     weights; NaN if none count), over probabilities by the number of rows, as PyTorch's.
///   - classAxis: the axis of the classes, the last by default; PyTorch's `[N, C, d1, …]` is 1.
public func crossEntropy(
    _ logits: Tensor, _ targets: Tensor, weight: Tensor? = nil, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
    reduction: Reduction = .mean, classAxis: Int = -1
) -> Tensor {
    if !(0...1).contains(labelSmoothing) { fail("crossEntropy", "labelSmoothing \(labelSmoothing); must be in 0 ... 1") }
    let last = classesLast("crossEntropy", logits, classAxis)
    let classes = last.shape.last!
    checkClassWeight("crossEntropy", weight, classes: classes)
    if targets.dtype.isFloatingPoint {
        if targets.shape != logits.shape {
            fail(
                "crossEntropy",
                "float targets \(targets.shape) are probabilities and need the shape of the logits \(logits.shape); labels are "
                    + "integers")
        }
        var wanted = classesLast("crossEntropy", targets, classAxis)
        if labelSmoothing > 0 { wanted = wanted * (1 - labelSmoothing) + labelSmoothing / Double(classes) }
        var each = logSoftmax(last) * wanted
        if let weight { each = each * weight }
        return reduce(-each.sum(-1), reduction)
    }
    checkLabelShape("crossEntropy", last, targets, logits.shape)
    guard let weight else {
        let rows = crossEntropyRows(
            last.reshaped([targets.count, classes]), targets.reshaped([targets.count]), ignoreIndex: ignoreIndex,
            labelSmoothing: labelSmoothing)
        return reduce(
            rows.reshaped(targets.shape), weights: (targets.detached() .!= ignoreIndex).to(rows.dtype), reduction)
    }
    let (labels, kept) = checkedLabels("crossEntropy", targets, classes: classes, ignoreIndex: ignoreIndex)
    let logs = logSoftmax(last)
    let (losses, weights) = pickedLosses(logs, labels, kept, weight)
    if labelSmoothing == 0 { return reduce(losses, weights: weights, reduction) }
    let even = -(logs * weight).sum(-1).maskedFill(.!kept, 0)
    return reduce(
        losses * (1 - labelSmoothing) + even * (labelSmoothing / Double(classes)), weights: weights, reduction)
}

/// Negative log-likelihood of log-probabilities: `[..., classes]` and integer labels `[...]`, with the options of
/// ``crossEntropy(_:_:weight:ignoreIndex:labelSmoothing:reduction:classAxis:)``. Labels out of range trap.
public func nllLoss(
    _ logProbabilities: Tensor, _ labels: Tensor, weight: Tensor? = nil, ignoreIndex: Int = -100,
    reduction: Reduction = .mean, classAxis: Int = -1
) -> Tensor {
    let logProbabilities = Autocast.raised(logProbabilities)
    let last = classesLast("nllLoss", logProbabilities, classAxis)
    let classes = last.shape.last!
    checkLabelShape("nllLoss", last, labels, logProbabilities.shape)
    checkClassWeight("nllLoss", weight, classes: classes)
    let (labels, kept) = checkedLabels("nllLoss", labels, classes: classes, ignoreIndex: ignoreIndex)
    let (losses, weights) = pickedLosses(last, labels, kept, weight)
    return reduce(losses, weights: weights, reduction)
}

private func checkLabelShape(_ operation: String, _ last: Tensor, _ labels: Tensor, _ given: Shape) {
    if labels.shape != Array(last.shape.dropLast()) {
        fail(operation, "scores \(given) with \(last.shape.last!) classes do not fit labels \(labels.shape)")
    }
}

/// What each label's log-probability costs, 0 where it does not count, and the weight it counts with.
private func pickedLosses(
    _ logs: Tensor, _ labels: Tensor, _ kept: Tensor, _ weight: Tensor?
) -> (losses: Tensor, weights: Tensor) {
    let picked = logs.gathered(axis: -1, index: labels.unsqueezed(-1)).squeezed(-1)
    var weights = kept.to(logs.dtype)
    if let weight {
        weights = weights * weight.indexSelect(axis: 0, index: labels.reshaped([labels.count])).reshaped(labels.shape)
    }
    // An ignored entry may be infinite, which a factor of 0 would not clear.
    return (-(picked.maskedFill(.!kept, 0)) * weights, weights)
}
