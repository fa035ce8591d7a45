import CoreTensor

/// ln(1 + e^(-y x)) with y = ±1; shapes agree.
public func softMarginLoss(_ prediction: Tensor, _ target: Tensor, reduction: Reduction = .mean) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkSameShape("softMarginLoss", prediction, target)
    return reduce(softplus(-(target * prediction)), reduction)
}

/// x where y = 1, max(0, margin - x) where y = -1; x is a distance. Broadcast.
public func hingeEmbeddingLoss(
    _ prediction: Tensor, _ target: Tensor, margin: Double = 1, reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkBroadcast("hingeEmbeddingLoss", prediction, target)
    let y = asFloats(target.detached())
    let far = which(y .!= 1, (margin - prediction).clamped(min: 0), 0)
    let near = which(y .!= -1, prediction, 0)
    return reduce(far + near, reduction)
}

/// max(0, margin - y (a - b)): with y = 1 `first` should rank above `second`, with y = -1 below. Broadcast; ranks agree.
public func marginRankingLoss(
    _ first: Tensor, _ second: Tensor, _ target: Tensor, margin: Double = 0, reduction: Reduction = .mean
) -> Tensor {
    let first = Autocast.raised(first), second = Autocast.raised(second), target = Autocast.raised(target)
    if first.rank != second.rank || first.rank != target.rank {
        fail(
            "marginRankingLoss",
            "shapes \(first.shape), \(second.shape) and \(target.shape) have different numbers of axes; reshape them")
    }
    checkBroadcast("marginRankingLoss", first, second, target)
    return reduce((-target * (first - second) + margin).clamped(min: 0), reduction)
}

/// 1 - cos(a, b) where y = 1, max(0, cos(a, b) - margin) where y = -1: `first` and `second` `[batch, width]` or `[width]`, `target`
/// `[batch]` or `[]`.
public func cosineEmbeddingLoss(
    _ first: Tensor, _ second: Tensor, _ target: Tensor, margin: Double = 0, reduction: Reduction = .mean
) -> Tensor {
    let first = Autocast.raised(first), second = Autocast.raised(second), target = Autocast.raised(target)
    let rank = target.rank + 1
    if target.rank > 1 || first.rank != rank || second.rank != rank {
        fail(
            "cosineEmbeddingLoss",
            "vectors \(first.shape) and \(second.shape) do not fit targets \(target.shape); needs [batch, width] with [batch], "
                + "or [width] with []")
    }
    checkBroadcast("cosineEmbeddingLoss", first, second)
    let product = asFloats((first * second).sum(-1))
    let sizes = asFloats((first * first).sum(-1) + 1e-12) * asFloats((second * second).sum(-1) + 1e-12)
    let cosine = product / sqrt(sizes)
    let y = asFloats(target.detached())
    return reduce(which(y .== 1, 1 - cosine, 0) + which(y .== -1, (cosine - margin).clamped(min: 0), 0), reduction)
}

/// Σ max(0, margin - x_y + x_j)^p over the classes j but the label y, divided by the number of classes: `scores [batch, classes]` or
/// `[classes]`, integer `labels [batch]` or `[]`. Labels out of range trap.
///
/// - Parameters:
///   - p: 1 or 2.
///   - weight: a factor per class, `[classes]`, by the label.
public func multiMarginLoss(
    _ scores: Tensor, _ labels: Tensor, p: Int = 1, margin: Double = 1, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let scores = Autocast.raised(scores), labels = Autocast.raised(labels)
    if p != 1 && p != 2 { fail("multiMarginLoss", "a p of \(p); must be 1 or 2") }
    let x = scoreRows("multiMarginLoss", scores).0
    let classes = x.shape[1]
    if labels.count != x.shape[0] || labels.rank > 1 || (labels.rank == 0 && scores.rank > 1) {
        fail("multiMarginLoss", "labels \(labels.shape) do not fit scores \(scores.shape)")
    }
    checkClassWeight("multiMarginLoss", weight, classes: classes)
    let y = checkedLabels("multiMarginLoss", labels, classes: classes, ignoreIndex: .min).labels.reshaped([x.shape[0], 1])
    // relu, so that a margin just kept has no gradient
    var terms = relu(x - x.gathered(axis: 1, index: y) + margin)
    if p == 2 { terms = square(terms) }
    if let weight { terms = terms * weight.indexSelect(axis: 0, index: y.reshaped([-1])).unsqueezed(1) }
    let isLabel = Tensor(arange: classes, device: y.device) .== y
    return reduce((terms.maskedFill(isLabel, 0).sum(-1) / Double(classes)).reshaped(labels.shape), reduction)
}

/// Σ max(0, 1 - (x_j - x_i)) over the labels j and the classes i that are no labels, divided by the number of classes: `scores
/// [batch, classes]` or `[classes]`; `labels` of the same shape lists the labels of each row, ended by the first negative number.
/// Labels out of range trap.
public func multilabelMarginLoss(_ scores: Tensor, _ labels: Tensor, reduction: Reduction = .mean) -> Tensor {
    let scores = Autocast.raised(scores), labels = Autocast.raised(labels)
    let (x, batch) = scoreRows("multilabelMarginLoss", scores)
    if labels.shape != scores.shape { fail("multilabelMarginLoss", "labels \(labels.shape) do not fit scores \(scores.shape)") }
    if !labels.dtype.isInteger { fail("multilabelMarginLoss", "labels must be integers, not \(labels.dtype)") }
    let ids = labels.detached().to(.int64).reshaped(x.shape), classes = x.shape[1]
    let isListed = (ids .< 0).to(.int64).cumsum(axis: 1) .== 0
    let y = checkedLabels(
        "multilabelMarginLoss", which(isListed, ids, Tensor(zerosLike: ids)), classes: classes, ignoreIndex: .min
    ).labels
    // [batch, label, class]
    let isLabel = ((Tensor(arange: classes, device: y.device) .== y.unsqueezed(2)) .& isListed.unsqueezed(2)).any(
        1, keepDims: true)
    let counts = isListed.unsqueezed(2) .& .!isLabel
    let terms = relu(1 - x.gathered(axis: 1, index: y).unsqueezed(2) + x.unsqueezed(1)).maskedFill(.!counts, 0)
    return reduce((terms.sum([1, 2]) / Double(classes)).reshaped(batch), reduction)
}

/// The mean over the classes of binary cross-entropy from logits: `[..., classes]` with targets in 0 ... 1 of the same shape.
/// - Parameter weight: factor per element, broadcast.
public func multilabelSoftMarginLoss(
    _ logits: Tensor, _ targets: Tensor, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let logits = Autocast.raised(logits), targets = Autocast.raised(targets)
    checkSameShape("multilabelSoftMarginLoss", logits, targets)
    if logits.rank == 0 { fail("multilabelSoftMarginLoss", "logits need an axis of classes, not shape []") }
    let each = bceWithLogits(logits, targets, weight: weight, reduction: .none)
    return reduce(each.sum(-1) / Double(logits.shape.last!), reduction)
}

/// Scores as `[rows, classes]`, and the shape of a number per row.
private func scoreRows(_ operation: String, _ scores: Tensor) -> (Tensor, batch: Shape) {
    if !scores.dtype.isFloatingPoint { fail(operation, "scores must be floats, not \(scores.dtype)") }
    if scores.rank > 2 || scores.shape.last == 0 {
        fail(operation, "scores \(scores.shape); needs [batch, classes] or [classes] with at least one class")
    }
    return (
        scores.reshaped([scores.rank == 2 ? scores.shape[0] : 1, scores.shape.last ?? 1]),
        scores.rank == 2 ? [scores.shape[0]] : []
    )
}
