import CoreTensor
import NN

/// Where a block normalises: before each part (GPT-2 and later) or after the residual sum (the original transformer).
public enum NormPosition: String, Sendable { case pre, post }

/// The position-wise part of a block: model → hidden → model with GELU between.
public final class FeedForward: Module, Layer {
    public let expand: Linear
    public let project: Linear
    public let dropout: Dropout
    public let approximation: GELUApproximation

    public init(
        model: Int, hidden: Int, bias: Bool = true, dropout: Double = 0, approximation: GELUApproximation = .tanh,
        dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        expand = Linear(model, hidden, bias: bias, dtype: dtype, generator: generator)
        project = Linear(hidden, model, bias: bias, dtype: dtype, generator: generator)
        self.dropout = Dropout(dropout, generator: generator)
        self.approximation = approximation
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        dropout(project(gelu(expand(x), approximate: approximation)))
    }
}

/// Attention and feed-forward, each with a residual connection and a layer norm: `[batch, sequence, model]` to the same shape.
public final class TransformerBlock: Module, Layer {
    public let attentionNorm: LayerNorm
    public let attention: MultiHeadAttention
    public let feedForwardNorm: LayerNorm
    public let feedForward: FeedForward
    public let norm: NormPosition

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

    public func callAsFunction(_ x: Tensor) -> Tensor {
        switch norm {
        case .pre:
            let y = x + attention(attentionNorm(x))
            return y + feedForward(feedForwardNorm(y))
        case .post:
            let y = attentionNorm(x + attention(x))
            return feedForwardNorm(y + feedForward(y))
        }
    }
}
