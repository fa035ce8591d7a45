import CoreTensor

/// A layer that does something at random in training and nothing in evaluation.
public class RandomLayer: Module, Layer {
    /// The share of what is dropped in training.
    public final let probability: Double
    fileprivate let generator: RandomGenerator

    /// Draws from `generator`. Traps unless the probability is in 0 ... 1.
    public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
        if !(0...1).contains(probability) {
            fail("\(Self.self)", "a probability of \(probability); must be in 0 ... 1")
        }
        self.probability = probability
        self.generator = generator
    }

    /// `x` with parts of it dropped in training, `x` itself in evaluation; the shape stays.
    public final func callAsFunction(_ x: Tensor) -> Tensor {
        !isTraining || probability == 0 ? x : dropping(x)
    }

    fileprivate func dropping(_ x: Tensor) -> Tensor { fatalError("\(Self.self) drops nothing") }

    /// Channels of `[batch, channels, ...]` or, with one axis fewer than `rank`, of `[channels, ...]`.
    fileprivate func droppingChannels(_ x: Tensor, rank: Int) -> Tensor {
        if x.rank != rank && x.rank != rank - 1 {
            fail("\(Self.self)", "needs \(rank) axes, or \(rank - 1) without a batch, not \(x.shape)")
        }
        let batch = x.rank == rank ? x : x.unsqueezed(0)
        let out = featureDropout(batch, probability: probability, generator: generator)
        return x.rank == rank ? out : out.squeezed(0)
    }
}

/// Drops channels of `[batch, channels, length]` or `[channels, length]`.
public final class Dropout1d: RandomLayer {
    override func dropping(_ x: Tensor) -> Tensor { droppingChannels(x, rank: 3) }
}

/// Drops channels of `[batch, channels, height, width]`. Three axes are taken for `[batch, channels, length]`, as PyTorch does.
public final class Dropout2d: RandomLayer {
    override func dropping(_ x: Tensor) -> Tensor { droppingChannels(x, rank: x.rank == 3 ? 3 : 4) }
}

/// Drops channels of `[batch, channels, depth, height, width]` or `[channels, depth, height, width]`.
public final class Dropout3d: RandomLayer {
    override func dropping(_ x: Tensor) -> Tensor { droppingChannels(x, rank: 5) }
}

/// Dropout that keeps mean and variance, for networks of ``SELU`` (Klambauer et al., 2017).
public final class AlphaDropout: RandomLayer {
    override func dropping(_ x: Tensor) -> Tensor { alphaDropout(x, probability: probability, generator: generator) }
}

/// ``AlphaDropout`` of whole channels of `[batch, channels, ...]`.
public final class FeatureAlphaDropout: RandomLayer {
    override func dropping(_ x: Tensor) -> Tensor { featureAlphaDropout(x, probability: probability, generator: generator) }
}
