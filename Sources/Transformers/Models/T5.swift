import CoreTensor
import NN

/// An encoder-decoder for text to text (Raffel et al., 2020): relative positions, root-mean-square norms, no biases; T5, T5 1.1, Flan-T5.
///
/// ```swift
/// let model = try T5.load("models/flan-t5-small")
/// let decoder = model.decoder(for: source)                      // the encoder runs once
/// var cache = decoder.makeCache(capacity: nil)
/// let logits = decoder(Tensor([0], shape: [1, 1]), cache: &cache, lastOnly: true)
/// ```
public final class T5: Module {
    /// The sizes the model was made with.
    public let configuration: T5Configuration
    /// `[vocabulary, width]`: of source and target, and the weight of the output head if it is tied.
    public let tokenEmbedding: Embedding
    /// Every position sees all others.
    public let encoder: T5Stack
    /// Every position sees those before it, and the encoder's output.
    public let decoder: T5Stack
    /// What makes the logits in place of the tied embeddings, if anything: `[..., width]` to `[..., vocabulary]`.
    public var outputHead: (any Layer)?

    /// A model with the given weights to begin with; traps if the configuration's ``T5Configuration/problem`` is not nil.
    public init(_ configuration: T5Configuration, weights: WeightInitializer = .normal(deviation: 0.05)) {
        if let problem = configuration.problem { fail("T5", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = weights.embedding(c.vocabulary, c.width, deviation: 1)
        encoder = T5Stack(c, isDecoder: false, weights: weights)
        decoder = T5Stack(c, isDecoder: true, weights: weights)
        outputHead = c.tiesHead ? nil : weights.linear(c.width, c.vocabulary, bias: false)
    }

    /// Logits of the token after every position of a target: `ids [batch, source]` and `targets [batch, length]`, which begins with
    /// ``T5Configuration/startToken``, give `[batch, length, vocabulary]`. `paddingMask [batch, source]`, true or 1 for tokens, hides the
    /// rest of the source.
    public func callAsFunction(_ ids: Tensor, targets: Tensor, paddingMask: Tensor? = nil) -> Tensor {
        let memory = encode(ids, paddingMask: paddingMask).last!
        return logits(decode(targets, memory: memory, paddingMask: paddingMask).last!)
    }

    /// What goes into each block of the encoder, and its output: `encoderLayers + 1` tensors `[batch, source, width]`.
    public func encode(_ ids: Tensor, paddingMask: Tensor? = nil) -> [Tensor] {
        if ids.rank != 2 { fail("T5", "needs ids [batch, sequence], not \(ids.shape)") }
        return encoder.states(tokenEmbedding(ids), mask: paddingMask.map(AttentionMask.padding))
    }

    /// What goes into each block of the decoder, and its output, `decoderLayers + 1` tensors `[batch, length, width]`, for `targets
    /// [batch, length]` and the encoder's output `memory [batch, source, width]`.
    public func decode(_ targets: Tensor, memory: Tensor, paddingMask: Tensor? = nil) -> [Tensor] {
        if targets.rank != 2 { fail("T5", "needs targets [batch, sequence], not \(targets.shape)") }
        return decoder.states(
            tokenEmbedding(targets), mask: nil, memory: keysValues(of: memory), memoryMask: paddingMask.map(AttentionMask.padding)
        )
    }

    /// Logits of the decoder's output `[..., width]`: `[..., vocabulary]`.
    public func logits(_ features: Tensor) -> Tensor {
        let c = configuration
        let x = c.scalesOutput ? features * (1 / Double(c.width).squareRoot()) : features
        return outputHead.map { $0(x) } ?? linear(x, tokenEmbedding.weight.value)
    }

    /// The mean cross-entropy in nats of `labels [batch, length]`, of which -100 do not count; the decoder reads them shifted by one.
    public func loss(_ ids: Tensor, labels: Tensor, paddingMask: Tensor? = nil) -> Tensor {
        crossEntropy(self(ids, targets: shifted(labels), paddingMask: paddingMask), labels)
    }

    /// `labels [batch, length]` behind the start token and without the last; -100 becomes padding.
    public func shifted(_ labels: Tensor) -> Tensor {
        let c = configuration, labels = labels.detached()
        let start = Tensor(
            repeating: Double(c.startToken), shape: [labels.shape[0], 1], dtype: labels.dtype, device: labels.device)
        let rest = labels.narrowed(axis: 1, start: 0, length: labels.shape[1] - 1)
        return concatenate([start, rest.maskedFill(rest .< 0, Double(c.padToken))], axis: 1)
    }

    /// The decoder bound to a source `ids [batch, source]`: the encoder runs now, and once; `paddingMask [batch, source]`, true or 1 for
    /// tokens, hides the rest.
    public func decoder(for ids: Tensor, paddingMask: Tensor? = nil) -> T5Decoder {
        withoutGrad {
            let memory = encode(ids, paddingMask: paddingMask).last!
            return T5Decoder(self, keysValues(of: memory), paddingMask.map(AttentionMask.padding))
        }
    }

    private func keysValues(of memory: Tensor) -> [GroupedQueryAttention.KeysValues] {
        decoder.blocks.map { $0.crossAttention!.keysValues(of: memory) }
    }
}

/// The decoder of a ``T5`` with the encoder's output of one source, as a language model: its keys and values are there already, so a token
/// costs only its own.
public final class T5Decoder: CausalLanguageModel {
    private let model: T5
    // Per block, [batch, heads, source, headDim].
    private let memory: [GroupedQueryAttention.KeysValues]
    private let memoryMask: Tensor?

    init(_ model: T5, _ memory: [GroupedQueryAttention.KeysValues], _ memoryMask: Tensor?) {
        self.model = model
        self.memory = memory
        self.memoryMask = memoryMask
    }

    /// The number of different tokens.
    public var vocabulary: Int { model.configuration.vocabulary }
    /// Not limited: distances beyond the largest are alike.
    public var context: Int { .max }
    /// Where the weights are.
    public var device: Device { model.tokenEmbedding.weight.device }
    /// Whether layers such as dropout behave as in training.
    public var isTraining: Bool { model.isTraining }
    /// Puts the whole model into training mode, or out of it.
    public func train(_ isTraining: Bool) { model.train(isTraining) }
    /// The token that a target starts with.
    public var startToken: Int { model.configuration.startToken }

    /// Logits of the next token at every position: `ids [batch, sequence]`, which begin with the start token, give
    /// `[batch, sequence, vocabulary]`. The batch may be a multiple of the source's (beams): its sequences then follow their source.
    public func callAsFunction(_ ids: Tensor) -> Tensor {
        let (memory, mask) = repeated(ids)
        return model.logits(model.decoder.states(model.tokenEmbedding(ids), mask: nil, memory: memory, memoryMask: mask).last!)
    }

    /// Logits after `ids [batch, new]`, which follow the positions in `cache` and join it: `[batch, new, vocabulary]`, or
    /// `[batch, 1, vocabulary]` for the last position alone. Without gradients.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false) -> Tensor {
        if cache.layers.count != memory.count {
            fail("T5Decoder", "a cache of \(cache.layers.count) layers does not fit \(memory.count) blocks; see makeCache()")
        }
        let (memory, mask) = repeated(ids)
        return withoutGrad {
            let x = model.decoder.continued(model.tokenEmbedding(ids), cache: &cache, memory: memory, memoryMask: mask)
            return model.logits(lastOnly ? x.narrowed(axis: 1, start: x.shape[1] - 1, length: 1) : x)
        }
    }

    /// An empty cache of the decoder's own positions. With a `capacity` the room is taken at once.
    public func makeCache(capacity: Int? = nil) -> KVCache { KVCache(layers: memory.count, capacity: capacity) }

    /// The source's keys, values and mask for each sequence of `ids [batch, sequence]`.
    private func repeated(_ ids: Tensor) -> ([GroupedQueryAttention.KeysValues], Tensor?) {
        if ids.rank != 2 { fail("T5Decoder", "needs ids [batch, sequence], not \(ids.shape)") }
        let sources = memory[0].keys.shape[0], batch = ids.shape[0]
        if batch == sources { return (memory, memoryMask) }
        if sources == 0 || batch % sources != 0 {
            fail("T5Decoder", "\(batch) sequences for \(sources) sources; needs a multiple")
        }
        func each(_ x: Tensor) -> Tensor {
            sources == 1 ? x.expanded(to: [batch] + x.shape.dropFirst()) : x.repeatInterleaved(batch / sources, axis: 0)
        }
        return (memory.map { .init(keys: each($0.keys), values: each($0.values)) }, memoryMask.map(each))
    }
}

extension T5: NamedWeights {
    /// One per block of the encoder and the decoder.
    public static func layerCount(_ configuration: T5Configuration) -> Int {
        configuration.encoderLayers + configuration.decoderLayers
    }

    /// The head is tied where the weights have none of its own.
    public static func fitted(_ configuration: T5Configuration, to names: [String]) -> T5Configuration {
        var c = configuration
        c.tiesHead = !names.contains("lm_head.weight") || (c.tiesHead && c.scalesOutput)
        return c
    }

    var weightNames: WeightNames {
        var names = WeightNames()
        names.add("tokenEmbedding", "shared")
        names.add("outputHead", "lm_head")
        for part in ["encoder", "decoder"] {
            let block = "\(part).block.*.layer", attention = "\(part).blocks.*.attention"
            for (ours, theirs) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                names.add("\(attention).\(ours)", "\(block).0.SelfAttention.\(theirs)")
                if part == "decoder" {
                    names.add("decoder.blocks.*.crossAttention.\(ours)", "\(block).1.EncDecAttention.\(theirs)")
                }
            }
            names.add("\(part).blocks.*.attentionNorm", "\(block).0.layer_norm")
            if part == "decoder" { names.add("decoder.blocks.*.crossNorm", "\(block).1.layer_norm") }
            let last = part == "decoder" ? 2 : 1
            names.add("\(part).blocks.*.feedForwardNorm", "\(block).\(last).layer_norm")
            for (ours, theirs) in [("expand", "wi"), ("project", "wo"), ("gate", "wi_0"), ("up", "wi_1"), ("down", "wo")] {
                names.add("\(part).blocks.*.feedForward.\(ours)", "\(block).\(last).DenseReluDense.\(theirs)")
            }
            names.add("\(part).positionBias.table", "\(part).block.0.layer.0.SelfAttention.relative_attention_bias")
            names.add("\(part).finalNorm", "\(part).final_layer_norm")
        }
        return names
    }
}
