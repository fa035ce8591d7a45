import CoreTensor
import NN

/// BERT that fills in masked tokens: logits `[batch, sequence, vocabulary]`.
public final class BERTMaskedLM: Module {
    /// The encoder, without a pooler.
    public let encoder: BERT
    /// `[width, width]`, then the activation, then ``norm``.
    public let transform: Linear
    /// Before the logits.
    public let norm: LayerNorm
    /// `[vocabulary]`: added to the logits.
    public let bias: Parameter
    /// `[vocabulary, width]`: the head's weight where it is not the table of tokens.
    public let headWeight: Parameter?

    /// The configuration of the encoder.
    public var configuration: BERTConfiguration { encoder.configuration }

    /// A model with the given weights to begin with.
    public init(_ configuration: BERTConfiguration, weights: WeightInitializer = .normal()) {
        var c = configuration
        c.hasPooler = false
        c.architecture = "BertForMaskedLM"
        encoder = BERT(c, weights: weights)
        transform = weights.linear(c.width, c.width, bias: true)
        norm = weights.layerNorm(c.width, eps: c.eps)
        bias = weights.constant(0, [c.vocabulary])
        headWeight = c.tiesHead ? nil : weights.matrix([c.vocabulary, c.width])
    }

    /// Logits of the token at every position: `ids [batch, sequence]` give `[batch, sequence, vocabulary]`.
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> Tensor {
        logits(encoder(ids, paddingMask: paddingMask, types: types))
    }

    /// Logits of features `[..., width]`: `[..., vocabulary]`. To save work, of the masked positions alone.
    public func logits(_ features: Tensor) -> Tensor {
        let x = norm(configuration.activation(transform(features)))
        return linear(x, headWeight?.value ?? encoder.tokenEmbedding.weight.value, bias.value)
    }

    /// The mean cross-entropy in nats of `labels [batch, sequence]`, of which -100 do not count.
    public func loss(_ ids: Tensor, labels: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> Tensor {
        crossEntropy(self(ids, paddingMask: paddingMask, types: types), labels)
    }
}

extension BERTMaskedLM: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: BERTConfiguration) -> Int { configuration.layers }

    var weightNames: WeightNames {
        var names = WeightNames(basePrefix: "bert.")
        names.addBERT(ours: "encoder.", theirs: "bert.")
        names.add("transform", "cls.predictions.transform.dense")
        names.add("norm", "cls.predictions.transform.LayerNorm")
        names.add("bias", "cls.predictions.bias")
        names.add("headWeight", "cls.predictions.decoder.weight")
        return names
    }
}

/// BERT that tells classes of sequences, from the pooled vector, or of tokens: logits `[batch, labels]` or `[batch, sequence, labels]`.
public final class BERTClassifier: Module {
    /// The encoder.
    public let encoder: BERT
    /// Before the classifier.
    public let dropout: Dropout
    /// `[..., width]` to `[..., labels]`.
    public let classifier: Linear
    /// Whether each token has a class, rather than the sequence.
    public var classifiesTokens: Bool { configuration.architecture.hasSuffix("TokenClassification") }
    /// The configuration of the encoder, with the number of labels; its architecture says what is classified.
    public var configuration: BERTConfiguration { encoder.configuration }

    /// A model with the given weights to begin with: of tokens, if the architecture is `BertForTokenClassification`.
    public init(_ configuration: BERTConfiguration, weights: WeightInitializer = .normal()) {
        var c = configuration
        if c.architecture != "BertForTokenClassification" { c.architecture = "BertForSequenceClassification" }
        c.hasPooler = c.architecture == "BertForSequenceClassification"
        encoder = BERT(c, weights: weights)
        dropout = Dropout(c.dropout)
        classifier = weights.linear(c.width, c.labels, bias: true)
    }

    /// Logits: `ids [batch, sequence]` give `[batch, labels]`, or `[batch, sequence, labels]` of tokens.
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor? = nil, types: Tensor? = nil) -> Tensor {
        let features = encoder(ids, paddingMask: paddingMask, types: types)
        return classifier(dropout(classifiesTokens ? features : encoder.pooled(features)))
    }
}

extension BERTClassifier: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: BERTConfiguration) -> Int { configuration.layers }

    var weightNames: WeightNames {
        var names = WeightNames(basePrefix: "bert.")
        names.addBERT(ours: "encoder.", theirs: "bert.")
        names.add("classifier", "classifier")
        return names
    }
}
