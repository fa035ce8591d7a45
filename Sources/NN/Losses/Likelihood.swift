import CoreTensor

/// Pointwise divergence of a target distribution from predicted log-probabilities: z (ln z - x), 0 where z is 0; broadcast.
///
/// - Parameters:
///   - logTarget: the target is given as log-probabilities as well.
///   - reduction: `.batchMean` is the divergence of the distributions; `.mean` divides by their length, too.
public func klDivergenceLoss(
    _ logProbabilities: Tensor, _ target: Tensor, logTarget: Bool = false, reduction: Reduction = .mean
) -> Tensor {
    let logProbabilities = Autocast.raised(logProbabilities), target = Autocast.raised(target)
    checkBroadcast("klDivergenceLoss", logProbabilities, target)
    if logTarget { return reduce(exp(target) * (target - logProbabilities), reduction) }
    return reduce(xLogX(target) - target * logProbabilities, reduction)
}

/// x ln x, 0 at 0.
func xLogX(_ x: Tensor) -> Tensor {
    let isZero = x.detached() .== 0
    return (x * log(x.maskedFill(isZero, 1)))
}

/// Negative log-likelihood of counts under a Poisson distribution, up to a constant: e^x - z x, or with `logInput: false`
/// x - z ln(x + eps); broadcast.
/// - Parameter full: adds Stirling's approximation of ln z!, z ln z - z + ln(2 π z) / 2, where z > 1.
public func poissonNLLLoss(
    _ prediction: Tensor, _ target: Tensor, logInput: Bool = true, full: Bool = false, eps: Double = 1e-8,
    reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkBroadcast("poissonNLLLoss", prediction, target)
    var loss =
        logInput ? exp(prediction) - target * prediction : prediction - target * log(prediction + eps)
    if full {
        let isSmall = target.detached() .<= 1
        let z = target.maskedFill(isSmall, 1)
        loss = loss + (z * log(z) - z + log(z * (2 * Double.pi)) * 0.5).maskedFill(isSmall, 0)
    }
    return reduce(loss, reduction)
}

/// Negative log-likelihood under normal distributions with the variances given, up to a constant: (ln v + (x - z)² / v) / 2.
///
/// - Parameters:
///   - variance: of the shape of the prediction, without its last axis, or with an axis of size 1; not negative (traps).
///   - full: adds ln(2 π) / 2.
///   - eps: variances are at least this; the gradient passes as if they were not raised.
public func gaussianNLLLoss(
    _ prediction: Tensor, _ target: Tensor, variance: Tensor, full: Bool = false, eps: Double = 1e-6,
    reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    checkBroadcast("gaussianNLLLoss", prediction, target)
    var v = variance
    if v.shape != prediction.shape {
        if Array(prediction.shape.dropLast()) == v.shape && prediction.rank > 0 {
            v = v.unsqueezed(-1)
        } else {
            let different = v.rank == prediction.rank ? zip(prediction.shape, v.shape).filter { $0 != $1 } : []
            if different.count != 1 || different[0].1 != 1 {
                fail("gaussianNLLLoss", "variance \(variance.shape) does not fit predictions \(prediction.shape)")
            }
        }
    }
    if !(v.detached() .< 0).isFalseEverywhere { fail("gaussianNLLLoss", "some variances are negative") }
    // Raised without a trace: the derivative is that of the raised value, and it is not cut off.
    let raised = v.requiresGrad ? v + (v.detached().clamped(min: eps) - v.detached()) : v.clamped(min: eps)
    var loss = (log(raised) + square(prediction - target) / raised) * 0.5
    if full { loss = loss + 0.918_938_533_204_672_741_8 }
    return reduce(loss, reduction)
}

/// As ``gaussianNLLLoss(_:_:variance:full:eps:reduction:)`` with one variance for all.
public func gaussianNLLLoss(
    _ prediction: Tensor, _ target: Tensor, variance: Double, full: Bool = false, eps: Double = 1e-6,
    reduction: Reduction = .mean
) -> Tensor {
    let prediction = Autocast.raised(prediction), target = Autocast.raised(target)
    return gaussianNLLLoss(
        prediction, target,
        variance: Tensor(repeating: variance, shape: prediction.shape, dtype: prediction.dtype, device: prediction.device),
        full: full, eps: eps, reduction: reduction)
}
