/// The sizes of a ``ViT``.
public struct ViTConfiguration: Sendable, Equatable {
    /// Height and width of the pictures, in pixels, and of the patches, which divide them.
    public var imageSize, patch: Int
    /// Channels of the pictures.
    public var channels = 3
    /// Features per position, shared evenly by the heads.
    public var width: Int
    /// The number of blocks.
    public var layers: Int
    /// Attention heads per block; they must divide ``width``.
    public var heads: Int
    /// Features within the feed-forward part.
    public var hidden: Int
    /// Classes; nil: no classifier.
    public var labels: Int?
    /// Between the linear layers of the feed-forward part.
    public var activation = FeedForwardActivation.gelu
    /// Added to the variance in the norms.
    public var eps = 1e-12
    /// Whether queries, keys and values have biases.
    public var hasInputBias = true
    /// Whether there is a pooled vector of the class token.
    public var hasPooler = false
    /// The probability of dropout after embeddings and parts of blocks, and of attention weights, in 0 ..< 1.
    public var dropout = 0.0, attentionDropout = 0.0

    /// Sizes; the rest as ViT's. `hidden` is 4 · width unless told otherwise.
    public init(
        imageSize: Int = 224, patch: Int = 16, channels: Int = 3, width: Int, layers: Int, heads: Int, hidden: Int? = nil,
        labels: Int? = nil
    ) {
        self.imageSize = imageSize
        self.patch = patch
        self.channels = channels
        self.width = width
        self.layers = layers
        self.heads = heads
        self.hidden = hidden ?? 4 * width
        self.labels = labels
    }

    /// ViT-L/16 (Dosovitskiy et al., 2021) with ImageNet's classes: 304 million parameters.
    public static let large = ViTConfiguration(width: 1024, layers: 24, heads: 16, labels: 1000)

    /// The number of patches of a picture.
    public var patchCount: Int { (imageSize / patch) * (imageSize / patch) }

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [
            ("imageSize", imageSize), ("patch", patch), ("channels", channels), ("width", width), ("layers", layers),
            ("heads", heads),
            ("hidden", hidden), ("labels", labels ?? 1),
        ] where value < 1 { return "\(name) is \(value); must be at least 1" }
        if imageSize > 1 << 13 || channels > 1 << 12 {
            return "pictures of \(channels) × \(imageSize) × \(imageSize) are too large"
        }
        if imageSize % patch != 0 { return "patches of \(patch) do not divide pictures of \(imageSize)" }
        if width % heads != 0 { return "\(heads) heads do not divide a width of \(width)" }
        for value in [dropout, attentionDropout] where !(0..<1).contains(value) {
            return "dropout is \(value); must be in 0 ..< 1"
        }
        if !(eps >= 0 && eps.isFinite) { return "eps is \(eps); must be at least 0" }
        return nil
    }
}

extension ViTConfiguration: PretrainedConfiguration {
    /// Reads ViT's `config.json`.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        let architecture = try reader.texts("architectures")?.first ?? "ViTModel"
        self.init(
            imageSize: try reader.integer("image_size", default: 224, in: 1...1 << 13),
            patch: try reader.integer("patch_size", default: 16, in: 1...1 << 13),
            channels: try reader.integer("num_channels", default: 3, in: 1...1 << 12),
            width: try reader.integer("hidden_size", default: 768),
            layers: try reader.integer("num_hidden_layers", default: 12, in: 1...ConfigurationReader.mostLayers),
            heads: try reader.integer("num_attention_heads", default: 12),
            hidden: try reader.integer("intermediate_size", default: 3072))
        if architecture == "ViTForImageClassification" {
            labels = try reader.memberCount("id2label") ?? reader.integer("num_labels", default: 2)
        }
        activation = try reader.activation("hidden_act", default: .gelu)
        eps = try reader.epsilon("layer_norm_eps", default: 1e-12)
        hasInputBias = try reader.flag("qkv_bias", default: true)
        dropout = try reader.probability("hidden_dropout_prob")
        attentionDropout = try reader.probability("attention_probs_dropout_prob")
        if let problem { throw reader.error(problem) }
    }

    /// ViT's `config.json`.
    public var json: String {
        var writer = ConfigurationWriter()
        writer.add("architectures", [labels == nil ? "ViTModel" : "ViTForImageClassification"])
        writer.add("model_type", "vit")
        writer.add("image_size", imageSize)
        writer.add("patch_size", patch)
        writer.add("num_channels", channels)
        writer.add("hidden_size", width)
        writer.add("num_hidden_layers", layers)
        writer.add("num_attention_heads", heads)
        writer.add("intermediate_size", hidden)
        writer.add("hidden_act", activation.huggingFaceName)
        writer.add("layer_norm_eps", eps)
        writer.add("qkv_bias", hasInputBias)
        writer.add("hidden_dropout_prob", dropout)
        writer.add("attention_probs_dropout_prob", attentionDropout)
        if let labels { writer.add(labels: labels) }
        return writer.text()
    }
}
