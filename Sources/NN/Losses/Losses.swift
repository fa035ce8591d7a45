import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How the losses of single elements become one result.
public enum Reduction: String, Sendable { case mean, sum, none }

func reduce(_ loss: Tensor, _ reduction: Reduction) -> Tensor {
    switch reduction {
    case .mean: loss.mean()
    case .sum: loss.sum()
    case .none: loss
    }
}

/// Cross-entropy from logits: `logits [..., classes]`, integer `labels [...]`.
///
/// - Parameters:
///   - ignoreIndex: labels with this value count for nothing; the mean is over the others (NaN if there are none).
///   - labelSmoothing: the share of the target given to all classes alike (Szegedy et al., 2016).
///   - classAxis: the axis of the classes, the last by default; PyTorch's `[N, C, d1, …]` is 1.
public func crossEntropy(
    _ logits: Tensor, _ labels: Tensor, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
    reduction: Reduction = .mean, classAxis: Int = -1
) -> Tensor {
    if !(0...1).contains(labelSmoothing) { fail("crossEntropy", "labelSmoothing \(labelSmoothing); must be in 0 ... 1") }
    let last = classesLast("crossEntropy", logits, labels, classAxis)
    let rows = crossEntropyRows(
        last.reshaped([labels.count, last.shape.last!]), labels.reshaped([labels.count]), ignoreIndex: ignoreIndex,
        labelSmoothing: labelSmoothing)
    switch reduction {
    case .none: return rows.reshaped(labels.shape)
    case .sum: return rows.sum()
    case .mean: return rows.sum() / (labels .!= ignoreIndex).sum().to(rows.dtype)
    }
}

/// Scores with the axis of the classes moved to the end, checked against their labels.
private func classesLast(_ operation: String, _ scores: Tensor, _ labels: Tensor, _ classAxis: Int) -> Tensor {
    if scores.rank == 0 { fail(operation, "scores need an axis of classes, not shape []") }
    var order = Array(0..<scores.rank)
    let axis = classAxis < 0 ? classAxis + scores.rank : classAxis
    if !order.contains(axis) { fail(operation, "class axis \(classAxis) is out of range for scores \(scores.shape)") }
    order.append(order.remove(at: axis))
    let last = axis == scores.rank - 1 ? scores : scores.permuted(order)
    if labels.shape != Array(last.shape.dropLast()) {
        fail(operation, "scores \(scores.shape) with classes on axis \(axis) do not fit labels \(labels.shape)")
    }
    return last
}

/// Negative log-likelihood of log-probabilities: `[..., classes]` and integer labels `[...]`, with the options of
/// ``crossEntropy(_:_:ignoreIndex:labelSmoothing:reduction:classAxis:)``.
public func nllLoss(
    _ logProbabilities: Tensor, _ labels: Tensor, ignoreIndex: Int = -100, reduction: Reduction = .mean, classAxis: Int = -1
) -> Tensor {
    let last = classesLast("nllLoss", logProbabilities, labels, classAxis)
    let kept = labels .!= ignoreIndex
    let safe = which(kept, labels, Tensor(zerosLike: labels))
    let picked = last.gathered(axis: -1, index: safe.unsqueezed(-1)).squeezed(-1)
    let loss = -(picked.maskedFill(.!kept, 0))
    return reduction == .mean ? loss.sum() / kept.sum().to(loss.dtype) : reduce(loss, reduction)
}

private func checkSameShape(_ operation: String, _ a: Tensor, _ b: Tensor) {
    if a.shape != b.shape {
        fail(operation, "prediction \(a.shape) and target \(b.shape) differ; reshape one of them")
    }
}

/// Mean squared error, `(prediction - target)²`; shapes agree.
public func mseLoss(_ prediction: Tensor, _ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    checkSameShape("mseLoss", prediction, target)
    return reduce(square(prediction - target), reduction)
}

/// Mean absolute error; shapes agree.
public func l1Loss(_ prediction: Tensor, _ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    checkSameShape("l1Loss", prediction, target)
    return reduce(abs(prediction - target), reduction)
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

/// e to the loss: the perplexity of a mean negative log-likelihood in nats.
public func perplexity(_ meanLoss: Double) -> Double {
    #if canImport(Glibc)
        return Glibc.exp(meanLoss)
    #else
        return Musl.exp(meanLoss)
    #endif
}
