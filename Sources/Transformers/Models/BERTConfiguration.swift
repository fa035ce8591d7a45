/// The sizes of a ``BERT`` and of the heads on it.
public struct BERTConfiguration: Sendable, Equatable {
    /// The number of different tokens.
    public var vocabulary: Int
    /// The longest sequence, in tokens.
    public var context: Int
    /// Features per position, shared evenly by the heads.
    public var width: Int
    /// The number of blocks.
    public var layers: Int
    /// Attention heads per block; they must divide ``width``.
    public var heads: Int
    /// Features within the feed-forward part.
    public var hidden: Int
    /// Kinds of segments: 2, for pairs of sentences.
    public var tokenTypes = 2
    /// Between the linear layers of the feed-forward part.
    public var activation = FeedForwardActivation.gelu
    /// Added to the variance in the norms.
    public var eps = 1e-12
    /// The probability of dropout after embeddings and parts of blocks, and of attention weights, in 0 ..< 1.
    public var dropout = 0.1, attentionDropout = 0.1
    /// The token that fills up shorter sequences, whose vector is not trained as an input.
    public var padToken: Int? = 0
    /// Whether there is a pooled vector of the first position.
    public var hasPooler = true
    /// Classes of a classifier.
    public var labels = 2
    /// Whether the head for masked tokens has the table of tokens as its weight.
    public var tiesHead = true
    /// The class that Hugging Face has for the model: `BertModel`, `BertForMaskedLM` …
    public var architecture = "BertModel"

    /// Sizes; the rest as BERT's. `hidden` is 4 · width unless told otherwise.
    public init(vocabulary: Int, context: Int = 512, width: Int, layers: Int, heads: Int, hidden: Int? = nil) {
        self.vocabulary = vocabulary
        self.context = context
        self.width = width
        self.layers = layers
        self.heads = heads
        self.hidden = hidden ?? 4 * width
    }

    /// BERT-base, uncased (Devlin et al., 2019): 110 million parameters.
    public static let base = BERTConfiguration(vocabulary: 30_522, width: 768, layers: 12, heads: 12)

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [
            ("vocabulary", vocabulary), ("context", context), ("width", width), ("layers", layers), ("heads", heads),
            ("hidden", hidden),
            ("tokenTypes", tokenTypes), ("labels", labels),
        ] where value < 1 { return "\(name) is \(value); must be at least 1" }
        if width % heads != 0 { return "\(heads) heads do not divide a width of \(width)" }
        if let padToken, !(0..<vocabulary).contains(padToken) { return "the token \(padToken) is not in 0 ..< \(vocabulary)" }
        for value in [dropout, attentionDropout] where !(0..<1).contains(value) {
            return "dropout is \(value); must be in 0 ..< 1"
        }
        if !(eps >= 0 && eps.isFinite) { return "eps is \(eps); must be at least 0" }
        return nil
    }
}

extension BERTConfiguration: PretrainedConfiguration {
    /// Reads BERT's `config.json`.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        self.init(
            vocabulary: try reader.integer("vocab_size", default: 30_522),
            context: try reader.integer("max_position_embeddings", default: 512),
            width: try reader.integer("hidden_size", default: 768),
            layers: try reader.integer("num_hidden_layers", default: 12, in: 1...ConfigurationReader.mostLayers),
            heads: try reader.integer("num_attention_heads", default: 12),
            hidden: try reader.integer("intermediate_size", default: 3072))
        tokenTypes = try reader.integer("type_vocab_size", default: 2)
        activation = try reader.activation("hidden_act", default: .gelu)
        eps = try reader.epsilon("layer_norm_eps", default: 1e-12)
        dropout = try reader.probability("hidden_dropout_prob", default: 0.1)
        attentionDropout = try reader.probability("attention_probs_dropout_prob", default: 0.1)
        tiesHead = try reader.flag("tie_word_embeddings", default: true)
        padToken = try reader.integer("pad_token_id", default: 0, in: 0...ConfigurationReader.largestSize)
        labels = try reader.memberCount("id2label") ?? reader.integer("num_labels", default: 2)
        architecture = try reader.texts("architectures")?.first ?? "BertModel"
        if let kind = try reader.optionalText("position_embedding_type"), kind != "absolute" {
            throw reader.error("position_embedding_type is \(kind.prefix(60)); only absolute is supported")
        }
        if try reader.flag("is_decoder", default: false) { throw reader.error("is_decoder is not supported") }
        if let problem { throw reader.error(problem) }
    }

    /// BERT's `config.json`.
    public var json: String {
        var writer = ConfigurationWriter()
        writer.add("architectures", [architecture])
        writer.add("model_type", "bert")
        writer.add("vocab_size", vocabulary)
        writer.add("max_position_embeddings", context)
        writer.add("hidden_size", width)
        writer.add("num_hidden_layers", layers)
        writer.add("num_attention_heads", heads)
        writer.add("intermediate_size", hidden)
        writer.add("type_vocab_size", tokenTypes)
        writer.add("pad_token_id", padToken)
        writer.add("hidden_act", activation.huggingFaceName)
        writer.add("layer_norm_eps", eps)
        writer.add("hidden_dropout_prob", dropout)
        writer.add("attention_probs_dropout_prob", attentionDropout)
        writer.add("tie_word_embeddings", tiesHead)
        if architecture.hasSuffix("Classification") {
            writer.add(labels: labels)
        }
        return writer.text()
    }
}

extension ConfigurationWriter {
    /// The names of `count` classes.
    mutating func add(labels count: Int) {
        var names = ConfigurationWriter()
        for i in 0..<count { names.add("\(i)", "LABEL_\(i)") }
        add("id2label", names)
    }
}
