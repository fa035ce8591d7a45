/// The sizes of a ``T5``.
public struct T5Configuration: Sendable, Equatable {
    /// The number of different tokens.
    public var vocabulary: Int
    /// Features per position.
    public var width: Int
    /// Blocks of the encoder and of the decoder.
    public var encoderLayers, decoderLayers: Int
    /// Attention heads, and features of each; they need not make up the width.
    public var heads, headDim: Int
    /// Features within the feed-forward part.
    public var hidden: Int
    /// Kinds of distances that the attention tells apart, and the distance from which all are alike.
    public var distanceBuckets = 32, maximumDistance = 128
    /// Within the feed-forward part.
    public var activation = FeedForwardActivation.relu
    /// Whether the feed-forward part has a gate (T5 1.1, Flan-T5).
    public var isGated = false
    /// Added to the mean squares in the norms.
    public var eps = 1e-6
    /// The probability of dropout, in 0 ..< 1.
    public var dropout = 0.1
    /// Whether the output head's weight is the table of tokens.
    public var tiesHead = true
    /// Whether the decoder's output is divided by √width before the head: where it is tied, in the original.
    public var scalesOutput = true
    /// The token that a target starts with, and that fills up shorter sequences.
    public var startToken = 0, padToken = 0
    /// The token that ends a target.
    public var endToken = 1

    /// Sizes; the rest as T5's.
    public init(
        vocabulary: Int, width: Int, encoderLayers: Int, decoderLayers: Int? = nil, heads: Int, headDim: Int = 64, hidden: Int
    ) {
        self.vocabulary = vocabulary
        self.width = width
        self.encoderLayers = encoderLayers
        self.decoderLayers = decoderLayers ?? encoderLayers
        self.heads = heads
        self.headDim = headDim
        self.hidden = hidden
    }

    /// T5-small (Raffel et al., 2020): 60.5 million parameters.
    public static let small = T5Configuration(vocabulary: 32_128, width: 512, encoderLayers: 6, heads: 8, hidden: 2048)

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [
            ("vocabulary", vocabulary), ("width", width), ("encoderLayers", encoderLayers), ("decoderLayers", decoderLayers),
            ("heads", heads), ("headDim", headDim), ("hidden", hidden), ("maximumDistance", maximumDistance),
        ] where value < 1 { return "\(name) is \(value); must be at least 1" }
        if heads.multipliedReportingOverflow(by: headDim).partialValue > ConfigurationReader.largestSize {
            return "\(heads) heads of \(headDim) features are too many"
        }
        // A half of them for each direction, and a half of these exact.
        if distanceBuckets < 4 || distanceBuckets % 2 != 0 {
            return "\(distanceBuckets) kinds of distances; must be an even number, at least 4"
        }
        if maximumDistance <= distanceBuckets / 2 {
            return "a largest distance of \(maximumDistance) for \(distanceBuckets) kinds; must be above half of them"
        }
        if !(0..<1).contains(dropout) { return "dropout is \(dropout); must be in 0 ..< 1" }
        if !(eps >= 0 && eps.isFinite) { return "eps is \(eps); must be at least 0" }
        for token in [startToken, padToken, endToken] where !(0..<vocabulary).contains(token) {
            return "the token \(token) is not in 0 ..< \(vocabulary)"
        }
        return nil
    }
}

extension T5Configuration: PretrainedConfiguration {
    /// Reads T5's `config.json`.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        let layers = try reader.integer("num_layers", default: 6, in: 1...ConfigurationReader.mostLayers)
        self.init(
            vocabulary: try reader.integer("vocab_size", default: 32_128), width: try reader.integer("d_model", default: 512),
            encoderLayers: layers,
            decoderLayers: try reader.integer("num_decoder_layers", default: layers, in: 1...ConfigurationReader.mostLayers),
            heads: try reader.integer("num_heads", default: 8), headDim: try reader.integer("d_kv", default: 64),
            hidden: try reader.integer("d_ff", default: 2048))
        distanceBuckets = try reader.integer("relative_attention_num_buckets", default: 32, in: 4...1 << 16)
        maximumDistance = try reader.integer("relative_attention_max_distance", default: 128)
        // "relu", "gated-gelu", "gated-silu": and this GELU is the tanh form.
        let kind = try reader.optionalText("feed_forward_proj") ?? "relu"
        isGated = kind.hasPrefix("gated-")
        let name = kind == "gated-gelu" ? "gelu_new" : isGated ? String(kind.dropFirst(6)) : kind
        guard let function = FeedForwardActivation(huggingFaceName: name) else {
            throw reader.error("feed_forward_proj is \(kind.prefix(60)), which no activation here is called")
        }
        activation = function
        eps = try reader.epsilon("layer_norm_epsilon", default: 1e-6)
        dropout = try reader.probability("dropout_rate", default: 0.1)
        // Older configurations say by the tie whether the output is scaled; newer ones say both.
        tiesHead = try reader.flag("tie_word_embeddings", default: true)
        scalesOutput = try reader.flag("scale_decoder_outputs", default: tiesHead)
        let tokens = 0...ConfigurationReader.largestSize
        padToken = try reader.integer("pad_token_id", default: 0, in: tokens)
        startToken = try reader.integer("decoder_start_token_id", default: padToken, in: tokens)
        endToken = try reader.integer("eos_token_id", default: 1, in: tokens)
        if let problem { throw reader.error(problem) }
    }

    /// T5's `config.json`.
    public var json: String {
        var writer = ConfigurationWriter()
        writer.add("architectures", ["T5ForConditionalGeneration"])
        writer.add("model_type", "t5")
        writer.add("is_encoder_decoder", true)
        writer.add("vocab_size", vocabulary)
        writer.add("d_model", width)
        writer.add("num_layers", encoderLayers)
        writer.add("num_decoder_layers", decoderLayers)
        writer.add("num_heads", heads)
        writer.add("d_kv", headDim)
        writer.add("d_ff", hidden)
        writer.add("relative_attention_num_buckets", distanceBuckets)
        writer.add("relative_attention_max_distance", maximumDistance)
        let name = isGated && activation == .geluTanh ? "gelu" : activation.huggingFaceName
        writer.add("feed_forward_proj", isGated ? "gated-\(name)" : name)
        writer.add("layer_norm_epsilon", eps)
        writer.add("dropout_rate", dropout)
        writer.add("tie_word_embeddings", tiesHead)
        writer.add("scale_decoder_outputs", scalesOutput)
        writer.add("pad_token_id", padToken)
        writer.add("decoder_start_token_id", startToken)
        writer.add("eos_token_id", endToken)
        return writer.text()
    }
}
