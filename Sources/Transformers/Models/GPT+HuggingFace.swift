import Data

extension GPT: PretrainedModel {
    /// One per block.
    public static func layerCount(_ configuration: Configuration) -> Int { configuration.layers }

    var weightNames: WeightNames {
        var names = WeightNames(basePrefix: "transformer.")
        names.add("tokenEmbedding", "transformer.wte")
        names.add("positionEmbedding", "transformer.wpe")
        names.add("blocks.*.attentionNorm", "transformer.h.*.ln_1")
        names.add("blocks.*.attention.qkv", "transformer.h.*.attn.c_attn", form: .transposed)
        names.add("blocks.*.attention.output", "transformer.h.*.attn.c_proj", form: .transposed)
        names.add("blocks.*.feedForwardNorm", "transformer.h.*.ln_2")
        names.add("blocks.*.feedForward.expand", "transformer.h.*.mlp.c_fc", form: .transposed)
        names.add("blocks.*.feedForward.project", "transformer.h.*.mlp.c_proj", form: .transposed)
        names.add("finalNorm", "transformer.ln_f")
        names.add("outputHead", "lm_head")
        return names
    }
}

extension GPT.Configuration: PretrainedConfiguration {
    /// Reads GPT-2's `config.json`.
    public init(json: String, path: String) throws {
        let reader = try ConfigurationReader(text: json, path: path)
        if try reader.flag("add_cross_attention", default: false) { throw reader.error("add_cross_attention is not supported") }
        self.init(
            vocabulary: try reader.integer("vocab_size", default: 50257),
            context: try reader.integer("n_positions", "n_ctx", "max_position_embeddings", default: 1024),
            width: try reader.integer("n_embd", "hidden_size", default: 768),
            layers: try reader.integer("n_layer", "num_hidden_layers", default: 12, in: 1...ConfigurationReader.mostLayers),
            heads: try reader.integer("n_head", "num_attention_heads", default: 12),
            dropout: try reader.probability("resid_pdrop", default: 0.1),
            hidden: try reader.optionalInteger("n_inner"),
            activation: try reader.activation("activation_function", default: .geluTanh),
            eps: try reader.epsilon("layer_norm_epsilon", default: 1e-5),
            tiesHead: try reader.flag("tie_word_embeddings", default: true),
            attentionDropout: try reader.probability("attn_pdrop", default: 0.1),
            scalesAttention: try reader.flag("scale_attn_weights", default: true),
            scalesAttentionByLayer: try reader.flag("scale_attn_by_inverse_layer_idx", default: false))
        if let problem { throw reader.error(problem) }
    }

    /// GPT-2's `config.json`.
    public var json: String {
        var writer = ConfigurationWriter()
        writer.add("architectures", ["GPT2LMHeadModel"])
        writer.add("model_type", "gpt2")
        writer.add("vocab_size", vocabulary)
        writer.add("n_positions", context)
        writer.add("n_embd", width)
        writer.add("n_layer", layers)
        writer.add("n_head", heads)
        writer.add("n_inner", hidden)
        writer.add("activation_function", activation.huggingFaceName)
        writer.add("layer_norm_epsilon", eps)
        writer.add("tie_word_embeddings", tiesHead)
        writer.add("resid_pdrop", dropout)
        writer.add("embd_pdrop", dropout)
        writer.add("attn_pdrop", attentionDropout)
        writer.add("scale_attn_weights", scalesAttention)
        writer.add("scale_attn_by_inverse_layer_idx", scalesAttentionByLayer)
        return writer.text()
    }
}
