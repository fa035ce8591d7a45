import CoreTensor

/// Mean squared error, `(prediction - target)²`; shapes agree.
/// - Parameter weight: factor per element, of the same shape; the mean divides by its sum.
public func mseLoss(
    _ prediction: Tensor, _ target: Tensor, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkSameShape("mseLoss", prediction, target)
    return weighted("mseLoss", square(prediction - target), weight, reduction)
}

/// Mean absolute error; shapes agree.
/// - Parameter weight: factor per element, of the same shape; the mean divides by its sum.
public func l1Loss(
    _ prediction: Tensor, _ target: Tensor, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkSameShape("l1Loss", prediction, target)
    return weighted("l1Loss", abs(prediction - target), weight, reduction)
}

/// With d = |prediction - target|: d² / 2 up to `delta`, delta (d - delta / 2) beyond (Huber, 1964); shapes agree.
/// - Parameter weight: factor per element, of the same shape; it does not change what the mean divides by.
public func huberLoss(
    _ prediction: Tensor, _ target: Tensor, delta: Double = 1, weight: Tensor? = nil, reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkSameShape("huberLoss", prediction, target)
    if !(delta > 0) { fail("huberLoss", "a delta of \(delta); must be above 0") }
    let difference = prediction - target, size = abs(difference)
    let loss = which(size .<= delta, square(difference) * 0.5, (size - delta / 2) * delta)
    guard let weight else { return reduce(loss, reduction) }
    checkSameShape("huberLoss", prediction, weight)
    return reduce(loss * weight, reduction)
}

/// With d = |prediction - target|: d² / (2 beta) below `beta`, d - beta / 2 from there on (Girshick, 2015); ``l1Loss(_:_:weight:reduction:)``
/// for a beta of 0. Shapes agree.
public func smoothL1Loss(
    _ prediction: Tensor, _ target: Tensor, beta: Double = 1, reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkSameShape("smoothL1Loss", prediction, target)
    if !(beta >= 0) { fail("smoothL1Loss", "a beta of \(beta); must not be below 0") }
    if beta == 0 { return l1Loss(prediction, target, reduction: reduction) }
    let difference = prediction - target, size = abs(difference)
    return reduce(which(size .< beta, square(difference) * (0.5 / beta), size - beta / 2), reduction)
}

private func weighted(_ operation: String, _ loss: Tensor, _ weight: Tensor?, _ reduction: Reduction) -> Tensor {
    guard let weight else { return reduce(loss, reduction) }
    checkSameShape(operation, loss, weight)
    return reduce(loss * weight, weights: weight, reduction)
}
