import CoreTensor
import NN

/// Where a block normalises: before each part (GPT-2 and later) or after the residual sum (the original transformer).
public enum NormPosition: String, Sendable { case pre, post }

/// The position-wise part of a block: model → hidden → model with GELU between.
public final class FeedForward: Module, Layer {
    /// `[..., model]` to `[..., hidden]`.
    public let expand: Linear
    /// `[..., hidden]` to `[..., model]`.
    public let project: Linear
    /// Applied to the output.
    public let dropout: Dropout
    /// The form of GELU between the two.
    public let approximation: GELUApproximation

    /// Two layers that start as ``Linear``'s, with the tanh form of GELU (GPT-2's) unless told otherwise.
    public init(
        model: Int, hidden: Int, bias: Bool = true, dropout: Double = 0, approximation: GELUApproximation = .tanh,
        dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        expand = Linear(model, hidden, bias: bias, dtype: dtype, generator: generator)
        project = Linear(hidden, model, bias: bias, dtype: dtype, generator: generator)
        self.dropout = Dropout(dropout, generator: generator)
        self.approximation = approximation
    }

    /// `dropout(project(gelu(expand(x))))`: `[..., model]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        dropout(project(gelu(expand(x), approximate: approximation)))
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
            model: model, hidden: hidden ?? 4 * model, bias: bias, dropout: dropout, approximation: approximation,
            dtype: dtype, generator: generator)
        self.norm = norm
    }

    /// `pre`: y = x + attention(norm(x)), y + feedForward(norm(y)). `post`: y = norm(x + attention(x)), norm(y + feedForward(y)).
    public func callAsFunction(_ x: Tensor) -> Tensor { body(x) { attention($0) } }

    /// The same for positions that follow those in `cache`, which they join.
    public func callAsFunction(_ x: Tensor, cache: inout KVCache.Layer) -> Tensor {
        step(x, cache: &cache) ?? body(x) { attention($0, cache: &cache) }
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
