import CoreTensor
import NN

/// A decoder-only transformer (Radford et al., 2019): token and position embeddings, pre-norm blocks, a tied output head.
public final class GPT: Module, CausalLanguageModel {
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

        /// The sizes as given; nothing is checked until a model is made of them.
        public init(
            vocabulary: Int, context: Int, width: Int, layers: Int, heads: Int, dropout: Double = 0, bias: Bool = true
        ) {
            self.vocabulary = vocabulary
            self.context = context
            self.width = width
            self.layers = layers
            self.heads = heads
            self.dropout = dropout
            self.bias = bias
        }

        /// What is wrong with these numbers, in one sentence, or nil.
        public var problem: String? {
            for (name, value) in [
                ("vocabulary", vocabulary), ("context", context), ("width", width), ("layers", layers), ("heads", heads),
            ] where value < 1 { return "\(name) is \(value); must be at least 1" }
            if width % heads != 0 { return "\(heads) heads do not divide a width of \(width)" }
            if !(0..<1).contains(dropout) { return "dropout is \(dropout); must be in 0 ..< 1" }
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
    /// Applied to the last block's output, before the head.
    public let finalNorm: LayerNorm

    /// What makes the logits in place of the tied embeddings, if anything: `[..., width]` to `[..., vocabulary]`. For quantised copies of them.
    public var outputHead: (any Layer)?

    /// Weights start normal with deviation 0.02, projections into the residual stream with 0.02 / √(2 layers), biases 0, as GPT-2's.
    public init(_ configuration: Configuration, generator: RandomGenerator = .default) {
        if let problem = configuration.problem { fail("GPT", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = Embedding(c.vocabulary, c.width, generator: generator)
        positionEmbedding = Embedding(c.context, c.width, generator: generator)
        dropout = Dropout(c.dropout, generator: generator)
        blocks = (0..<c.layers).map { _ in
            TransformerBlock(
                model: c.width, heads: c.heads, bias: c.bias, dropout: c.dropout, generator: generator)
        }
        finalNorm = LayerNorm(c.width, bias: c.bias)
        super.init()
        for (name, parameter) in namedParameters {
            if name.hasSuffix("bias") {
                parameter.value = Tensor(zeros: parameter.shape)
            } else if parameter.shape.count == 2 {
                let isResidual = name.hasSuffix("attention.output.weight") || name.hasSuffix("feedForward.project.weight")
                let deviation = isResidual ? 0.02 / Double(2 * c.layers).squareRoot() : 0.02
                // Lets go of the layer's own values before others are drawn: the table of tokens is the largest part of a small model.
                parameter.value = Tensor(zeros: []).expanded(to: parameter.shape)
                parameter.value = Tensor(normal: parameter.shape, standardDeviation: deviation, generator: generator)
            }
        }
    }

    /// The number of different tokens.
    public var vocabulary: Int { configuration.vocabulary }
    /// The longest sequence, in tokens.
    public var context: Int { configuration.context }
    /// Where the weights are.
    public var device: Device { tokenEmbedding.weight.device }

    /// Logits of the next token at every position: `ids [batch, sequence]` gives `[batch, sequence, vocabulary]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor {
        var x = embedded(ids, at: 0)
        for block in blocks { x = block(x) }
        return head(x)
    }

    /// Logits after `ids [batch, new]`, which follow the positions in `cache` and join it: `[batch, new, vocabulary]`, or
    /// `[batch, 1, vocabulary]` for the last position alone. Without gradients.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false) -> Tensor {
        if cache.layers.count != blocks.count {
            fail("GPT", "a cache of \(cache.layers.count) layers does not fit \(blocks.count) blocks; see makeCache()")
        }
        return withoutGrad {
            var x = embedded(ids, at: cache.length)
            for (index, block) in blocks.enumerated() { x = block(x, cache: &cache.layers[index]) }
            return head(lastOnly ? x.narrowed(axis: 1, start: x.shape[1] - 1, length: 1) : x)
        }
    }

    /// An empty cache for this model. With a `capacity` the room is taken at once; the context is enough for any sequence.
    public func makeCache(capacity: Int? = nil) -> KVCache { KVCache(layers: blocks.count, capacity: capacity) }

    private func embedded(_ ids: Tensor, at start: Int) -> Tensor {
        if ids.rank != 2 { fail("GPT", "needs ids [batch, sequence], not \(ids.shape)") }
        let length = ids.shape[1]
        if start + length > configuration.context {
            fail("GPT", "\(start + length) tokens do not fit the context of \(configuration.context); crop the sequence")
        }
        let positions = positionEmbedding.weight.value.narrowed(axis: 0, start: start, length: length)
        return dropout(tokenEmbedding(ids) + positions)
    }

    private func head(_ x: Tensor) -> Tensor {
        let normed = finalNorm(x)
        return outputHead.map { $0(normed) } ?? linear(normed, tokenEmbedding.weight.value)
    }

    /// The mean cross-entropy in nats of `targets [batch, sequence]`, the tokens that follow `ids`.
    public func loss(_ ids: Tensor, _ targets: Tensor) -> Tensor { crossEntropy(self(ids), targets) }
}
