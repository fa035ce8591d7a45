private func grouped(
    _ operation: String, _ x: Tensor, _ groups: Int, _ weight: Tensor?, _ bias: Tensor?, _ eps: Double
) -> (output: Tensor, mean: Tensor, variance: Tensor) {
    let x = Autocast.raised(x), weight = weight.map(Autocast.raised), bias = bias.map(Autocast.raised)
    let type = checkChannels(operation, x, weight, bias)
    if groups < 1 || x.shape[1] % groups != 0 {
        fail(operation, "\(x.shape[1]) channels of an input \(x.shape) do not divide into \(groups) groups")
    }
    if x.shape[1...].contains(0) { fail(operation, "an input of shape \(x.shape) has no values in a group") }
    let plan = ChannelNormPlan(
        batch: x.shape[0], channels: x.shape[1], inner: x.shape[2...].reduce(1, *), groups: groups, eps: eps)
    let (y, mean, variance) = channelNorm(x.to(type), weight: weight?.to(type), bias: bias?.to(type), fixed: nil, plan)
    return (y.to(x.dtype), mean, variance)
}

/// Group normalisation (Wu and He, 2018): each sample's channels in `groups` of neighbours, (x - mean) / √(variance + eps) over a
/// group and all places, then · weight + bias per channel.
///
/// `x [batch, channels, ...]`; `weight` and `bias` are `[channels]`. Half types are computed in float32. Traps if the groups do not
/// divide the channels.
public func groupNorm(_ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
    grouped("groupNorm", x, groups, weight, bias, eps).output
}

/// ``groupNorm(_:groups:weight:bias:eps:)`` with the statistics it used: mean and variance (over n), `[batch, groups]`, without
/// history.
public func groupNormWithStatistics(
    _ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5
) -> (output: Tensor, mean: Tensor, variance: Tensor) {
    let (y, mean, variance) = grouped("groupNorm", x, groups, weight, bias, eps)
    return (y, mean.reshaped([x.shape[0], groups]), variance.reshaped([x.shape[0], groups]))
}

/// Instance normalisation (Ulyanov et al., 2016): (x - mean) / √(variance + eps) over the places of each sample's channel, then
/// · weight + bias per channel. `x [batch, channels, ...]`; `weight` and `bias` are `[channels]`. Traps if a channel has but one place.
public func instanceNorm(_ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, eps: Double = 1e-5) -> Tensor {
    var running: ChannelStatistics?
    return instanceNorm(x, running: &running, weight: weight, bias: bias, useInputStatistics: true, eps: eps)
}

/// Instance normalisation that keeps `running` statistics: averages over the batch of the samples' means and variances, towards which
/// it moves by `momentum`. Unless `useInputStatistics`, the running statistics normalise.
public func instanceNorm(
    _ x: Tensor, running: inout ChannelStatistics?, weight: Tensor? = nil, bias: Tensor? = nil, useInputStatistics: Bool,
    momentum: Double = 0.1, eps: Double = 1e-5
) -> Tensor {
    if !useInputStatistics {
        guard let running else { fail("instanceNorm", "without the input's statistics running ones are needed") }
        return batchNorm(x, mean: running.mean, variance: running.variance, weight: weight, bias: bias, eps: eps)
    }
    let places = x.rank < 2 ? 0 : x.shape[2...].reduce(1, *)
    if places == 1 { fail("instanceNorm", "one place per channel in an input of shape \(x.shape): needs more") }
    let (y, mean, variance) = grouped("instanceNorm", x, x.rank < 2 ? 1 : Swift.max(x.shape[1], 1), weight, bias, eps)
    if running != nil && x.shape[0] > 0 {
        let shape = [x.shape[0], x.shape[1]]
        running!.update(
            mean: mean.reshaped(shape).mean(0), variance: variance.reshaped(shape).mean(0), count: places, momentum: momentum)
    }
    return y
}
