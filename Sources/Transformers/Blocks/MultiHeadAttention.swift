import CoreTensor
import NN

/// Causal (or full) self-attention with several heads (Vaswani et al., 2017): `[batch, sequence, model]` to the same shape.
///
/// One projection makes queries, keys and values, `qkv` with weight `[3 · model, model]`; `output` mixes the heads.
public final class MultiHeadAttention: Module, Layer {
    /// `[..., model]` to `[..., 3 · model]`: queries, then keys, then values, each with its heads side by side.
    public let qkv: Linear
    /// `[..., model]` to the same shape, over the heads side by side.
    public let output: Linear
    /// Applied to the output, not to the attention weights.
    public let dropout: Dropout
    /// The number of heads, each `model / heads` wide.
    public let heads: Int
    /// Whether a position sees only itself and those before it.
    public let isCausal: Bool
    /// The probability of dropping an attention weight in training.
    public let attentionDropout: Double
    /// What scores are multiplied by; nil: 1 / √(model / heads).
    public let scale: Double?
    private let generator: RandomGenerator

    /// Projections that start as ``Linear``'s. Traps unless the heads divide the model's width.
    public init(
        model: Int, heads: Int, isCausal: Bool = true, bias: Bool = true, dropout: Double = 0, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        if heads < 1 || model % heads != 0 {
            fail("MultiHeadAttention", "\(heads) heads do not divide a width of \(model)")
        }
        self.heads = heads
        self.isCausal = isCausal
        self.generator = generator
        attentionDropout = 0
        scale = nil
        qkv = Linear(model, 3 * model, bias: bias, dtype: dtype, generator: generator)
        output = Linear(model, model, bias: bias, dtype: dtype, generator: generator)
        self.dropout = Dropout(dropout, generator: generator)
    }

    /// Projections with the given weights to begin with. Traps unless the heads divide the model's width.
    public init(
        model: Int, heads: Int, isCausal: Bool, bias: Bool = true, hasInputBias: Bool? = nil, dropout: Double = 0,
        attentionDropout: Double = 0, scale: Double? = nil, weights: WeightInitializer, outputDeviation: Double? = nil,
        generator: RandomGenerator = .default
    ) {
        if heads < 1 || model % heads != 0 {
            fail("MultiHeadAttention", "\(heads) heads do not divide a width of \(model)")
        }
        self.heads = heads
        self.isCausal = isCausal
        self.attentionDropout = attentionDropout
        self.scale = scale
        self.generator = generator
        qkv = weights.linear(model, 3 * model, bias: hasInputBias ?? bias)
        output = weights.linear(model, model, bias: bias, deviation: outputDeviation)
        self.dropout = Dropout(dropout, generator: generator)
    }

    /// Attention of every position of `x` to the others: `[batch, sequence, model]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

    /// Attention of the positions that follow those in `cache`, `[batch, new, model]`, to these and to themselves. Their keys and
    /// values join the cache.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, cache: inout KVCache.Layer) -> Tensor {
        let parts = queriesKeysValues(x)
        cache.append(parts[1], parts[2])
        // One query sees everything, whether causal or not.
        return joined(attend(parts[0], cache.keys!, cache.values!, mask: mask, causal: isCausal && x.shape[1] > 1), like: x)
    }

    /// - Parameter mask: broadcasts to `[batch, heads, sequence, sequence]`; true, or an added number, says what is seen.
    public func callAsFunction(_ x: Tensor, mask: Tensor?) -> Tensor {
        let parts = queriesKeysValues(x)
        return joined(attend(parts[0], parts[1], parts[2], mask: mask, causal: isCausal), like: x)
    }

    private func attend(_ queries: Tensor, _ keys: Tensor, _ values: Tensor, mask: Tensor?, causal: Bool) -> Tensor {
        AttentionRecorder.observing(values) {
            scaledDotProductAttention(
                queries, keys, $0, mask: mask, causal: causal, scale: scale, dropout: isTraining ? attentionDropout : 0,
                generator: generator)
        }
    }

    /// `[batch, length, model]` to three times `[batch, heads, length, dim]`, views of one product.
    private func queriesKeysValues(_ x: Tensor) -> [Tensor] {
        if x.rank != 3 { fail("MultiHeadAttention", "needs [batch, sequence, model], not \(x.shape)") }
        let model = x.shape[2]
        return qkv(x).split(sizes: [model, model, model], axis: -1).map { $0.splitHeads(heads) }
    }

    private func joined(_ mixed: Tensor, like x: Tensor) -> Tensor {
        dropout(output(mixed.permuted(0, 2, 1, 3).reshaped(x.shape)))
    }
}

extension Tensor {
    /// `[batch, length, heads · dim]` as `[batch, heads, length, dim]`, a view.
    func splitHeads(_ heads: Int) -> Tensor { unflattened(-1, into: [heads, shape[2] / heads]).permuted(0, 2, 1, 3) }
}
