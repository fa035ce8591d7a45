#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension DecoderConfiguration: PretrainedConfiguration {
    /// Reads the `config.json` of a family of ``Family``; keys that are not there have the values they have in Hugging Face's classes.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        let type = try reader.optionalText("model_type") ?? "llama"
        guard let family = Family(rawValue: type) else {
            throw reader.error("model_type is \(type.prefix(60)); this decoder is one of \(Family.allCases.map(\.rawValue))")
        }
        let d = Defaults(family)
        let width = try reader.integer("hidden_size", default: 4096),
            heads = try reader.integer("num_attention_heads", default: 32)
        let given = try reader.optionalInteger("head_dim") ?? d.headDim
        if given == nil && width % heads != 0 { throw reader.error("\(heads) heads do not divide a width of \(width)") }
        self.init(
            family: family, vocabulary: try reader.integer("vocab_size", default: 32_000),
            context: try reader.integer("max_position_embeddings", default: d.context), width: width,
            layers: try reader.integer("num_hidden_layers", default: 32, in: 1...ConfigurationReader.mostLayers), heads: heads,
            kvHeads: try reader.integer("num_key_value_heads", default: d.kvHeads ?? heads), headDim: given ?? width / heads,
            hidden: try reader.integer("intermediate_size", default: 11_008))
        let key = reader.has("hidden_activation") ? "hidden_activation" : "hidden_act"
        activation = try reader.activation(key, default: isGemma ? .geluTanh : .silu)
        // Gemma's first configurations say "gelu" and mean its tanh form.
        if family == .gemma && activation == .gelu && key == "hidden_act" { activation = .geluTanh }
        eps = try reader.epsilon("rms_norm_eps", default: d.eps)
        let bias = try reader.flag("attention_bias", default: false)
        hasInputBias = family == .qwen2 || bias
        hasOutputBias = bias && family != .qwen2
        hasFeedForwardBias = try reader.flag("mlp_bias", default: false)
        normalizesHeads = family == .qwen3
        tiesHead = try reader.flag("tie_word_embeddings", default: isGemma)
        padToken = try reader.optionalInteger("pad_token_id", in: 0...ConfigurationReader.largestSize)
        attentionDropout = try reader.probability("attention_dropout")
        if family == .gemma2 {
            attentionSoftCap = try reader.optionalNumber("attn_logit_softcapping", in: 1e-6...1e30)
            logitSoftCap = try reader.optionalNumber("final_logit_softcapping", in: 1e-6...1e30)
            attentionScale = 1 / (try reader.number("query_pre_attn_scalar", default: 256, in: 1e-6...1e12)).squareRoot()
        }
        windows = try Self.windows(reader, family, layers: layers)
        try readRotation(reader)
        if let problem { throw reader.error(problem) }
    }

    /// What Hugging Face's classes take where a key is missing.
    private struct Defaults {
        var context = 2048, eps = 1e-6
        var headDim, kvHeads: Int?

        init(_ family: Family) {
            switch family {
            case .llama: break
            case .mistral: (context, kvHeads) = (131_072, 8)
            case .qwen2: (context, kvHeads) = (32_768, 32)
            case .qwen3: (context, kvHeads, headDim) = (32_768, 32, 128)
            case .gemma: (context, headDim) = (8192, 256)
            case .gemma2: (context, headDim) = (8192, 256)
            case .phi3: (context, eps) = (4096, 1e-5)
            }
        }
    }

    private static func windows(_ reader: ConfigurationReader, _ family: Family, layers: Int) throws -> [Int?] {
        var window = try reader.optionalInteger("sliding_window")
        switch family {
        case .llama, .gemma: return []
        case .mistral, .phi3: return window.map { Array(repeating: $0, count: layers) } ?? []
        case .qwen2, .qwen3: if !(try reader.flag("use_sliding_window", default: false)) { return [] }
        case .gemma2: window = window ?? 4096
        }
        guard let window else { return [] }
        if let types = try reader.texts("layer_types") {
            if types.count != layers { throw reader.error("\(types.count) layer_types for \(layers) layers") }
            return try types.map { type in
                switch type {
                case "sliding_attention": return window
                case "full_attention": return nil
                default: throw reader.error("layer_types has \(type.prefix(60)); must be sliding_attention or full_attention")
                }
            }
        }
        // Before there were layer_types.
        if family == .gemma2 { return (0..<layers).map { $0 % 2 == 0 ? window : nil } }
        let first = try reader.integer("max_window_layers", default: 28, in: 0...ConfigurationReader.largestSize)
        return (0..<layers).map { $0 >= first ? window : nil }
    }

    private mutating func readRotation(_ reader: ConfigurationReader) throws {
        let rope = try RotaryReader(reader, context: context)
        ropeBase = rope.base
        if rope.partialFactor < 1 { rotaryDim = Int(Double(headDim) * rope.partialFactor) }
        ropeScaling = try rope.scaling(frequencies: max((rotaryDim ?? headDim) / 2, 1))
    }

    /// The `config.json` of the family.
    public var json: String {
        var writer = ConfigurationWriter()
        let className = [
            Family.llama: "Llama", .mistral: "Mistral", .qwen2: "Qwen2", .qwen3: "Qwen3", .gemma: "Gemma", .gemma2: "Gemma2",
            .phi3: "Phi3",
        ][family]!
        writer.add("architectures", [className + "ForCausalLM"])
        writer.add("model_type", family.rawValue)
        writer.add("vocab_size", vocabulary)
        writer.add("max_position_embeddings", context)
        writer.add("hidden_size", width)
        writer.add("num_hidden_layers", layers)
        writer.add("num_attention_heads", heads)
        writer.add("num_key_value_heads", kvHeads)
        writer.add("head_dim", headDim)
        writer.add("intermediate_size", hidden)
        writer.add(
            isGemma ? "hidden_activation" : "hidden_act",
            isGemma && activation == .geluTanh ? "gelu_pytorch_tanh" : activation.huggingFaceName)
        writer.add("rms_norm_eps", eps)
        if family != .qwen2 { writer.add("attention_bias", hasInputBias) }
        if family == .llama { writer.add("mlp_bias", hasFeedForwardBias) }
        writer.add("tie_word_embeddings", tiesHead)
        writer.add("pad_token_id", padToken)
        writer.add("attention_dropout", attentionDropout)
        if family == .gemma2 {
            writer.add("attn_logit_softcapping", attentionSoftCap)
            writer.add("final_logit_softcapping", logitSoftCap)
            writer.add("query_pre_attn_scalar", attentionScale.map { 1 / ($0 * $0) })
        }
        if family != .llama && family != .gemma { writer.add("sliding_window", windows.compactMap { $0 }.first) }
        if [.qwen2, .qwen3, .gemma2].contains(family), !windows.isEmpty {
            writer.add("use_sliding_window", true)
            writer.add("layer_types", windows.map { $0 == nil ? "full_attention" : "sliding_attention" })
        }
        RotaryReader.write(
            ropeScaling, base: ropeBase, partialFactor: rotaryDim.map { Double($0) / Double(headDim) }, context: context,
            to: &writer)
        return writer.text()
    }
}

/// Reads rotary positions from `rope_parameters`, or from the older `rope_theta` and `rope_scaling`.
struct RotaryReader {
    let base: Double
    /// The share of a head's features that turn.
    let partialFactor: Double
    private let reader, outer: ConfigurationReader
    private let context: Int

    init(_ outer: ConfigurationReader, context: Int) throws {
        let inner = try outer.nested("rope_parameters") ?? outer.nested("rope_scaling")
        reader = inner ?? outer
        self.outer = outer
        self.context = context
        let positive = 1e-3...1e15
        base = try reader.optionalNumber("rope_theta", in: positive) ?? outer.number("rope_theta", default: 10_000, in: positive)
        let factor = try reader.optionalNumber("partial_rotary_factor", in: 0...1)
        partialFactor = try factor ?? outer.number("partial_rotary_factor", default: 1, in: 0...1)
    }

    func scaling(frequencies: Int) throws -> RotaryScaling {
        let type = try reader.optionalText("rope_type") ?? reader.optionalText("type") ?? "default"
        func original() throws -> Int {
            try reader.optionalInteger("original_max_position_embeddings")
                ?? outer.integer("original_max_position_embeddings", default: context)
        }
        func factor() throws -> Double { try reader.number("factor", in: 1e-3...1e6) }
        switch type {
        case "default": return .none
        case "linear": return .linear(factor: try factor())
        case "dynamic": return .dynamic(factor: try reader.number("factor", in: 1...1e6), context: context)
        case "yarn":
            let length = try original()
            var yarn = RotaryScaling.YaRN(
                factor: try reader.optionalNumber("factor", in: 1e-3...1e6) ?? Double(context) / Double(length), context: length)
            let turns = 1e-3...1e6
            yarn.betaFast = try reader.number("beta_fast", default: 32, in: turns)
            yarn.betaSlow = try reader.number("beta_slow", default: 1, in: turns)
            yarn.attentionFactor = try reader.optionalNumber("attention_factor", in: 0...1e6)
            yarn.mscale = try reader.optionalNumber("mscale", in: 0...1e6)
            yarn.mscaleAllDimensions = try reader.optionalNumber("mscale_all_dim", in: 0...1e6)
            yarn.truncates = try reader.flag("truncate", default: true)
            return .yarn(yarn)
        case "llama3":
            let low = try reader.number("low_freq_factor", in: 1e-3...1e6),
                high = try reader.number("high_freq_factor", in: 1e-3...1e6)
            if high <= low { throw reader.error("high_freq_factor \(high) must be above low_freq_factor \(low)") }
            return .llama3(factor: try factor(), lowFrequency: low, highFrequency: high, context: try original())
        case "longrope", "su":
            let length = try original(), positive = 1e-6...1e9
            let times = try reader.optionalNumber("factor", in: 1e-3...1e6) ?? Double(context) / Double(length)
            let usual = times <= 1 || length < 2 ? 1 : (1 + log(times) / log(Double(length))).squareRoot()
            return .longRoPE(
                short: try reader.numbers("short_factor", count: frequencies, in: positive),
                long: try reader.numbers("long_factor", count: frequencies, in: positive),
                attentionFactor: try reader.number("attention_factor", default: usual, in: 0...1e6), context: length)
        default:
            throw reader.error("rope_type is \(type.prefix(60)); known are default, linear, dynamic, yarn, llama3 and longrope")
        }
    }

    static func write(
        _ scaling: RotaryScaling, base: Double, partialFactor: Double?, context: Int, to writer: inout ConfigurationWriter
    ) {
        var rope = ConfigurationWriter()
        rope.add("rope_theta", base)
        if let partialFactor { rope.add("partial_rotary_factor", partialFactor) }
        switch scaling {
        case .none: rope.add("rope_type", "default")
        case .linear(let factor):
            rope.add("rope_type", "linear")
            rope.add("factor", factor)
        case .dynamic(let factor, _):
            rope.add("rope_type", "dynamic")
            rope.add("factor", factor)
        case .yarn(let yarn):
            rope.add("rope_type", "yarn")
            rope.add("factor", yarn.factor)
            rope.add("original_max_position_embeddings", yarn.context)
            rope.add("beta_fast", yarn.betaFast)
            rope.add("beta_slow", yarn.betaSlow)
            rope.add("attention_factor", yarn.scale)
            rope.add("truncate", yarn.truncates)
        case .llama3(let factor, let low, let high, let context):
            rope.add("rope_type", "llama3")
            rope.add("factor", factor)
            rope.add("low_freq_factor", low)
            rope.add("high_freq_factor", high)
            rope.add("original_max_position_embeddings", context)
        case .longRoPE(let short, let long, let factor, let context):
            rope.add("rope_type", "longrope")
            rope.add("short_factor", short)
            rope.add("long_factor", long)
            rope.add("attention_factor", factor)
            rope.add("original_max_position_embeddings", context)
        }
        writer.add("rope_parameters", rope)
    }
}
