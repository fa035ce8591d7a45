/// What batch normalisation can do to its output in the same pass over memory.
public enum NormActivation: Sendable { case none, relu }

private func batchPlan(_ x: Tensor, _ eps: Double, _ activation: NormActivation) -> ChannelNormPlan {
    ChannelNormPlan(
        batch: x.shape[0], channels: x.shape[1], inner: x.shape[2...].reduce(1, *), groups: 0, eps: eps,
        isRectified: activation == .relu)
}

/// Batch normalisation with given statistics, as in evaluation: (x - mean) / √(variance + eps) · weight + bias per channel.
///
/// `x [batch, channels, ...]`; `mean`, `variance`, `weight` and `bias` are `[channels]`. No gradient flows to the statistics. Half
/// types are computed in float32. `activation` is applied to the result in the same pass.
public func batchNorm(
    _ x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5,
    activation: NormActivation = .none
) -> Tensor {
    let x = Autocast.raised(x), weight = weight.map(Autocast.raised), bias = bias.map(Autocast.raised)
    let type = checkChannels("batchNorm", x, mean, variance, weight, bias)
    return channelNorm(
        x.to(type), weight: weight?.to(type), bias: bias?.to(type),
        fixed: (mean.detached().to(type), variance.detached().to(type)), batchPlan(x, eps, activation)
    ).output.to(x.dtype)
}

/// Batch normalisation with the statistics of the batch, as in training (Ioffe and Szegedy, 2015): (x - mean) / √(variance + eps)
/// · weight + bias, mean and variance of each channel over all other axes.
///
/// `x [batch, channels, ...]`; `weight` and `bias` are `[channels]`. Also gives the mean and the variance (over n, without Bessel's
/// correction), `[channels]`, without history. Half types are computed in float32. `activation` is applied to the output in the same pass.
/// Traps if a channel has but one value.
public func batchNormWithStatistics(
    _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5, activation: NormActivation = .none
) -> (output: Tensor, mean: Tensor, variance: Tensor) {
    let x = Autocast.raised(x), weight = weight.map(Autocast.raised), bias = bias.map(Autocast.raised)
    let type = checkChannels("batchNorm", x, weight, bias)
    if x.count > 0 && x.count == x.shape[1] {
        fail("batchNorm", "one value per channel in an input of shape \(x.shape): training needs more")
    }
    let (y, mean, variance) = channelNorm(
        x.to(type), weight: weight?.to(type), bias: bias?.to(type), fixed: nil, batchPlan(x, eps, activation))
    return (y.to(x.dtype), mean, variance)
}

/// What training keeps of the batches' statistics for evaluation.
public struct ChannelStatistics: Sendable {
    /// Mean and variance (with Bessel's correction) per channel, `[channels]`.
    public var mean, variance: Tensor

    /// Statistics to go on from.
    public init(mean: Tensor, variance: Tensor) {
        self.mean = mean
        self.variance = variance
    }

    /// Moves by `momentum` towards the statistics of a batch with `count` values per channel; `variance` is over n.
    public mutating func update(mean: Tensor, variance: Tensor, count: Int, momentum: Double) {
        if count == 0 { return }
        let bessel = Double(count) / Double(Swift.max(count - 1, 1))
        self.mean = self.mean * (1 - momentum) + mean.to(self.mean.dtype) * momentum
        self.variance = self.variance * (1 - momentum) + (variance * bessel).to(self.variance.dtype) * momentum
    }
}

/// Batch normalisation as a layer does it: in training with the batch's statistics, towards which `running` (if any) moves by
/// `momentum`; otherwise with `running`. Shapes as in ``batchNormWithStatistics(_:weight:bias:eps:activation:)``.
public func batchNorm(
    _ x: Tensor, running: inout ChannelStatistics?, weight: Tensor? = nil, bias: Tensor? = nil, training: Bool,
    momentum: Double = 0.1, eps: Double = 1e-5, activation: NormActivation = .none
) -> Tensor {
    if x.rank == 1 && x.count == 0 { return x }
    if !training, let running {
        return batchNorm(
            x, mean: running.mean, variance: running.variance, weight: weight, bias: bias, eps: eps, activation: activation)
    }
    if !training { fail("batchNorm", "evaluation needs running statistics") }
    let (y, mean, variance) = batchNormWithStatistics(x, weight: weight, bias: bias, eps: eps, activation: activation)
    running?.update(mean: mean, variance: variance, count: x.count / Swift.max(x.shape[1], 1), momentum: momentum)
    return y
}
