import Tapestry

extension ModuleTable {
    /// Attention and transformers.
    static let attention: [String: Maker] = [
        "MultiheadAttention": { o in
            try o.allow(
                "embed_dim", "num_heads", "dropout", "bias", "add_bias_kv", "add_zero_attn", "kdim", "vdim", "batch_first")
            let c = o.call
            func width(_ position: Int, _ name: String) throws -> Int? {
                if case .int(let i) = c.value(position, name) { return i }
                return nil
            }
            let layer = MultiheadAttention(
                try c.int(0, "embed_dim"), heads: try c.int(1, "num_heads"), dropout: try dropout(o, 2),
                bias: c.bool(3, "bias", or: true), addsKeyValueBias: c.bool(4, "add_bias_kv"),
                addsZeroAttention: c.bool(5, "add_zero_attn"), keyWidth: try width(6, "kdim"), valueWidth: try width(7, "vdim"),
                batchFirst: c.bool(8, "batch_first"), dtype: o.dtype)
            return GoldenModule(layer, parameters: named(layer)) { call in
                try call.allow(
                    "query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
                if layer.isTraining && layer.dropout > 0 { throw Unsupported("dropout") }
                let (output, weights) = layer(
                    try call.tensor(0, "query"), try call.tensor(1, "key"), try call.tensor(2, "value"),
                    keyPaddingMask: try call.optionalTensor(3, "key_padding_mask"), mask: try call.optionalTensor(5, "attn_mask"),
                    isCausal: call.bool(7, "is_causal"), needsWeights: call.bool(4, "need_weights", or: true),
                    averagesWeights: call.bool(6, "average_attn_weights", or: true))
                var outputs = ["out.0": output]
                if let weights { outputs["out.1"] = weights }
                return outputs
            }
        },
        "TransformerEncoderLayer": { o in
            let options = try transformer(o, 2)
            let layer = TransformerEncoderLayer(options)
            return GoldenModule(layer, parameters: named(layer)) { call in
                try call.allow("src", "src_mask", "src_key_padding_mask", "is_causal")
                try refuseDropout(layer, options)
                return [
                    "out": layer(
                        try call.tensor(0, "src"), mask: try call.optionalTensor(1, "src_mask"),
                        keyPaddingMask: try call.optionalTensor(2, "src_key_padding_mask"), isCausal: call.bool(3, "is_causal"))
                ]
            }
        },
        "TransformerDecoderLayer": { o in
            let options = try transformer(o, 2)
            let layer = TransformerDecoderLayer(options)
            return GoldenModule(layer, parameters: named(layer)) { call in
                try call.allow(
                    "tgt", "memory", "tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask",
                    "tgt_is_causal",
                    "memory_is_causal")
                try refuseDropout(layer, options)
                return [
                    "out": layer(
                        try call.tensor(0, "tgt"), memory: try call.tensor(1, "memory"),
                        mask: try call.optionalTensor(2, "tgt_mask"),
                        memoryMask: try call.optionalTensor(3, "memory_mask"),
                        keyPaddingMask: try call.optionalTensor(4, "tgt_key_padding_mask"),
                        memoryKeyPaddingMask: try call.optionalTensor(5, "memory_key_padding_mask"),
                        isCausal: call.bool(6, "tgt_is_causal"), memoryIsCausal: call.bool(7, "memory_is_causal"))
                ]
            }
        },
        "Transformer": { o in
            let options = try transformer(o, 4, stacks: true)
            let layer = Transformer(
                options, encoderLayers: try o.call.int(2, "num_encoder_layers", or: 6),
                decoderLayers: try o.call.int(3, "num_decoder_layers", or: 6))
            return GoldenModule(layer, parameters: named(layer)) { call in
                try call.allow(
                    "src", "tgt", "src_mask", "tgt_mask", "memory_mask", "src_key_padding_mask", "tgt_key_padding_mask",
                    "memory_key_padding_mask", "src_is_causal", "tgt_is_causal", "memory_is_causal")
                try refuseDropout(layer, options)
                return [
                    "out": layer(
                        try call.tensor(0, "src"), try call.tensor(1, "tgt"), sourceMask: try call.optionalTensor(2, "src_mask"),
                        targetMask: try call.optionalTensor(3, "tgt_mask"), memoryMask: try call.optionalTensor(4, "memory_mask"),
                        sourceKeyPaddingMask: try call.optionalTensor(5, "src_key_padding_mask"),
                        targetKeyPaddingMask: try call.optionalTensor(6, "tgt_key_padding_mask"),
                        memoryKeyPaddingMask: try call.optionalTensor(7, "memory_key_padding_mask"),
                        sourceIsCausal: call.bool(8, "src_is_causal"), targetIsCausal: call.bool(9, "tgt_is_causal"),
                        memoryIsCausal: call.bool(10, "memory_is_causal"))
                ]
            }
        },
    ]

    private static func refuseDropout(_ module: Module, _ options: TransformerOptions) throws {
        if module.isTraining && options.dropout > 0 { throw Unsupported("dropout") }
    }

    /// Options from `dim_feedforward` on, which has the given position.
    private static func transformer(_ o: ModuleOptions, _ p: Int, stacks: Bool = false) throws -> TransformerOptions {
        let counts = stacks ? ["num_encoder_layers", "num_decoder_layers"] : []
        try o.allow(
            counts + [
                "d_model", "nhead", "dim_feedforward", "dropout", "activation", "layer_norm_eps", "batch_first", "norm_first",
                "bias",
            ])
        let c = o.call, eps = stacks ? p + 5 : p + 3
        let name = c.string(p + 2, "activation", or: "relu")
        guard let activation = TransformerActivation(rawValue: name) else { throw Unsupported("activation \(name)") }
        return TransformerOptions(
            model: try c.int(0, "d_model", or: 512), heads: try c.int(1, "nhead", or: 8),
            hidden: try c.int(p, "dim_feedforward", or: 2048), dropout: try dropout(o, p + 1, or: 0.1), activation: activation,
            eps: try c.double(eps, "layer_norm_eps", or: 1e-5), batchFirst: c.bool(eps + 1, "batch_first"),
            normFirst: c.bool(eps + 2, "norm_first"), bias: c.bool(eps + 3, "bias", or: true), dtype: o.dtype)
    }
}
