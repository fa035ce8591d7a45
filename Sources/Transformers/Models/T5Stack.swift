import CoreTensor
import NN

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A learned number per head and kind of distance, added to the scores of attention (Raffel et al., 2020): near distances are told apart
/// exactly, far ones on a logarithmic scale.
public final class RelativePositionBias: Module {
    /// `[buckets, heads]`.
    public let table: Embedding
    /// Whether keys ahead have kinds of their own, rather than being as near as can be.
    public let isBidirectional: Bool
    /// The distance from which all are alike.
    public let maximumDistance: Int

    /// Traps unless the kinds are even in number, at least 4, and the largest distance is beyond the exact ones.
    public init(buckets: Int, heads: Int, maximumDistance: Int, isBidirectional: Bool, weights: WeightInitializer = .normal()) {
        if buckets < 4 || buckets % 2 != 0 || heads < 1 || maximumDistance <= buckets / 2 {
            fail("RelativePositionBias", "\(buckets) kinds of distances up to \(maximumDistance) for \(heads) heads")
        }
        table = weights.embedding(buckets, heads)
        self.isBidirectional = isBidirectional
        self.maximumDistance = maximumDistance
    }

    /// The kind of `distance`, the key's position less the query's.
    public func bucket(_ distance: Int) -> Int {
        var count = table.weight.shape[0], first = 0, size = max(-distance, 0)
        if isBidirectional {
            count /= 2
            first = distance > 0 ? count : 0
            size = abs(distance)
        }
        let exact = count / 2
        if size < exact { return first + size }
        // In single precision, as models are trained with: powers of the base are on the edge.
        let scaled = logf(Float(size) / Float(exact)) / Float(log(Double(maximumDistance) / Double(exact))) * Float(count - exact)
        return first + min(exact + Int(scaled), count - 1)
    }

    /// What is added to the scores of queries at positions `queries` with keys from 0 on: `[1, heads, queries, keys]`.
    public func callAsFunction(queries: Range<Int>, keys: Int) -> Tensor {
        let ids = queries.flatMap { query in (0..<keys).map { bucket($0 - query) } }
        let rows = table(Tensor(ids, shape: [queries.count, keys], device: table.weight.device))
        return rows.permuted(2, 0, 1).unsqueezed(0)
    }
}

/// A block of T5: self-attention, attention to the encoder's output in decoders, and a feed-forward part, each with a root-mean-square norm
/// before it and a residual sum.
public final class T5Block: Module {
    /// Before the parts.
    public let attentionNorm, feedForwardNorm: RMSNorm
    /// Among the positions themselves.
    public let attention: GroupedQueryAttention
    /// Before the attention to the encoder's output, in decoders.
    public let crossNorm: RMSNorm?
    /// To the encoder's output, in decoders.
    public let crossAttention: GroupedQueryAttention?
    /// A ``FeedForward`` or a ``GatedFeedForward``.
    public let feedForward: any Layer
    /// Of each part's output.
    public let dropout: Dropout

    init(_ c: T5Configuration, isDecoder: Bool, weights: WeightInitializer) {
        var options = AttentionOptions(model: c.width, heads: c.heads, headDim: c.headDim)
        options.isCausal = isDecoder
        options.scale = 1
        options.dropout = c.dropout
        attentionNorm = weights.rmsNorm(c.width, eps: c.eps)
        attention = GroupedQueryAttention(options, weights: weights)
        options.isCausal = false
        crossNorm = isDecoder ? weights.rmsNorm(c.width, eps: c.eps) : nil
        crossAttention = isDecoder ? GroupedQueryAttention(options, weights: weights) : nil
        feedForwardNorm = weights.rmsNorm(c.width, eps: c.eps)
        feedForward =
            c.isGated
            ? GatedFeedForward(model: c.width, hidden: c.hidden, activation: c.activation, dropout: c.dropout, weights: weights)
            : FeedForward(model: c.width, hidden: c.hidden, bias: false, activation: c.activation, weights: weights)
        dropout = Dropout(c.dropout)
    }

    /// `x [batch, length, width]` to the same shape; `attend` is its self-attention.
    func callAsFunction(
        _ x: Tensor, memory: GroupedQueryAttention.KeysValues?, memoryMask: Tensor?, attend: (Tensor) -> Tensor
    ) -> Tensor {
        var y = x + dropout(attend(attentionNorm(x)))
        if let crossNorm, let crossAttention, let memory {
            y = y + dropout(crossAttention(crossNorm(y), to: memory, mask: memoryMask))
        }
        return y + dropout(feedForward(feedForwardNorm(y)))
    }
}

/// The encoder or the decoder of a ``T5``.
public final class T5Stack: Module, GradientCheckpointing {
    /// First to last.
    public let blocks: [T5Block]
    /// Whether blocks are computed again in the backward pass.
    public var usesGradientCheckpointing = false
    /// Added to the scores of self-attention in all blocks.
    public let positionBias: RelativePositionBias
    /// Of the last block's output.
    public let finalNorm: RMSNorm
    /// Of the embeddings and of the output.
    public let dropout: Dropout

    init(_ c: T5Configuration, isDecoder: Bool, weights: WeightInitializer) {
        blocks = (0..<(isDecoder ? c.decoderLayers : c.encoderLayers)).map { _ in
            T5Block(c, isDecoder: isDecoder, weights: weights)
        }
        positionBias = RelativePositionBias(
            buckets: c.distanceBuckets, heads: c.heads, maximumDistance: c.maximumDistance, isBidirectional: !isDecoder,
            weights: weights)
        finalNorm = weights.rmsNorm(c.width, eps: c.eps)
        dropout = Dropout(c.dropout)
    }

    /// What goes into each block, and the normalised output: `blocks + 1` tensors of the shape of `x [batch, length, width]`.
    func states(
        _ x: Tensor, mask: Tensor?, memory: [GroupedQueryAttention.KeysValues]? = nil, memoryMask: Tensor? = nil
    ) -> [Tensor] {
        let length = x.shape[1]
        let bias = AttentionMask.both(mask, positionBias(queries: 0..<length, keys: length))
        var states = [dropout(x)]
        for (index, block) in blocks.enumerated() {
            states.append(
                blockOutput { [x = states[index]] in
                    block(x, memory: memory?[index], memoryMask: memoryMask) { block.attention($0, mask: bias) }
                })
        }
        states[blocks.count] = dropout(finalNorm(states[blocks.count]))
        return states
    }

    /// The normalised output of positions that follow those in `cache`, which they join.
    func continued(
        _ x: Tensor, cache: inout KVCache, memory: [GroupedQueryAttention.KeysValues], memoryMask: Tensor?
    ) -> Tensor {
        let start = cache.length, length = x.shape[1]
        let bias = positionBias(queries: start..<start + length, keys: start + length)
        var x = x
        for (index, block) in blocks.enumerated() {
            x = block(x, memory: memory[index], memoryMask: memoryMask) {
                block.attention($0, mask: bias, cache: &cache.layers[index])
            }
        }
        return finalNorm(x)
    }
}
