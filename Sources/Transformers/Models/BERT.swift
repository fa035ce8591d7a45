import CoreTensor
import NN

/// An encoder (Devlin et al., 2019): token, position and segment embeddings, post-norm blocks in which every position sees all others.
///
/// ```swift
/// let bert = try BERT.load("models/bert-base-uncased")
/// let features = bert(ids, paddingMask: mask)                   // [batch, sequence, width]
/// ```
public final class BERT: Module, GradientCheckpointing {
    /// The sizes the model was made with.
    public let configuration: BERTConfiguration
    /// `[vocabulary, width]` and `[context, width]`: what the embeddings are the sum of.
    public let tokenEmbedding, positionEmbedding: Embedding
    /// `[tokenTypes, width]`: added to them, in families with segments.
    public let typeEmbedding: Embedding?
    /// Of the sum of the embeddings.
    public let embeddingNorm: LayerNorm
    /// Of the embeddings.
    public let dropout: Dropout
    /// First to last.
    public let blocks: [TransformerBlock]
    /// Whether blocks are computed again in the backward pass.
    public var usesGradientCheckpointing = false
    /// Makes the pooled vector of the first position, if there is one.
    public let pooler: Linear?

    /// A model with the given weights to begin with; traps if the configuration's ``BERTConfiguration/problem`` is not nil.
    public init(_ configuration: BERTConfiguration, weights: WeightInitializer = .normal()) {
        if let problem = configuration.problem { fail("BERT", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = weights.embedding(c.vocabulary, c.width, paddingIndex: c.padToken)
        positionEmbedding = weights.embedding(c.context, c.width)
        typeEmbedding = c.family == .distilbert ? nil : weights.embedding(c.tokenTypes, c.width)
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
        return blocks.reduce(embedded(ids, types)) { x, block in blockOutput { block(x, mask: mask) } }
    }

    /// The embeddings and what comes out of each block: `layers + 1` tensors `[batch, sequence, width]`.
    public func hiddenStates(_ ids: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> [Tensor] {
        let mask = paddingMask.map(AttentionMask.padding)
        var states = [embedded(ids, types)]
        for block in blocks { states.append(blockOutput { [x = states.last!] in block(x, mask: mask) }) }
        return states
    }

    /// tanh (in DistilBERT's classifiers, max(x, 0)) of a linear layer on the first position (`[CLS]`) of `features [batch, sequence, width]`: `[batch, width]`. Traps without a pooler.
    public func pooled(_ features: Tensor) -> Tensor {
        guard let pooler else { fail("BERT.pooled", "the model has no pooler; see BERTConfiguration.hasPooler") }
        let x = pooler(features.narrowed(axis: 1, start: 0, length: 1).squeezed(1))
        return configuration.family == .distilbert ? relu(x) : tanh(x)
    }

    private func embedded(_ ids: Tensor, _ types: Tensor?) -> Tensor {
        if ids.rank != 2 { fail("BERT", "needs ids [batch, sequence], not \(ids.shape)") }
        let c = configuration, length = ids.shape[1]
        if length + c.firstPosition > c.context {
            fail("BERT", "\(length) tokens do not fit the context of \(c.context - c.firstPosition); crop the sequence")
        }
        if let types, types.shape != ids.shape { fail("BERT", "types \(types.shape) of ids \(ids.shape); need the same shape") }
        var x = tokenEmbedding(ids)
        if let typeEmbedding {
            x = x + (types.map { typeEmbedding($0) } ?? typeEmbedding.weight.value.narrowed(axis: 0, start: 0, length: 1))
        } else if types != nil {
            fail("BERT", "a \(c.family) has no segments; leave out types")
        }
        return dropout(embeddingNorm(x + positions(of: ids)))
    }

    /// The vectors of the ids' positions, `[length, width]`, or `[batch, length, width]` for RoBERTa, which does not count padding.
    private func positions(of ids: Tensor) -> Tensor {
        let c = configuration
        guard c.family == .roberta else {
            return positionEmbedding.weight.value.narrowed(axis: 0, start: 0, length: ids.shape[1])
        }
        let tokens = (ids.detached() .!= c.padToken).to(.int64)
        return embedding(tokens.cumsum(axis: 1) * tokens + c.padToken, positionEmbedding.weight.value, paddingIndex: c.padToken)
    }
}

extension BERT: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: BERTConfiguration) -> Int { configuration.layers }

    /// The pooler is there if the weights have one.
    public static func fitted(_ configuration: BERTConfiguration, to names: [String]) -> BERTConfiguration {
        var c = configuration
        c.hasPooler = names.contains { $0 == "pooler.dense.weight" || $0.hasSuffix(".pooler.dense.weight") }
        return c
    }

    var weightNames: WeightNames {
        var names = WeightNames(basePrefix: "\(configuration.family.rawValue).")
        names.add(configuration.family, ours: "", theirs: "")
        names.add("pooler", "pooler.dense")
        return names
    }
}

extension WeightNames {
    /// The rules of an encoder that is at `ours` here and at `theirs` there, without its pooler.
    mutating func add(_ family: BERTConfiguration.Family, ours: String, theirs: String) {
        add("\(ours)tokenEmbedding", "\(theirs)embeddings.word_embeddings")
        add("\(ours)positionEmbedding", "\(theirs)embeddings.position_embeddings")
        add("\(ours)typeEmbedding", "\(theirs)embeddings.token_type_embeddings")
        add("\(ours)embeddingNorm", "\(theirs)embeddings.LayerNorm")
        let block = "\(ours)blocks.*"
        if family == .distilbert {
            let layer = "\(theirs)transformer.layer.*"
            add("\(block).attention.qkv", "\(layer).attention.q_lin", "\(layer).attention.k_lin", "\(layer).attention.v_lin")
            add("\(block).attention.output", "\(layer).attention.out_lin")
            add("\(block).attentionNorm", "\(layer).sa_layer_norm")
            add("\(block).feedForward.expand", "\(layer).ffn.lin1")
            add("\(block).feedForward.project", "\(layer).ffn.lin2")
            add("\(block).feedForwardNorm", "\(layer).output_layer_norm")
            return
        }
        let layer = "\(theirs)encoder.layer.*", attention = "\(layer).attention.self"
        add("\(block).attention.qkv", "\(attention).query", "\(attention).key", "\(attention).value")
        add("\(block).attention.output", "\(layer).attention.output.dense")
        add("\(block).attentionNorm", "\(layer).attention.output.LayerNorm")
        add("\(block).feedForward.expand", "\(layer).intermediate.dense")
        add("\(block).feedForward.project", "\(layer).output.dense")
        add("\(block).feedForwardNorm", "\(layer).output.LayerNorm")
    }
}
