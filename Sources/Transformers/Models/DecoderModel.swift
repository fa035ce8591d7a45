import CoreTensor
import NN

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A decoder-only transformer of Llama's kind (Touvron et al., 2023): rotary positions, grouped queries, gated feed-forward parts,
/// root-mean-square norms; by its switches also Mistral, Qwen2, Qwen3, Gemma, Gemma 2 and Phi-3.
///
/// ```swift
/// let model = try DecoderModel.load("models/Llama-3.2-1B", dtype: .bfloat16)
/// var cache = model.makeCache()
/// let logits = model(Tensor([1, 15043, 3186], shape: [1, 3]), cache: &cache, lastOnly: true)      // [1, 1, vocabulary]
/// ```
public final class DecoderModel: Module, BatchedLanguageModel, GradientCheckpointing {
    /// The sizes and switches the model was made with.
    public let configuration: DecoderConfiguration
    /// `[vocabulary, width]`: the vectors of the tokens, and the weight of the output head if it is tied.
    public let tokenEmbedding: Embedding
    /// First to last.
    public let blocks: [DecoderBlock]
    /// Applied to the last block's output, before the head.
    public let finalNorm: any Layer
    /// What makes the logits in place of the tied embeddings, if anything: `[..., width]` to `[..., vocabulary]`. A linear layer where the head
    /// is not tied, or a quantised copy.
    public var outputHead: (any Layer)?
    /// The positions' angles.
    public let rotary: RotaryEmbedding
    /// Whether blocks are computed again in the backward pass.
    public var usesGradientCheckpointing = false

    /// A model with the given weights to begin with; traps if the configuration's ``DecoderConfiguration/problem`` is not nil.
    public init(_ configuration: DecoderConfiguration, weights: WeightInitializer = .normal()) {
        if let problem = configuration.problem { fail("DecoderModel", problem) }
        let c = configuration
        self.configuration = c
        tokenEmbedding = weights.embedding(c.vocabulary, c.width, paddingIndex: c.padToken)
        blocks = (0..<c.layers).map { DecoderBlock(c, layer: $0, weights: weights) }
        finalNorm = c.norm(weights)
        outputHead = c.tiesHead ? nil : weights.linear(c.width, c.vocabulary, bias: false)
        rotary = RotaryEmbedding(dim: c.rotaryDim ?? c.headDim, base: c.ropeBase, scaling: c.ropeScaling)
    }

    /// The number of different tokens.
    public var vocabulary: Int { configuration.vocabulary }
    /// The longest sequence, in tokens.
    public var context: Int { configuration.context }
    /// Where the weights are.
    public var device: Device { tokenEmbedding.weight.device }

    /// Logits of the next token at every position: `ids [batch, sequence]` gives `[batch, sequence, vocabulary]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { self(ids, paddingMask: nil) }

    /// The same for sequences of which some are shorter: `paddingMask [batch, sequence]`, true or 1 for tokens, hides the rest as keys.
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor?) -> Tensor {
        let (x, rotation) = start(ids, at: 0)
        let mask = paddingMask.map(AttentionMask.padding)
        return head(blocks.reduce(x) { x, block in blockOutput { block(x, rotation: rotation, mask: mask) } })
    }

    /// What goes into each block, and what comes out of the final norm: `layers + 1` tensors `[batch, sequence, width]`.
    public func hiddenStates(_ ids: Tensor, paddingMask: Tensor? = nil) -> [Tensor] {
        let (x, rotation) = start(ids, at: 0)
        let mask = paddingMask.map(AttentionMask.padding)
        var states = [x]
        for block in blocks {
            states.append(blockOutput { [x = states.last!] in block(x, rotation: rotation, mask: mask) })
        }
        states[blocks.count] = finalNorm(states[blocks.count])
        return states
    }

    /// Logits after `ids [batch, new]`, which follow the positions in `cache` and join it: `[batch, new, vocabulary]`, or
    /// `[batch, 1, vocabulary]` for the last position alone. Without gradients.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false) -> Tensor {
        self(ids, cache: &cache, lastOnly: lastOnly, paddingMask: nil)
    }

    /// The same for a batch of prompts padded on the left: `paddingMask [batch, length so far + new]`, true or 1 for tokens. Positions count
    /// tokens alone.
    public func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool = false, paddingMask: Tensor?) -> Tensor {
        if cache.layers.count != blocks.count {
            fail("DecoderModel", "a cache of \(cache.layers.count) layers does not fit \(blocks.count) blocks; see makeCache()")
        }
        return withoutGrad {
            var (x, rotation) = start(ids, at: cache.length, paddingMask)
            let mask = paddingMask.map(AttentionMask.padding)
            for (index, block) in blocks.enumerated() {
                x = block(x, rotation: rotation, mask: mask, cache: &cache.layers[index])
            }
            return head(lastOnly ? x.narrowed(axis: 1, start: x.shape[1] - 1, length: 1) : x)
        }
    }

    /// An empty cache for this model, whose layers with windows keep no more than these. With a `capacity` the room is taken at once.
    public func makeCache(capacity: Int? = nil) -> KVCache {
        KVCache(windows: (0..<blocks.count).map(configuration.window), capacity: capacity)
    }

    /// The mean cross-entropy in nats of `targets [batch, sequence]`, the tokens that follow `ids`; targets of -100 do not count.
    public func loss(_ ids: Tensor, _ targets: Tensor, paddingMask: Tensor? = nil) -> Tensor {
        crossEntropy(self(ids, paddingMask: paddingMask), targets)
    }

    /// Embeddings of `ids` and the angles of their positions.
    private func start(_ ids: Tensor, at first: Int, _ paddingMask: Tensor? = nil) -> (Tensor, RotaryRotation) {
        if ids.rank != 2 { fail("DecoderModel", "needs ids [batch, sequence], not \(ids.shape)") }
        let length = ids.shape[1]
        func check(_ tokens: Int) {
            if tokens > context {
                fail("DecoderModel", "\(tokens) tokens do not fit the context of \(context); crop the sequence")
            }
        }
        var x = tokenEmbedding(ids)
        if configuration.isGemma { x = x * Double(configuration.width).squareRoot() }
        guard let paddingMask else {
            check(first + length)
            return (x, rotary.rotation(of: first..<first + length, dtype: x.dtype, device: x.device))
        }
        if paddingMask.shape != [ids.shape[0], first + length] {
            fail(
                "DecoderModel",
                "a padding mask \(paddingMask.shape) for \(first) + \(length) positions of \(ids.shape[0]) sequences")
        }
        let rows = AttentionMask.places(paddingMask, last: length)
        check(rows.reduce(0) { Swift.max($0, ($1.last ?? -1) + 1) })
        return (x, rotary.rotation(of: rows, dtype: x.dtype, device: x.device))
    }

    private func head(_ x: Tensor) -> Tensor {
        let normed = finalNorm(x)
        let logits = outputHead.map { $0(normed) } ?? linear(normed, tokenEmbedding.weight.value)
        return configuration.logitSoftCap.map { tanh(logits / $0) * $0 } ?? logits
    }
}

extension DecoderModel: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: DecoderConfiguration) -> Int { configuration.layers }

    var weightNames: WeightNames {
        let c = configuration, block = "model.layers.*"
        var names = WeightNames(basePrefix: "model.")
        names.add("tokenEmbedding", "model.embed_tokens")
        names.add("finalNorm", "model.norm")
        names.add("outputHead", "lm_head")
        names.add("blocks.*.attentionNorm", "\(block).input_layernorm")
        if c.hasOutputNorms {
            names.add("blocks.*.attentionOutputNorm", "\(block).post_attention_layernorm")
            names.add("blocks.*.feedForwardNorm", "\(block).pre_feedforward_layernorm")
            names.add("blocks.*.feedForwardOutputNorm", "\(block).post_feedforward_layernorm")
        } else {
            names.add("blocks.*.feedForwardNorm", "\(block).post_attention_layernorm")
        }
        if c.family == .phi3 {
            let queries = c.heads * c.headDim, keys = c.kvHeads * c.headDim
            names.add("blocks.*.attention.query", "\(block).self_attn.qkv_proj", form: .rows(start: 0, count: queries))
            names.add("blocks.*.attention.key", "\(block).self_attn.qkv_proj", form: .rows(start: queries, count: keys))
            names.add("blocks.*.attention.value", "\(block).self_attn.qkv_proj", form: .rows(start: queries + keys, count: keys))
            names.add("blocks.*.feedForward.gate", "\(block).mlp.gate_up_proj", form: .rows(start: 0, count: c.hidden))
            names.add("blocks.*.feedForward.up", "\(block).mlp.gate_up_proj", form: .rows(start: c.hidden, count: c.hidden))
        } else {
            names.add("blocks.*.attention.query", "\(block).self_attn.q_proj")
            names.add("blocks.*.attention.key", "\(block).self_attn.k_proj")
            names.add("blocks.*.attention.value", "\(block).self_attn.v_proj")
            names.add("blocks.*.feedForward.gate", "\(block).mlp.gate_proj")
            names.add("blocks.*.feedForward.up", "\(block).mlp.up_proj")
        }
        names.add("blocks.*.attention.queryNorm", "\(block).self_attn.q_norm")
        names.add("blocks.*.attention.keyNorm", "\(block).self_attn.k_norm")
        names.add("blocks.*.attention.output", "\(block).self_attn.o_proj")
        names.add("blocks.*.feedForward.down", "\(block).mlp.down_proj")
        return names
    }
}
