import CoreTensor

/// InfoNCE (van den Oord et al., 2018): cross-entropy of the cosines of all pairs, divided by the temperature, against the matching
/// pairs: `first` and `second` `[batch, width]`, row by row a pair.
/// - Parameter symmetric: the mean of both directions, as CLIP's (Radford et al., 2021); else from the first to the second.
public func infoNCE(_ first: Tensor, _ second: Tensor, temperature: Double = 0.07, symmetric: Bool = true) -> Tensor {
    if first.rank != 2 || first.shape != second.shape {
        fail("infoNCE", "pairs \(first.shape) and \(second.shape); needs two times [batch, width]")
    }
    if !(temperature > 0) { fail("infoNCE", "a temperature of \(temperature); must be above 0") }
    let scores = matmul(normalizedRows(first), normalizedRows(second).T) / temperature
    let labels = Tensor(arange: first.shape[0], device: first.device)
    let forward = crossEntropy(scores, labels)
    return symmetric ? (forward + crossEntropy(scores.T, labels)) / 2 : forward
}

/// Rows of length 1; a row of zeros stays.
private func normalizedRows(_ x: Tensor) -> Tensor {
    let squares = square(x).sum(-1, keepDims: true)
    return x * rsqrt(squares.clamped(min: 1e-24))
}

/// Skip-gram with negative sampling (Mikolov et al., 2013), mean over the batch: -ln σ(u · v) - Σ ln σ(-n · v), with `centers` v
/// `[batch, width]`, `contexts` u `[batch, width]` and `negatives` n `[batch, samples, width]`.
public func negativeSamplingLoss(_ centers: Tensor, _ contexts: Tensor, _ negatives: Tensor) -> Tensor {
    let centers = Autocast.raised(centers), contexts = Autocast.raised(contexts), negatives = Autocast.raised(negatives)
    if centers.rank != 2 || contexts.shape != centers.shape || negatives.rank != 3
        || negatives.shape[0] != centers.shape[0] || negatives.shape[2] != centers.shape[1]
    {
        fail(
            "negativeSamplingLoss",
            "centers \(centers.shape), contexts \(contexts.shape) and negatives \(negatives.shape) do not fit; needs "
                + "[batch, width] twice and [batch, samples, width]")
    }
    let positive = logSigmoid((contexts * centers).sum(-1))
    let negative = logSigmoid(-(negatives * centers.unsqueezed(1)).sum(-1)).sum(-1)
    return -(positive + negative).mean()
}

/// Bradley and Terry's (1952) negative log-likelihood of preferences: -ln σ(chosen - rejected - margin), rewards of any one shape.
public func bradleyTerryLoss(
    _ chosen: Tensor, _ rejected: Tensor, margin: Double = 0, reduction: Reduction = .mean
) -> Tensor {
    let chosen = Autocast.raised(chosen), rejected = Autocast.raised(rejected)
    checkSameShape("bradleyTerryLoss", chosen, rejected)
    return reduce(-logSigmoid(chosen - rejected - margin), reduction)
}

/// The square of the logarithm of softmax's divisor, times `coefficient`: keeps logits `[..., classes]` from drifting
/// (Chowdhery et al., 2022).
public func zLoss(_ logits: Tensor, coefficient: Double = 1e-4, reduction: Reduction = .mean) -> Tensor {
    let logits = Autocast.raised(logits)
    return reduce(square(logits.logSumExp(-1)) * coefficient, reduction)
}
