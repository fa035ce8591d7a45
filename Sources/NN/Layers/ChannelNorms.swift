import CoreTensor

/// What batch and instance normalisation of one to three axes share: weight and bias per channel, and running statistics.
public class RunningNorm: Module, RunningStatistics {
    /// The scale `[channels]`, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// The shift `[channels]`, which starts as 0; nil if there is none.
    public let bias: Parameter?
    /// The running mean `[channels]`, from 0; nil if no statistics are tracked.
    public let runningMean: Buffer?
    /// The running variance `[channels]` (with Bessel's correction), from 1; nil if no statistics are tracked.
    public let runningVariance: Buffer?
    /// How many batches the statistics are of.
    public let batchesTracked: Buffer?
    /// What is added to the variance before the root is taken.
    public let eps: Double
    /// How far running statistics move towards a batch's; nil: the mean of all batches so far.
    public final var momentum: Double?
    let channels: Int

    fileprivate init(
        channels: Int, eps: Double, momentum: Double?, affine: Bool, tracksStatistics: Bool, bias: Bool, dtype: DType
    ) {
        weight = affine ? Parameter(Tensor(ones: [channels], dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor(zeros: [channels], dtype: dtype)) : nil
        runningMean = tracksStatistics ? Buffer(Tensor(zeros: [channels], dtype: dtype)) : nil
        runningVariance = tracksStatistics ? Buffer(Tensor(ones: [channels], dtype: dtype)) : nil
        batchesTracked = tracksStatistics ? Buffer(Tensor(zeros: [], dtype: .int64)) : nil
        self.eps = eps
        self.momentum = momentum
        self.channels = channels
    }

    /// The running statistics as they stand.
    public final var running: ChannelStatistics? {
        runningMean.flatMap { mean in runningVariance.map { ChannelStatistics(mean: mean.value, variance: $0.value) } }
    }

    /// Mean 0, variance 1, no batches.
    public final func resetRunningStatistics() {
        if let runningMean { runningMean.value = Tensor(zerosLike: runningMean.value) }
        if let runningVariance { runningVariance.value = Tensor(onesLike: runningVariance.value) }
        if let batchesTracked { batchesTracked.value = Tensor(zerosLike: batchesTracked.value) }
    }

    final func keep(_ running: ChannelStatistics?) {
        guard let running else { return }
        runningMean?.value = running.mean
        runningVariance?.value = running.variance
    }
}

/// Batch normalisation (Ioffe and Szegedy, 2015); see ``BatchNorm1d``, ``BatchNorm2d`` and ``BatchNorm3d``.
public class BatchNorm: RunningNorm, Layer {
    /// Ranks of input that the layer takes.
    var ranks: ClosedRange<Int> { 2...5 }

    /// - Parameters:
    ///   - momentum: how far running statistics move towards a batch's; nil averages over all batches.
    ///   - affine: whether there is a weight (and, with `bias`, a bias).
    ///   - tracksStatistics: without, evaluation also uses the batch's own statistics.
    public init(
        _ channels: Int, eps: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true, tracksStatistics: Bool = true,
        bias: Bool = true, dtype: DType = .float32
    ) {
        super.init(
            channels: channels, eps: eps, momentum: momentum, affine: affine, tracksStatistics: tracksStatistics, bias: bias,
            dtype: dtype)
    }

    /// `[batch, channels, ...]` to the same shape. In training by the batch's statistics, towards which the running ones move; in
    /// evaluation by the running ones.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, activation: .none) }

    /// The same with `activation` applied to the result in the same pass over memory. ``Sequential`` does so when a ``ReLU`` follows.
    public func callAsFunction(_ x: Tensor, activation: NormActivation) -> Tensor {
        if !ranks.contains(x.rank) || x.shape[1] != channels {
            fail("\(type(of: self))", "an input of shape \(x.shape); needs rank \(ranks) with \(channels) channels")
        }
        var statistics = isTraining || running == nil ? running : nil
        if !isTraining, let running {
            return batchNorm(
                x, mean: running.mean, variance: running.variance, weight: weight?.value, bias: bias?.value, eps: eps,
                activation: activation)
        }
        var rate = momentum ?? 0
        if isTraining, let batchesTracked {
            batchesTracked.value = batchesTracked.value + 1
            rate = momentum ?? 1 / Double(batchesTracked.value.item(Int.self))
        }
        let y = batchNorm(
            x, running: &statistics, weight: weight?.value, bias: bias?.value, training: true, momentum: rate, eps: eps,
            activation: activation)
        keep(statistics)
        return y
    }
}

/// Batch normalisation of `[batch, channels]` or `[batch, channels, length]`.
public final class BatchNorm1d: BatchNorm { override var ranks: ClosedRange<Int> { 2...3 } }
/// Batch normalisation of `[batch, channels, height, width]`.
public final class BatchNorm2d: BatchNorm { override var ranks: ClosedRange<Int> { 4...4 } }
/// Batch normalisation of `[batch, channels, depth, height, width]`.
public final class BatchNorm3d: BatchNorm { override var ranks: ClosedRange<Int> { 5...5 } }

/// Instance normalisation (Ulyanov et al., 2016); see ``InstanceNorm1d``, ``InstanceNorm2d`` and ``InstanceNorm3d``.
public class InstanceNorm: RunningNorm, Layer {
    /// The number of axes of places.
    var spatialRank: Int { 1 }

    /// - Parameters:
    ///   - momentum: how far running statistics move towards a batch's.
    ///   - affine: whether there is a weight (and, with `bias`, a bias).
    ///   - tracksStatistics: whether running statistics are kept, which evaluation then uses.
    public init(
        _ channels: Int, eps: Double = 1e-5, momentum: Double = 0.1, affine: Bool = false, tracksStatistics: Bool = false,
        bias: Bool = true, dtype: DType = .float32
    ) {
        super.init(
            channels: channels, eps: eps, momentum: momentum, affine: affine, tracksStatistics: tracksStatistics, bias: bias,
            dtype: dtype)
    }

    /// `[batch, channels, ...]` (or without batch) to the same shape, each sample and channel by itself.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let isSingle = x.rank == spatialRank + 1
        if !isSingle && x.rank != spatialRank + 2 || x.shape[isSingle ? 0 : 1] != channels {
            fail(
                "\(type(of: self))", "an input of shape \(x.shape); needs \(channels) channels with \(spatialRank) axes of places"
            )
        }
        var statistics = running
        let y = instanceNorm(
            isSingle ? x.unsqueezed(0) : x, running: &statistics, weight: weight?.value, bias: bias?.value,
            useInputStatistics: isTraining || statistics == nil, momentum: momentum ?? 0, eps: eps)
        if isTraining { keep(statistics) }
        return isSingle ? y.squeezed(0) : y
    }
}

/// Instance normalisation of `[batch, channels, length]`, or without batch.
public final class InstanceNorm1d: InstanceNorm { override var spatialRank: Int { 1 } }
/// Instance normalisation of `[batch, channels, height, width]`, or without batch.
public final class InstanceNorm2d: InstanceNorm { override var spatialRank: Int { 2 } }
/// Instance normalisation of `[batch, channels, depth, height, width]`, or without batch.
public final class InstanceNorm3d: InstanceNorm { override var spatialRank: Int { 3 } }

/// Group normalisation (Wu and He, 2018) of `[batch, channels, ...]`; see ``groupNorm(_:groups:weight:bias:eps:)``.
public final class GroupNorm: Module, Layer {
    /// The number of groups.
    public let groups: Int
    /// The scale `[channels]`, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// The shift `[channels]`, which starts as 0; nil if there is none.
    public let bias: Parameter?
    /// What is added to the variance before the root is taken.
    public let eps: Double

    /// Traps if `groups` does not divide `channels`.
    public init(
        groups: Int, _ channels: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32
    ) {
        if groups < 1 || channels % groups != 0 { fail("GroupNorm", "\(channels) channels do not divide into \(groups) groups") }
        self.groups = groups
        weight = affine ? Parameter(Tensor(ones: [channels], dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor(zeros: [channels], dtype: dtype)) : nil
        self.eps = eps
    }

    /// `[batch, channels, ...]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        groupNorm(x, groups: groups, weight: weight?.value, bias: bias?.value, eps: eps)
    }
}

/// Local response normalisation (Krizhevsky et al., 2012); see ``localResponseNorm(_:size:alpha:beta:k:)``.
public final class LocalResponseNorm: Module, Layer {
    /// Channels that are averaged over.
    public let size: Int
    /// Factor, exponent and constant of the divisor.
    public let alpha, beta, k: Double
    /// x / (k + alpha · mean(x²))^beta over `size` neighbouring channels.
    public init(_ size: Int, alpha: Double = 1e-4, beta: Double = 0.75, k: Double = 1) {
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
    }
    /// `[batch, channels, ...]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor { localResponseNorm(x, size: size, alpha: alpha, beta: beta, k: k) }
}
