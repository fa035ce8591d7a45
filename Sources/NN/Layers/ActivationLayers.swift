import CoreTensor

/// x where x > 0, slope · x elsewhere, as a layer.
public final class LeakyReLU: Module, Layer {
    /// The factor below 0.
    public let negativeSlope: Double
    /// 0.01 below 0 unless told otherwise.
    public init(negativeSlope: Double = 0.01) { self.negativeSlope = negativeSlope }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { leakyReLU(x, negativeSlope: negativeSlope) }
}

/// ``LeakyReLU`` with trained slopes, one in all or one per channel (He et al., 2015).
public final class PReLU: Module, Layer {
    /// The factors below 0, `[1]` or `[channels]`.
    public let weight: Parameter
    /// `count` slopes (1, or the channels: the second axis of the input) from `start`.
    public init(_ count: Int = 1, start: Double = 0.25, dtype: DType = .float32) {
        weight = Parameter(Tensor(repeating: start, shape: [count], dtype: dtype))
    }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { prelu(x, slope: weight.value) }
}

/// x where x > 0, α (eˣ - 1) elsewhere, as a layer.
public final class ELU: Module, Layer {
    /// The limit below 0.
    public let alpha: Double
    /// α = 1 unless told otherwise.
    public init(alpha: Double = 1) { self.alpha = alpha }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { elu(x, alpha: alpha) }
}

/// max(x, 0) + min(0, α (e^(x/α) - 1)), as a layer.
public final class CELU: Module, Layer {
    /// The limit below 0.
    public let alpha: Double
    /// α = 1 unless told otherwise.
    public init(alpha: Double = 1) { self.alpha = alpha }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { celu(x, alpha: alpha) }
}

/// The self-normalising ELU, as a layer.
public final class SELU: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { selu(x) }
}

/// min(max(x, 0), 6), as a layer.
public final class ReLU6: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { relu6(x) }
}

/// x cut to a range, as a layer.
public final class Hardtanh: Module, Layer {
    /// The ends of the range.
    public let low, high: Double
    /// -1 ... 1 unless told otherwise.
    public init(min low: Double = -1, max high: Double = 1) {
        self.low = low
        self.high = high
    }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { hardtanh(x, min: low, max: high) }
}

/// x · relu6(x + 3) / 6, as a layer.
public final class Hardswish: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { hardswish(x) }
}

/// relu6(x + 3) / 6, as a layer.
public final class Hardsigmoid: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { hardsigmoid(x) }
}

/// 0 within ±λ, x elsewhere, as a layer.
public final class Hardshrink: Module, Layer {
    /// λ.
    public let lambda: Double
    /// λ = 0.5 unless told otherwise.
    public init(lambda: Double = 0.5) { self.lambda = lambda }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { hardshrink(x, lambda: lambda) }
}

/// 0 within ±λ, x moved towards 0 by λ elsewhere, as a layer.
public final class Softshrink: Module, Layer {
    /// λ.
    public let lambda: Double
    /// λ = 0.5 unless told otherwise.
    public init(lambda: Double = 0.5) { self.lambda = lambda }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { softshrink(x, lambda: lambda) }
}

/// x - tanh(x), as a layer.
public final class Tanhshrink: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { tanhshrink(x) }
}

/// x · tanh(softplus(x)), as a layer.
public final class Mish: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { mish(x) }
}

/// ln(1 + e^(βx)) / β, as a layer.
public final class Softplus: Module, Layer {
    /// β, and where βx is large enough to be taken as it is.
    public let beta, threshold: Double
    /// β = 1 and a threshold of 20 unless told otherwise.
    public init(beta: Double = 1, threshold: Double = 20) {
        self.beta = beta
        self.threshold = threshold
    }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { softplus(x, beta: beta, threshold: threshold) }
}

/// x / (1 + |x|), as a layer.
public final class Softsign: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { softsign(x) }
}

/// ln(sigmoid(x)), as a layer.
public final class LogSigmoid: Module, Layer {
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { logSigmoid(x) }
}

/// x above a threshold, a number elsewhere, as a layer.
public final class Threshold: Module, Layer {
    /// The threshold, and what stands below it.
    public let threshold, value: Double
    /// x > `threshold` ? x : `value`.
    public init(_ threshold: Double, value: Double) {
        self.threshold = threshold
        self.value = value
    }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { thresholded(x, threshold: threshold, value: value) }
}

/// The logarithm of ``Softmax``, as a layer.
public final class LogSoftmax: Module, Layer {
    /// The axis along which the exponentials sum to 1.
    public let axis: Int
    /// Along `axis`, the last unless told otherwise.
    public init(axis: Int = -1) { self.axis = axis }
    /// The shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { logSoftmax(x, axis: axis) }
}

/// Softmax of -x, as a layer.
public final class Softmin: Module, Layer {
    /// The axis along which the results sum to 1.
    public let axis: Int
    /// Along `axis`, the last unless told otherwise.
    public init(axis: Int = -1) { self.axis = axis }
    /// The shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { softmin(x, axis: axis) }
}

/// Softmax over the channels of `[batch, channels, height, width]` (or without batch), as a layer.
public final class Softmax2d: Module, Layer {
    /// The shape stays. Traps on other ranks.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        if x.rank != 3 && x.rank != 4 {
            fail("Softmax2d", "an input of shape \(x.shape); needs [batch, channels, height, width]")
        }
        return softmax(x, axis: -3)
    }
}

/// One half of an axis times the sigmoid of the other (Dauphin et al., 2017), as a layer.
public final class GLU: Module, Layer {
    /// The axis that is halved.
    public let axis: Int
    /// Along `axis`, the last unless told otherwise.
    public init(axis: Int = -1) { self.axis = axis }
    /// `[..., 2 n, ...]` gives `[..., n, ...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { glu(x, axis: axis) }
}

/// ``LeakyReLU`` with slopes drawn at random in training, and their mean in evaluation (Xu et al., 2015).
public final class RReLU: Module, Layer {
    /// The range of the slopes.
    public let lower, upper: Double
    private let generator: RandomGenerator
    /// Slopes in 1/8 ... 1/3 unless told otherwise.
    public init(lower: Double = 1.0 / 8, upper: Double = 1.0 / 3, generator: RandomGenerator = .default) {
        if lower > upper { fail("RReLU", "a lower slope of \(lower) above the upper one of \(upper)") }
        self.lower = lower
        self.upper = upper
        self.generator = generator
    }
    /// Elementwise; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        rrelu(x, lower: lower, upper: upper, training: isTraining, generator: generator)
    }
}
