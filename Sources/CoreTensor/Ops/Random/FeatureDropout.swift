// Dropout of whole channels, and dropout that keeps mean and variance of SELU's outputs.

/// Whole channels `[batch, channels]` set to 0 with the given probability, the others divided by what is kept (Tompson et al., 2015).
/// `x [batch, channels, ...]`. The identity at probability 0 or when not `training`.
public func featureDropout(
    _ x: Tensor, probability: Double, training: Bool = true, generator: RandomGenerator = .default
) -> Tensor {
    checkProbability("featureDropout", probability)
    if !training || probability == 0 { return x }
    if x.rank < 2 { fail("featureDropout", "needs [batch, channels, ...], not \(x.shape)") }
    return x * dropout(channelOnes(x), probability: probability, generator: generator)
}

/// Elements set to α' = -1.7580993408473766 with the given probability, and all scaled and shifted so that mean and variance stay as
/// they were if they were 0 and 1 (Klambauer et al., 2017).
public func alphaDropout(
    _ x: Tensor, probability: Double, training: Bool = true, generator: RandomGenerator = .default
) -> Tensor {
    checkProbability("alphaDropout", probability)
    if !training || probability == 0 { return x }
    return alphaMasked(x, Tensor(onesLike: x.detached()), probability, generator)
}

/// ``alphaDropout(_:probability:training:generator:)`` of whole channels: `x [batch, channels, ...]`.
public func featureAlphaDropout(
    _ x: Tensor, probability: Double, training: Bool = true, generator: RandomGenerator = .default
) -> Tensor {
    checkProbability("featureAlphaDropout", probability)
    if !training || probability == 0 { return x }
    if x.rank < 2 { fail("featureAlphaDropout", "needs [batch, channels, ...], not \(x.shape)") }
    return alphaMasked(x, channelOnes(x), probability, generator)
}

private func checkProbability(_ name: String, _ p: Double) {
    if !(0...1).contains(p) { fail(name, "a probability of \(p); must be in 0 ... 1") }
}

private func channelOnes(_ x: Tensor) -> Tensor {
    Tensor(ones: Array(x.shape[..<2]) + [Int](repeating: 1, count: x.rank - 2), dtype: x.dtype, device: x.device)
}

private func alphaMasked(_ x: Tensor, _ ones: Tensor, _ probability: Double, _ generator: RandomGenerator) -> Tensor {
    if probability == 1 { return x * 0 }
    let kept = dropout(ones, probability: probability, generator: generator) .> 0
    let alpha = -1.7580993408473766, keep = 1 - probability
    let scale = 1 / (keep * (1 + probability * alpha * alpha)).squareRoot()
    return which(kept, x, alpha) * scale - scale * alpha * probability
}
