/// The sizes and switches of a ``DecoderModel``: Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma 2 or Phi-3.
public struct DecoderConfiguration: Sendable, Equatable {
    /// The families, by the `model_type` of their `config.json`. They differ in the names and layouts of their files, and in switches below.
    public enum Family: String, Sendable, CaseIterable {
        case llama, mistral, qwen2, qwen3, gemma, gemma2, phi3
    }

    /// Whose files the weights are in.
    public var family: Family
    /// The number of different tokens.
    public var vocabulary: Int
    /// The longest sequence, in tokens.
    public var context: Int
    /// Features per position.
    public var width: Int
    /// The number of blocks.
    public var layers: Int
    /// Heads of the queries, and of keys and values.
    public var heads, kvHeads: Int
    /// Features of a head.
    public var headDim: Int
    /// Features within the gated feed-forward part.
    public var hidden: Int
    /// What makes the gate.
    public var activation = FeedForwardActivation.silu
    /// Added to the mean squares in the norms.
    public var eps = 1e-6
    /// The base of the rotary frequencies ("theta").
    public var ropeBase = 10_000.0
    /// How rotary positions are stretched.
    public var ropeScaling = RotaryScaling.none
    /// Features of a head that turn with the position, an even number; nil: all.
    public var rotaryDim: Int?
    /// Whether the projections to queries, keys and values have biases (Qwen2), and that of the output.
    public var hasInputBias = false, hasOutputBias = false
    /// Whether the linear layers of the feed-forward part have biases.
    public var hasFeedForwardBias = false
    /// Whether the queries and keys of each head are normalised (Qwen3).
    public var normalizesHeads = false
    /// How many positions back each block sees; nil: all. As many as there are layers, or none.
    public var windows: [Int?] = []
    /// Scores and logits x become cap · tanh(x / cap) (Gemma 2).
    public var attentionSoftCap, logitSoftCap: Double?
    /// What scores are multiplied by; nil: 1 / √headDim.
    public var attentionScale: Double?
    /// Whether the output head's weight is the table of tokens.
    public var tiesHead = false
    /// Whether embeddings are multiplied by √width, and norms by 1 + weight (Gemma).
    public var isGemma: Bool { family == .gemma || family == .gemma2 }
    /// Whether there are norms after attention and feed-forward part too (Gemma 2).
    public var hasOutputNorms: Bool { family == .gemma2 }
    /// The token that fills up shorter sequences, if there is one; its vector is not trained as an input.
    public var padToken: Int?
    /// The probability of dropping an attention weight in training.
    public var attentionDropout = 0.0

    /// Sizes; the rest as Llama's. `kvHeads` are `heads` and `headDim` is `width / heads` unless told otherwise.
    public init(
        family: Family = .llama, vocabulary: Int, context: Int, width: Int, layers: Int, heads: Int, kvHeads: Int? = nil,
        headDim: Int? = nil, hidden: Int
    ) {
        self.family = family
        self.vocabulary = vocabulary
        self.context = context
        self.width = width
        self.layers = layers
        self.heads = heads
        self.kvHeads = kvHeads ?? heads
        self.headDim = headDim ?? (heads > 0 ? width / heads : 0)
        self.hidden = hidden
    }

    /// Llama 2 of 7 billion parameters (Touvron et al., 2023).
    public static let llama7B = DecoderConfiguration(
        vocabulary: 32_000, context: 4096, width: 4096, layers: 32, heads: 32, hidden: 11_008)

    /// Llama 2 of 70 billion parameters.
    public static let llama70B = DecoderConfiguration(
        vocabulary: 32_000, context: 4096, width: 8192, layers: 80, heads: 64, kvHeads: 8, hidden: 28_672)

    /// The window of a block.
    func window(_ layer: Int) -> Int? { windows.isEmpty ? nil : windows[layer] }

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [("vocabulary", vocabulary), ("context", context), ("layers", layers), ("hidden", hidden)]
        where value < 1 { return "\(name) is \(value); must be at least 1" }
        if let problem = attention(0).problem { return problem }
        if !windows.isEmpty && windows.count != layers { return "\(windows.count) windows for \(layers) layers" }
        for case let window? in windows where window < 1 { return "a window of \(window) positions; needs at least 1" }
        if heads.multipliedReportingOverflow(by: headDim).partialValue > ConfigurationReader.largestSize {
            return "\(heads) heads of \(headDim) features are too many"
        }
        let turning = rotaryDim ?? headDim
        if turning < 2 || turning % 2 != 0 || turning > headDim {
            return "\(turning) of a head's \(headDim) features turn; must be an even number, at least 2"
        }
        if !(ropeBase > 0 && ropeBase.isFinite) { return "a rotary base of \(ropeBase); must be above 0" }
        if !(eps >= 0 && eps.isFinite) { return "eps is \(eps); must be at least 0" }
        if let padToken, !(0..<vocabulary).contains(padToken) { return "the token \(padToken) is not in 0 ..< \(vocabulary)" }
        if let logitSoftCap, !(logitSoftCap > 0) { return "a soft cap of \(logitSoftCap); must be above 0" }
        switch ropeScaling {
        case .dynamic where turning == 2: return "dynamic rotary scaling needs more than 2 features"
        case .longRoPE(let short, let long, _, _) where short.count != turning / 2 || long.count != turning / 2:
            return "\(short.count) and \(long.count) rotary factors for \(turning / 2) frequencies"
        default: return nil
        }
    }

    /// The options of a block's attention.
    func attention(_ layer: Int) -> AttentionOptions {
        var o = AttentionOptions(model: width, heads: heads, kvHeads: kvHeads, headDim: headDim)
        o.hasInputBias = hasInputBias
        o.hasOutputBias = hasOutputBias
        o.headNormEps = normalizesHeads ? eps : nil
        o.window = windows.indices.contains(layer) ? windows[layer] : nil
        o.softCap = attentionSoftCap
        o.scale = attentionScale
        o.dropout = attentionDropout
        return o
    }
}
