extension BERTConfiguration: PretrainedConfiguration {
    /// Reads the `config.json` of a family of ``Family``.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        let type = try reader.optionalText("model_type") ?? "bert"
        // XLM-RoBERTa and CamemBERT are RoBERTas of other tokens.
        guard let family = ["xlm-roberta", "camembert"].contains(type) ? .roberta : Family(rawValue: type) else {
            throw reader.error("model_type is \(type.prefix(60)); this encoder is one of \(Family.allCases.map(\.rawValue))")
        }
        let layers = 1...ConfigurationReader.mostLayers
        if family == .distilbert {
            self.init(
                vocabulary: try reader.integer("vocab_size", default: 30_522),
                context: try reader.integer("max_position_embeddings", default: 512),
                width: try reader.integer("dim", default: 768),
                layers: try reader.integer("n_layers", default: 6, in: layers), heads: try reader.integer("n_heads", default: 12),
                hidden: try reader.integer("hidden_dim", default: 3072))
            activation = try reader.activation("activation", default: .gelu)
            dropout = try reader.probability("dropout", default: 0.1)
            attentionDropout = try reader.probability("attention_dropout", default: 0.1)
            hasPooler = false
            if try reader.flag("sinusoidal_pos_embds", default: false) && !reader.has("max_position_embeddings") {
                throw reader.error("sinusoidal_pos_embds needs max_position_embeddings")
            }
        } else {
            self.init(
                vocabulary: try reader.integer("vocab_size", default: family == .roberta ? 50_265 : 30_522),
                context: try reader.integer("max_position_embeddings", default: 512),
                width: try reader.integer("hidden_size", default: 768),
                layers: try reader.integer("num_hidden_layers", default: 12, in: layers),
                heads: try reader.integer("num_attention_heads", default: 12),
                hidden: try reader.integer("intermediate_size", default: 3072))
            tokenTypes = try reader.integer("type_vocab_size", default: 2)
            activation = try reader.activation("hidden_act", default: .gelu)
            eps = try reader.epsilon("layer_norm_eps", default: 1e-12)
            dropout = try reader.probability("hidden_dropout_prob", default: 0.1)
            attentionDropout = try reader.probability("attention_probs_dropout_prob", default: 0.1)
        }
        self.family = family
        tiesHead = try reader.flag("tie_word_embeddings", default: true)
        padToken = try reader.integer(
            "pad_token_id", default: family == .roberta ? 1 : 0, in: 0...ConfigurationReader.largestSize)
        labels = try reader.memberCount("id2label") ?? reader.integer("num_labels", default: 2)
        architecture = try reader.texts("architectures")?.first ?? "BertModel"
        if let kind = try reader.optionalText("position_embedding_type"), kind != "absolute" {
            throw reader.error("position_embedding_type is \(kind.prefix(60)); only absolute is supported")
        }
        if try reader.flag("is_decoder", default: false) { throw reader.error("is_decoder is not supported") }
        if let problem { throw reader.error(problem) }
    }

    /// What Hugging Face's class names end in for a model with this head.
    func architecture(_ head: String) -> String {
        switch family {
        case .bert: "Bert" + head
        case .roberta: "Roberta" + head
        case .distilbert: "DistilBert" + head
        }
    }

    /// The `config.json` of the family.
    public var json: String {
        var writer = ConfigurationWriter()
        let isDistilled = family == .distilbert
        writer.add("architectures", [architecture])
        writer.add("model_type", family.rawValue)
        writer.add("vocab_size", vocabulary)
        writer.add("max_position_embeddings", context)
        writer.add(isDistilled ? "dim" : "hidden_size", width)
        writer.add(isDistilled ? "n_layers" : "num_hidden_layers", layers)
        writer.add(isDistilled ? "n_heads" : "num_attention_heads", heads)
        writer.add(isDistilled ? "hidden_dim" : "intermediate_size", hidden)
        writer.add(isDistilled ? "activation" : "hidden_act", activation.huggingFaceName)
        writer.add(isDistilled ? "dropout" : "hidden_dropout_prob", dropout)
        writer.add(isDistilled ? "attention_dropout" : "attention_probs_dropout_prob", attentionDropout)
        if !isDistilled {
            writer.add("type_vocab_size", tokenTypes)
            writer.add("layer_norm_eps", eps)
        }
        writer.add("pad_token_id", padToken)
        writer.add("tie_word_embeddings", tiesHead)
        if architecture.hasSuffix("Classification") { writer.add(labels: labels) }
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
