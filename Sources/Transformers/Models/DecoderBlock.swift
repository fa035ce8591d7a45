import CoreTensor
import NN

/// Gemma's root-mean-square norm, whose weight starts as 0 and is added to 1: `x / √(mean(x²) + eps) · (1 + weight)`.
public final class OffsetRMSNorm: Module, Layer {
    /// `[width]`, 0 at the start.
    public let weight: Parameter
    /// Added to the mean square.
    public let eps: Double

    /// A norm over a last axis of `width`.
    public init(_ width: Int, eps: Double = 1e-6, weights: WeightInitializer = .normal()) {
        weight = weights.constant(0, [width])
        self.eps = eps
    }

    /// The norm over the last axis; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        rmsNorm(x, normalizedShape: weight.shape, weight: weight.value + 1, eps: eps)
    }
}

/// A block of a ``DecoderModel``: attention with rotary positions and a gated feed-forward part, each with a root-mean-square norm before it
/// (and after it, in Gemma 2) and a residual sum. `[batch, sequence, width]` to the same shape.
public final class DecoderBlock: Module {
    /// Before the attention.
    public let attentionNorm: any Layer
    /// The part that mixes positions.
    public let attention: GroupedQueryAttention
    /// Of the attention's output, where there is one.
    public let attentionOutputNorm: (any Layer)?
    /// Before the feed-forward part.
    public let feedForwardNorm: any Layer
    /// The part that works on each position alone.
    public let feedForward: GatedFeedForward
    /// Of the feed-forward part's output, where there is one.
    public let feedForwardOutputNorm: (any Layer)?

    /// The block at `layer` of a model of this configuration.
    public init(_ configuration: DecoderConfiguration, layer: Int, weights: WeightInitializer) {
        let c = configuration, residual = 0.02 / Double(2 * c.layers).squareRoot()
        attentionNorm = c.norm(weights)
        attention = GroupedQueryAttention(c.attention(layer), weights: weights, outputDeviation: residual)
        attentionOutputNorm = c.hasOutputNorms ? c.norm(weights) : nil
        feedForwardNorm = c.norm(weights)
        feedForward = GatedFeedForward(
            model: c.width, hidden: c.hidden, activation: c.activation, bias: c.hasFeedForwardBias, weights: weights,
            outputDeviation: residual)
        feedForwardOutputNorm = c.hasOutputNorms ? c.norm(weights) : nil
    }

    /// `x [batch, sequence, width]` to the same shape.
    public func callAsFunction(_ x: Tensor, rotation: RotaryRotation, mask: Tensor? = nil) -> Tensor {
        body(x) { attention($0, rotation: rotation, mask: mask) }
    }

    /// The same for positions that follow those in `cache`, which they join.
    public func callAsFunction(
        _ x: Tensor, rotation: RotaryRotation, mask: Tensor? = nil, cache: inout KVCache.Layer
    ) -> Tensor {
        body(x) { attention($0, rotation: rotation, mask: mask, cache: &cache) }
    }

    private func body(_ x: Tensor, _ attend: (Tensor) -> Tensor) -> Tensor {
        let mixed = attend(attentionNorm(x))
        let y = x + (attentionOutputNorm.map { $0(mixed) } ?? mixed)
        let fed = feedForward(feedForwardNorm(y))
        return y + (feedForwardOutputNorm.map { $0(fed) } ?? fed)
    }
}

extension DecoderConfiguration {
    func norm(_ weights: WeightInitializer) -> any Layer {
        isGemma ? OffsetRMSNorm(width, eps: eps, weights: weights) : weights.rmsNorm(width, eps: eps)
    }
}
