import CoreTensor
import NN

/// An encoder (Devlin et al., 2019): token, position and segment embeddings, post-norm blocks in which every position sees all others.
///
/// ```swift
/// let bert = try BERT.load("models/bert-base-uncased")
/// let features = bert(ids, paddingMask: mask)                   // [batch, sequence, width]
/// ```
public final class BERT: Module {
    /// The sizes the model was made with.
    public let configuration: BERTConfiguration
    /// `[vocabulary, width]`, `[context, width]` and `[tokenTypes, width]`: what the embeddings are the sum of.
    public let tokenEmbedding, positionEmbedding, typeEmbedding: Embedding
    /// Of the sum of the embeddings.
    public let embeddingNorm: LayerNorm
    /// Of the embeddings.
    public let dropout: Dropout
    /// First to last.
    public let blocks: [TransformerBlock]
    /// Makes the pooled vector of the first position, if there is one.
    public let pooler: Linear?

    /// A model with the given weights to begin with; traps if the configuration's ``BERTConfiguration/problem`` is not nil.
    public init(_ configuration: BERTConfiguration, weights: WeightInitializer = .normal()) {
        if let problem = configuration.problem { fail("BERT", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = weights.embedding(c.vocabulary, c.width, paddingIndex: c.padToken)
        positionEmbedding = weights.embedding(c.context, c.width)
        typeEmbedding = weights.embedding(c.tokenTypes, c.width)
        embeddingNorm = weights.layerNorm(c.width, eps: c.eps)
        dropout = Dropout(c.dropout)
        blocks = (0..<c.layers).map { _ in
            TransformerBlock(
                model: c.width, heads: c.heads, hidden: c.hidden, norm: .post, isCausal: false, eps: c.eps,
                activation: c.activation,
                dropout: c.dropout, attentionDropout: c.attentionDropout, weights: weights)
        }
        pooler = c.hasPooler ? weights.linear(c.width, c.width, bias: true) : nil
    }

    /// Features of every position: `ids [batch, sequence]` give `[batch, sequence, width]`. `paddingMask [batch, sequence]`, true or 1 for
    /// tokens, hides the rest; `types`, of the ids' shape, says which segment a token belongs to (the first, if nil).
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> Tensor {
        let mask = paddingMask.map(AttentionMask.padding)
        return blocks.reduce(embedded(ids, types)) { x, block in block(x, mask: mask) }
    }

    /// The embeddings and what comes out of each block: `layers + 1` tensors `[batch, sequence, width]`.
    public func hiddenStates(_ ids: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> [Tensor] {
        let mask = paddingMask.map(AttentionMask.padding)
        var states = [embedded(ids, types)]
        for block in blocks { states.append(block(states.last!, mask: mask)) }
        return states
    }

    /// tanh of a linear layer on the first position (`[CLS]`) of `features [batch, sequence, width]`: `[batch, width]`. Traps without a pooler.
    public func pooled(_ features: Tensor) -> Tensor {
        guard let pooler else { fail("BERT.pooled", "the model has no pooler; see BERTConfiguration.hasPooler") }
        return tanh(pooler(features.narrowed(axis: 1, start: 0, length: 1).squeezed(1)))
    }

    private func embedded(_ ids: Tensor, _ types: Tensor?) -> Tensor {
        if ids.rank != 2 { fail("BERT", "needs ids [batch, sequence], not \(ids.shape)") }
        let length = ids.shape[1]
        if length > configuration.context {
            fail("BERT", "\(length) tokens do not fit the context of \(configuration.context); crop the sequence")
        }
        if let types, types.shape != ids.shape { fail("BERT", "types \(types.shape) of ids \(ids.shape); need the same shape") }
        let segments = types.map { typeEmbedding($0) } ?? typeEmbedding.weight.value.narrowed(axis: 0, start: 0, length: 1)
        let places = positionEmbedding.weight.value.narrowed(axis: 0, start: 0, length: length)
        return dropout(embeddingNorm(tokenEmbedding(ids) + segments + places))
    }
}

extension BERT: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: BERTConfiguration) -> Int { configuration.layers }

    /// The pooler is there if the weights have one.
    public static func fitted(_ configuration: BERTConfiguration, to names: [String]) -> BERTConfiguration {
        var c = configuration
        c.hasPooler = names.contains { $0 == "pooler.dense.weight" || $0 == "bert.pooler.dense.weight" }
        return c
    }

    var weightNames: WeightNames {
        var names = WeightNames(basePrefix: "bert.")
        names.addBERT(ours: "", theirs: "")
        return names
    }
}

extension WeightNames {
    /// The rules of an encoder that is at `ours` here and at `theirs` there.
    mutating func addBERT(ours: String, theirs: String) {
        let layer = "\(theirs)encoder.layer.*"
        add("\(ours)tokenEmbedding", "\(theirs)embeddings.word_embeddings")
        add("\(ours)positionEmbedding", "\(theirs)embeddings.position_embeddings")
        add("\(ours)typeEmbedding", "\(theirs)embeddings.token_type_embeddings")
        add("\(ours)embeddingNorm", "\(theirs)embeddings.LayerNorm")
        add(
            "\(ours)blocks.*.attention.qkv", "\(layer).attention.self.query", "\(layer).attention.self.key",
            "\(layer).attention.self.value")
        add("\(ours)blocks.*.attention.output", "\(layer).attention.output.dense")
        add("\(ours)blocks.*.attentionNorm", "\(layer).attention.output.LayerNorm")
        add("\(ours)blocks.*.feedForward.expand", "\(layer).intermediate.dense")
        add("\(ours)blocks.*.feedForward.project", "\(layer).output.dense")
        add("\(ours)blocks.*.feedForwardNorm", "\(layer).output.LayerNorm")
        add("\(ours)pooler", "\(theirs)pooler.dense")
    }
}
