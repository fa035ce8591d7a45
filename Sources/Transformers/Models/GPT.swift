import CoreTensor
import NN

/// A decoder-only transformer (Radford et al., 2019): token and position embeddings, pre-norm blocks, a tied output head.
public final class GPT: Module, BatchedLanguageModel, GradientCheckpointing, NamedWeights {
    /// The sizes of a model; ``problem`` says whether they go together.
    public struct Configuration: Sendable, Codable, Equatable {
        /// The number of different tokens.
        public var vocabulary: Int
        /// The longest sequence, in tokens.
        public var context: Int
        /// Features per position, shared evenly by the heads.
        public var width: Int
        /// The number of transformer blocks.
        public var layers: Int
        /// Attention heads per block; they must divide ``width``.
        public var heads: Int
        /// The probability of dropout after the embeddings and after both parts of every block, in 0 ..< 1.
        public var dropout: Double
        /// Whether linear layers and layer norms have biases.
        public var bias: Bool
        /// Features between the linear layers of a block's feed-forward part; nil: 4 · width.
        public var hidden: Int?
        /// The function between them.
        public var activation: FeedForwardActivation
        /// Added to the variance in the norms.
        public var eps: Double
        /// Whether the output head's weight is the table of tokens.
        public var tiesHead: Bool
        /// The probability of dropping an attention weight, in 0 ..< 1.
        public var attentionDropout: Double
        /// Whether scores are divided by the root of a head's width.
        public var scalesAttention: Bool
        /// Whether the scores of block i are divided by i + 1 as well.
        public var scalesAttentionByLayer: Bool

        /// The sizes as given, the rest as GPT-2's unless told otherwise; nothing is checked until a model is made of them.
        public init(
            vocabulary: Int, context: Int, width: Int, layers: Int, heads: Int, dropout: Double = 0, bias: Bool = true,
            hidden: Int? = nil, activation: FeedForwardActivation = .geluTanh, eps: Double = 1e-5, tiesHead: Bool = true,
            attentionDropout: Double = 0, scalesAttention: Bool = true, scalesAttentionByLayer: Bool = false
        ) {
            self.vocabulary = vocabulary
            self.context = context
            self.width = width
            self.layers = layers
            self.heads = heads
            self.dropout = dropout
            self.bias = bias
            self.hidden = hidden
            self.activation = activation
            self.eps = eps
            self.tiesHead = tiesHead
            self.attentionDropout = attentionDropout
            self.scalesAttention = scalesAttention
            self.scalesAttentionByLayer = scalesAttentionByLayer
        }

        /// What is wrong with these numbers, in one sentence, or nil.
        public var problem: String? {
            for (name, value) in [
                ("vocabulary", vocabulary), ("context", context), ("width", width), ("layers", layers), ("heads", heads),
                ("hidden", hidden ?? 4 * width),
            ] where value < 1 { return "\(name) is \(value); must be at least 1" }
            if width % heads != 0 { return "\(heads) heads do not divide a width of \(width)" }
            for value in [dropout, attentionDropout] where !(0..<1).contains(value) {
                return "dropout is \(value); must be in 0 ..< 1"
            }
            if !(eps >= 0) { return "eps is \(eps); must be at least 0" }
            return nil
        }
    }

    /// The sizes the model was made with.
    public let configuration: Configuration
    /// `[vocabulary, width]`: the vectors of the tokens, and the weight of the output head.
    public let tokenEmbedding: Embedding
    /// `[context, width]`: a learned vector for each position.
    public let positionEmbedding: Embedding
    /// Applied to the sum of the embeddings.
    public let dropout: Dropout
    /// The pre-norm blocks, first to last.
    public let blocks: [TransformerBlock]
    /// Whether blocks are computed again in the backward pass.
    public var usesGradientCheckpointing = false
    /// Applied to the last block's output, before the head.
    public let finalNorm: LayerNorm

    /// What makes the logits in place of the tied embeddings, if anything: `[..., width]` to `[..., vocabulary]`. A linear layer where the head
    /// is not tied, or a quantised copy.
    public var outputHead: (any Layer)?

    /// Weights start normal with deviation 0.02, projections into the residual stream with 0.02 / √(2 layers), biases 0, as GPT-2's.
    public convenience init(_ configuration: Configuration, generator: RandomGenerator = .default) {
        self.init(configuration, weights: .normal(generator: generator), generator: generator)
    }

    /// A model with the given weights to begin with.
    public convenience init(_ configuration: Configuration, weights: WeightInitializer) {
        self.init(configuration, weights: weights, generator: .default)
    }

    private init(_ configuration: Configuration, weights: WeightInitializer, generator: RandomGenerator) {
        if let problem = configuration.problem { fail("GPT", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = weights.embedding(c.vocabulary, c.width)
        positionEmbedding = weights.embedding(c.context, c.width)
        dropout = Dropout(c.dropout, generator: generator)
        let headScale = c.scalesAttention ? 1 / Double(c.width / c.heads).squareRoot() : 1
        blocks = (0..<c.layers).map { layer in
            TransformerBlock(
                model: c.width, heads: c.heads, hidden: c.hidden ?? 4 * c.width, norm: .pre, isCausal: true, eps: c.eps,
                activation: c.activation, bias: c.bias, dropout: c.dropout, attentionDropout: c.attentionDropout,
                scale: c.scalesAttentionByLayer ? headScale / Double(layer + 1) : c.scalesAttention ? nil : headScale,
                weights: weights, outputDeviation: 0.02 / Double(2 * c.layers).squareRoot(), generator: generator)
        }
        finalNorm = weights.layerNorm(c.width, eps: c.eps, bias: c.bias)
        outputHead = c.tiesHead ? nil : weights.linear(c.width, c.vocabulary, bias: false)
    }

    /// The number of different tokens.
    public var vocabulary: Int { configuration.vocabulary }
    /// The longest sequence, in tokens.
    public var context: Int { configuration.context }
    /// Where the weights are.
    public var device: Device { tokenEmbedding.weight.device }

    /// Logits of the next token at every position: `ids [batch, sequence]` gives `[batch, sequence, vocabulary]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { self(ids, paddingMask: nil) }

    /// The same for sequences of which some are shorter: `paddingMask [batch, sequence]`, true or 1 for tokens, hides the rest as keys.
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor?) -> Tensor {
        let mask = paddingMask.map(AttentionMask.padding)
        return head(blocks.reduce(embedded(ids, at: 0)) { x, block in blockOutput { block(x, mask: mask) } })
    }

    /// What goes into each block, and what comes out of the final norm: `layers + 1` tensors `[batch, sequence, width]`.
    public func hiddenStates(_ ids: Tensor, paddingMask: Tensor? = nil) -> [Tensor] {
        let mask = paddingMask.map(AttentionMask.padding)
        var states = [embedded(ids, at: 0)]
        for block in blocks { states.append(blockOutput { [x = states.last!] in block(x, mask: mask) }) }
        states[blocks.count] = finalNorm(states[blocks.count])
        return states
    }

    /// Logits after `ids [batch, new]`, which follow the positions in `cache` and join it: `[batch, new, vocabulary]`, or
    /// `[batch, 1, vocabulary]` for the last position alone. Without gradients.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false) -> Tensor {
        self(ids, cache: &cache, lastOnly: lastOnly, paddingMask: nil)
    }

    /// The same for a batch of prompts padded on the left: `paddingMask [batch, length so far + new]`, true or 1 for tokens. Positions count
    /// tokens alone.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false, paddingMask: Tensor?) -> Tensor {
        if cache.layers.count != blocks.count {
            fail("GPT", "a cache of \(cache.layers.count) layers does not fit \(blocks.count) blocks; see makeCache()")
        }
        return withoutGrad {
            var x = embedded(ids, at: cache.length, paddingMask)
            let mask = paddingMask.map(AttentionMask.padding)
            for (index, block) in blocks.enumerated() { x = block(x, mask: mask, cache: &cache.layers[index]) }
            return head(lastOnly ? x.narrowed(axis: 1, start: x.shape[1] - 1, length: 1) : x)
        }
    }

    /// An empty cache for this model. With a `capacity` the room is taken at once; the context is enough for any sequence.
    public func makeCache(capacity: Int? = nil) -> KVCache { KVCache(layers: blocks.count, capacity: capacity) }

    private func embedded(_ ids: Tensor, at start: Int, _ paddingMask: Tensor? = nil) -> Tensor {
        if ids.rank != 2 { fail("GPT", "needs ids [batch, sequence], not \(ids.shape)") }
        let length = ids.shape[1]
        func check(_ tokens: Int) {
            if tokens > context { fail("GPT", "\(tokens) tokens do not fit the context of \(context); crop the sequence") }
        }
        guard let paddingMask else {
            check(start + length)
            let positions = positionEmbedding.weight.value.narrowed(axis: 0, start: start, length: length)
            return dropout(tokenEmbedding(ids) + positions)
        }
        if paddingMask.shape != [ids.shape[0], start + length] {
            fail("GPT", "a padding mask \(paddingMask.shape) for \(start) + \(length) positions of \(ids.shape[0]) sequences")
        }
        let rows = AttentionMask.places(paddingMask, last: length)
        check(rows.reduce(0) { Swift.max($0, ($1.last ?? -1) + 1) })
        let places = Tensor(rows.flatMap { $0 }, shape: ids.shape, device: ids.device)
        return dropout(tokenEmbedding(ids) + positionEmbedding(places))
    }

    private func head(_ x: Tensor) -> Tensor {
        let normed = finalNorm(x)
        return outputHead.map { $0(normed) } ?? linear(normed, tokenEmbedding.weight.value)
    }

    /// The mean cross-entropy in nats of `targets [batch, sequence]`, the tokens that follow `ids`.
    public func loss(_ ids: Tensor, _ targets: Tensor) -> Tensor { crossEntropy(self(ids), targets) }
}
