import CoreTensor
import Data
import NN

extension DecoderConfiguration {
    /// The families whose GGUF files are known, by `general.architecture`. Mistral's say that they are Llama's.
    private static let architectures: [String: Family] = ["llama": .llama, "qwen2": .qwen2, "qwen3": .qwen3]

    /// Reads the metadata of a GGUF file of llama.cpp; `path` names it in errors. Throws ``PretrainedError`` for what is missing or out of
    /// range, before anything is allocated.
    public init(_ file: GGUFFile, path: String) throws {
        func wrong(_ reason: String) -> PretrainedError { PretrainedError(path, reason) }
        guard let name = try file.metadata("general.architecture")?.string else { throw wrong("has no general.architecture") }
        guard let family = Self.architectures[name] else {
            throw wrong(
                "general.architecture is \(name.prefix(60)); known are \(Self.architectures.keys.sorted().joined(separator: ", "))"
            )
        }
        func integer(
            _ key: String, default fallback: Int? = nil, in range: ClosedRange<Int> = 1...ConfigurationReader.largestSize
        ) throws -> Int {
            guard let value = try file.metadata("\(name).\(key)") else {
                guard let fallback else { throw wrong("has no \(name).\(key)") }
                return fallback
            }
            // Some files give a number per layer.
            var whole = value.integer
            if case .array(_, let list) = value, let first = list.first, list.allSatisfy({ $0 == first }) {
                whole = first.integer
            }
            guard let whole, range.contains(whole) else {
                throw wrong("\(name).\(key) must be a whole number in \(range.lowerBound) ... \(range.upperBound)")
            }
            return whole
        }
        func number(_ key: String, default fallback: Double, in range: ClosedRange<Double>) throws -> Double {
            guard let value = try file.metadata("\(name).\(key)") else { return fallback }
            guard let number = value.double, range.contains(number) else {
                throw wrong("\(name).\(key) must be a number in \(range.lowerBound) ... \(range.upperBound)")
            }
            return number
        }
        guard file.names.contains("token_embd.weight"), case let table = try file.shape(of: "token_embd.weight"), table.count == 2
        else {
            throw wrong("has no matrix token_embd.weight")
        }
        let heads = try integer("attention.head_count"), width = try integer("embedding_length")
        if try width % heads != 0 && file.metadata("\(name).attention.key_length") == nil {
            throw wrong("\(heads) heads do not divide a width of \(width)")
        }
        self.init(
            family: family, vocabulary: table[0], context: try integer("context_length", default: 2048), width: width,
            layers: try integer("block_count", in: 1...ConfigurationReader.mostLayers), heads: heads,
            kvHeads: try integer("attention.head_count_kv", default: heads),
            headDim: try integer("attention.key_length", default: width / heads), hidden: try integer("feed_forward_length"))
        eps = try number("attention.layer_norm_rms_epsilon", default: 1e-5, in: 0...1)
        ropeBase = try number("rope.freq_base", default: 10_000, in: 1e-3...1e15)
        let turning = try integer("rope.dimension_count", default: headDim)
        rotaryDim = turning == headDim ? nil : turning
        hasInputBias = file.names.contains("blk.0.attn_q.bias")
        hasOutputBias = file.names.contains("blk.0.attn_output.bias")
        normalizesHeads = family == .qwen3
        tiesHead = !file.names.contains("output.weight")
        if file.names.contains("rope_freqs.weight") {
            // What Llama 3.1's scaling divides each frequency by.
            let shape = try file.shape(of: "rope_freqs.weight")
            if shape != [turning / 2] {
                throw wrong("rope_freqs.weight has shape \(shape); \(turning / 2) frequencies need a factor each")
            }
            let factors = try file.tensor("rope_freqs.weight").to(.float64).scalars(Double.self)
            if !factors.allSatisfy({ $0 > 0 && $0.isFinite }) {
                throw wrong("rope_freqs.weight has a factor that is not above 0")
            }
            ropeScaling = .longRoPE(short: factors, long: factors, attentionFactor: 1, context: context)
        } else if let kind = try file.metadata("\(name).rope.scaling.type")?.string, kind != "none" {
            let factor = try number("rope.scaling.factor", default: 1, in: 1e-3...1e6)
            switch kind {
            case "linear": ropeScaling = .linear(factor: factor)
            case "yarn":
                let length = try integer("rope.scaling.original_context_length", default: context)
                ropeScaling = .yarn(.init(factor: factor, context: length))
            default: throw wrong("\(name).rope.scaling.type is \(kind.prefix(60)); known are none, linear and yarn")
            }
        }
        if let problem { throw wrong(problem) }
        if headDim % 2 != 0 { throw wrong("heads of \(headDim) features; needs an even number") }
    }

    /// The metadata of a GGUF file for this configuration, as ``init(_:path:)`` reads it; `rope_freqs.weight` holds factors of frequencies.
    fileprivate func metadata(path: String) throws -> [(key: String, value: GGUFValue)] {
        let name = family == .mistral ? "llama" : family.rawValue
        if Self.architectures[name] == nil || family == .mistral && !windows.isEmpty {
            throw PretrainedError(path, "GGUF files of \(family.rawValue) cannot be written")
        }
        var list: [(key: String, value: GGUFValue)] = [("general.architecture", .string(name))]
        for (key, value) in [
            ("context_length", context), ("embedding_length", width), ("block_count", layers), ("feed_forward_length", hidden),
            ("attention.head_count", heads), ("attention.head_count_kv", kvHeads), ("attention.key_length", headDim),
            ("attention.value_length", headDim), ("rope.dimension_count", rotaryDim ?? headDim), ("vocab_size", vocabulary),
        ] { list.append(("\(name).\(key)", .uint32(UInt32(value)))) }
        list.append(("\(name).attention.layer_norm_rms_epsilon", .float32(Float(eps))))
        list.append(("\(name).rope.freq_base", .float32(Float(ropeBase))))
        switch ropeScaling {
        case .none, .llama3: break
        case .linear(let factor):
            list += [("\(name).rope.scaling.type", .string("linear")), ("\(name).rope.scaling.factor", .float32(Float(factor)))]
        case .yarn(let yarn):
            list += [
                ("\(name).rope.scaling.type", .string("yarn")), ("\(name).rope.scaling.factor", .float32(Float(yarn.factor))),
                ("\(name).rope.scaling.original_context_length", .uint32(UInt32(yarn.context))),
            ]
        case .dynamic, .longRoPE: throw PretrainedError(path, "GGUF files with this rotary scaling cannot be written")
        }
        return list
    }
}

extension DecoderModel {
    /// Loads a Llama, Mistral, Qwen2 or Qwen3 from a GGUF file. Quantised weights become float32, or `dtype`.
    ///
    /// Throws ``PretrainedError`` or the file's errors; nothing is allocated for sizes that the weights do not have.
    public static func load(gguf path: String, dtype: DType? = nil) throws -> DecoderModel {
        try Models.requireParameters(dtype, path: path)
        let file = try GGUFFile(path)
        let configuration = try DecoderConfiguration(file, path: path)
        if configuration.layers > file.names.count {
            throw PretrainedError(
                path, "the metadata have \(configuration.layers) layers, the file only \(file.names.count) tensors")
        }
        let loader = WeightLoader(file, path: path)
        let model = DecoderModel(configuration, weights: .placeholder(dtype: try dtype ?? loader.commonType()))
        try loader.fill(model, names: model.ggufNames)
        model.eval()
        return model
    }

    /// Writes a GGUF file without a tokenizer: matrices stored as `type` (`f32`, `f16`, `bf16`, `q8_0`, `q4_0`), or as they are if nil; vectors
    /// in float32. Throws ``PretrainedError`` for families and scalings that the format cannot say.
    public func save(gguf path: String, type: GGMLType? = nil) throws {
        var tensors = ggufNames.exported(stateDict)
        if case .llama3 = configuration.ropeScaling {
            let plain = RotaryEmbedding(dim: rotary.dim, base: rotary.base).inverseFrequencies()
            let factors = zip(plain, rotary.inverseFrequencies()).map { Float($0 / $1) }
            tensors["rope_freqs.weight"] = Tensor(factors, shape: [factors.count])
        }
        let sorted = tensors.sorted { $0.key < $1.key }
            .map { (name: $0.key, tensor: $0.value.rank == 1 ? $0.value.to(.float32) : $0.value.contiguous()) }
        try saveGGUF(sorted, metadata: configuration.metadata(path: path), to: path) { _, tensor in tensor.rank == 1 ? .f32 : type
        }
    }

    private var ggufNames: WeightNames {
        let c = configuration, block = "blk.*"
        // llama.cpp's converter lays the rows of Llama's queries and keys so that pairs that turn together are neighbours.
        let isPermuted = c.family == .llama || c.family == .mistral
        var names = WeightNames()
        names.add("tokenEmbedding", "token_embd")
        names.add("finalNorm", "output_norm")
        names.add("outputHead", "output")
        names.add("blocks.*.attention.query", "\(block).attn_q", form: isPermuted ? .interleavedRows(heads: c.heads) : .same)
        names.add("blocks.*.attention.key", "\(block).attn_k", form: isPermuted ? .interleavedRows(heads: c.kvHeads) : .same)
        for (ours, theirs) in [
            ("attentionNorm", "attn_norm"), ("attention.value", "attn_v"), ("attention.output", "attn_output"),
            ("attention.queryNorm", "attn_q_norm"), ("attention.keyNorm", "attn_k_norm"), ("feedForwardNorm", "ffn_norm"),
            ("feedForward.gate", "ffn_gate"), ("feedForward.up", "ffn_up"), ("feedForward.down", "ffn_down"),
        ] { names.add("blocks.*.\(ours)", "\(block).\(theirs)") }
        return names
    }
}
