import CoreTensor
import NN

/// Where a block normalises: before each part (GPT-2 and later) or after the residual sum (the original transformer).
public enum NormPosition: String, Sendable { case pre, post }

/// The position-wise part of a block: model → hidden → model with an activation between.
public final class FeedForward: Module, Layer {
    /// `[..., model]` to `[..., hidden]`.
    public let expand: Linear
    /// `[..., hidden]` to `[..., model]`.
    public let project: Linear
    /// Applied to the output.
    public let dropout: Dropout
    /// The function between the two.
    public let activation: FeedForwardActivation

    /// Two layers that start as ``Linear``'s, with the tanh form of GELU (GPT-2's) unless told otherwise.
    public init(
        model: Int, hidden: Int, bias: Bool = true, dropout: Double = 0, activation: FeedForwardActivation = .geluTanh,
        dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        expand = Linear(model, hidden, bias: bias, dtype: dtype, generator: generator)
        project = Linear(hidden, model, bias: bias, dtype: dtype, generator: generator)
        self.dropout = Dropout(dropout, generator: generator)
        self.activation = activation
    }

    /// Two layers with the given weights to begin with; `outputDeviation` is that of the second, if it is another.
    public init(
        model: Int, hidden: Int, bias: Bool = true, dropout: Double = 0, activation: FeedForwardActivation,
        weights: WeightInitializer, outputDeviation: Double? = nil, generator: RandomGenerator = .default
    ) {
        expand = weights.linear(model, hidden, bias: bias)
        project = weights.linear(hidden, model, bias: bias, deviation: outputDeviation)
        self.dropout = Dropout(dropout, generator: generator)
        self.activation = activation
    }

    /// `dropout(project(f(expand(x))))`: `[..., model]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        dropout(project(activation.fusedForm.map { expand(x, activation: $0) } ?? activation(expand(x))))
    }
}

/// Attention and feed-forward, each with a residual connection and a layer norm: `[batch, sequence, model]` to the same shape.
public final class TransformerBlock: Module, Layer {
    /// Normalises the input of the attention (`pre`) or the residual sum after it (`post`).
    public let attentionNorm: LayerNorm
    /// The part that mixes positions.
    public let attention: MultiHeadAttention
    /// Normalises the input of the feed-forward part (`pre`) or the residual sum after it (`post`).
    public let feedForwardNorm: LayerNorm
    /// The part that works on each position alone.
    public let feedForward: FeedForward
    /// Where the norms stand.
    public let norm: NormPosition

    /// A block for `[batch, sequence, model]`; `hidden` is 4 · model if nil. Traps unless the heads divide the model's width.
    public init(
        model: Int, heads: Int, hidden: Int? = nil, norm: NormPosition = .pre, isCausal: Bool = true, bias: Bool = true,
        dropout: Double = 0, approximation: GELUApproximation = .tanh, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        attentionNorm = LayerNorm(model, bias: bias, dtype: dtype)
        attention = MultiHeadAttention(
            model: model, heads: heads, isCausal: isCausal, bias: bias, dropout: dropout, dtype: dtype,
            generator: generator)
        feedForwardNorm = LayerNorm(model, bias: bias, dtype: dtype)
        feedForward = FeedForward(
            model: model, hidden: hidden ?? 4 * model, bias: bias, dropout: dropout,
            activation: approximation == .none ? .gelu : .geluTanh, dtype: dtype, generator: generator)
        self.norm = norm
    }

    /// A block of which everything is told, with the given weights to begin with: GPT-2's, BERT's, ViT's. `outputDeviation` is that of the
    /// projections into the residual stream, if it is another.
    public init(
        model: Int, heads: Int, hidden: Int, norm: NormPosition, isCausal: Bool, eps: Double = 1e-5,
        activation: FeedForwardActivation, bias: Bool = true, hasInputBias: Bool? = nil, dropout: Double = 0,
        attentionDropout: Double = 0, scale: Double? = nil, weights: WeightInitializer, outputDeviation: Double? = nil,
        generator: RandomGenerator = .default
    ) {
        attentionNorm = weights.layerNorm(model, eps: eps, bias: bias)
        attention = MultiHeadAttention(
            model: model, heads: heads, isCausal: isCausal, bias: bias, hasInputBias: hasInputBias ?? bias, dropout: dropout,
            attentionDropout: attentionDropout, scale: scale, weights: weights, outputDeviation: outputDeviation,
            generator: generator)
        feedForwardNorm = weights.layerNorm(model, eps: eps, bias: bias)
        feedForward = FeedForward(
            model: model, hidden: hidden, bias: bias, dropout: dropout, activation: activation, weights: weights,
            outputDeviation: outputDeviation, generator: generator)
        self.norm = norm
    }

    /// `pre`: y = x + attention(norm(x)), y + feedForward(norm(y)). `post`: y = norm(x + attention(x)), norm(y + feedForward(y)).
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

    /// The same with a mask that broadcasts to `[batch, heads, sequence, sequence]`; true, or an added number, says what is seen.
    public func callAsFunction(_ x: Tensor, mask: Tensor?) -> Tensor { body(x) { attention($0, mask: mask) } }

    /// The same for positions that follow those in `cache`, which they join; the mask broadcasts to `[batch, heads, new, positions]`.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, cache: inout KVCache.Layer) -> Tensor {
        if mask == nil, let y = step(x, cache: &cache) { return y }
        return body(x) { attention($0, mask: mask, cache: &cache) }
    }

    private func body(_ x: Tensor, _ attend: (Tensor) -> Tensor) -> Tensor {
        switch norm {
        case .pre:
            let y = x + attend(attentionNorm(x))
            return y + feedForward(feedForwardNorm(y))
        case .post:
            let y = attentionNorm(x + attend(x))
            return feedForwardNorm(y + feedForward(y))
        }
    }
}
