import Tapestry

extension OpTable {
    /// Rows of tables, and bilinear maps.
    static let tables: [String: Function] = [
        "nn.functional.embedding": { call in
            try call.allow("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")
            let table = try call.tensor(0)
            return [
                embedding(
                    try call.tensor(1), table, paddingIndex: padding(call, 2, table), maxNorm: try number(call, 3, "max_norm"),
                    normType: try call.double(4, "norm_type", or: 2), scaleGradByFrequency: call.bool(5, "scale_grad_by_freq"))
            ]
        },
        "nn.functional.embedding_bag": { call in
            try call.allow(
                "offsets", "max_norm", "norm_type", "scale_grad_by_freq", "mode", "sparse", "per_sample_weights",
                "include_last_offset", "padding_idx")
            let table = try call.tensor(0)
            let name = call.string(6, "mode", or: "mean")
            guard let mode = BagMode(rawValue: name) else { throw GoldenError("mode \(name)") }
            return [
                embeddingBag(
                    try call.tensor(1), table, offsets: try call.optionalTensor(2, "offsets")?.scalars(Int.self), mode: mode,
                    weights: try call.optionalTensor(8, "per_sample_weights"), paddingIndex: padding(call, 10, table),
                    includesEnd: call.bool(9, "include_last_offset"), maxNorm: try number(call, 3, "max_norm"),
                    normType: try call.double(4, "norm_type", or: 2), scaleGradByFrequency: call.bool(5, "scale_grad_by_freq"))
            ]
        },
        "nn.functional.bilinear": { call in
            [
                bilinear(
                    try call.tensor(0), try call.tensor(1), try call.tensor(2, "weight"), try call.optionalTensor(3, "bias"))
            ]
        },
    ]

    /// Attention by itself and with projections.
    static let attention: [String: Function] = [
        "nn.functional.scaled_dot_product_attention": { call in
            try call.allow("attn_mask", "is_causal", "dropout_p", "enable_gqa", "scale")
            if try call.double(4, "dropout_p", or: 0) != 0 { throw Unsupported("dropout") }
            return [
                scaledDotProductAttention(
                    try call.tensor(0), try call.tensor(1), try call.tensor(2), mask: try call.optionalTensor(3, "attn_mask"),
                    causal: call.bool(5, "is_causal"), alignment: .firstKey, scale: try number(call, 6, "scale"))
            ]
        },
        "nn.functional.multi_head_attention_forward": { call in
            try call.allow(
                "training", "key_padding_mask", "need_weights", "attn_mask", "use_separate_proj_weight", "q_proj_weight",
                "k_proj_weight", "v_proj_weight", "static_k", "static_v", "average_attn_weights", "is_causal")
            let isTraining = call.bool(13, "training", or: true), dropout = try call.double(10, "dropout_p", or: 0)
            if isTraining && dropout != 0 { throw Unsupported("dropout") }
            if call.has("static_k") || call.has("static_v") { throw Unsupported("given keys and values") }
            let inputBias = try call.optionalTensor(6, "in_proj_bias")
            let keyBias = try call.optionalTensor(7, "bias_k"), valueBias = try call.optionalTensor(8, "bias_v")
            let output = try call.tensor(11, "out_proj_weight"), outputBias = try call.optionalTensor(12, "out_proj_bias")
            let weights: MultiheadAttentionWeights
            if call.bool(17, "use_separate_proj_weight") {
                weights = MultiheadAttentionWeights(
                    query: try call.tensor(18, "q_proj_weight"), key: try call.tensor(19, "k_proj_weight"),
                    value: try call.tensor(20, "v_proj_weight"), inputBias: inputBias, keyBias: keyBias, valueBias: valueBias,
                    output: output, outputBias: outputBias)
            } else {
                weights = MultiheadAttentionWeights(
                    packed: try call.tensor(5, "in_proj_weight"), inputBias: inputBias, keyBias: keyBias, valueBias: valueBias,
                    output: output, outputBias: outputBias)
            }
            // PyTorch's function takes [length, batch, features].
            func batchFirst(_ x: Tensor) -> Tensor { x.rank == 3 ? x.permuted(1, 0, 2) : x }
            let (out, p) = multiheadAttention(
                batchFirst(try call.tensor(0)), batchFirst(try call.tensor(1)), batchFirst(try call.tensor(2)), weights,
                heads: try call.int(4, "num_heads"), addZeroAttention: call.bool(9, "add_zero_attn"),
                keyPaddingMask: try call.optionalTensor(14, "key_padding_mask"), mask: try call.optionalTensor(16, "attn_mask"),
                isCausal: call.bool(24, "is_causal"), needsWeights: call.bool(15, "need_weights", or: true),
                averagesWeights: call.bool(23, "average_attn_weights", or: true))
            return [batchFirst(out)] + [p].compactMap { $0 }
        },
    ]

    private static func padding(_ call: GoldenCall, _ position: Int, _ table: Tensor) -> Int? {
        if case .int(let i) = call.value(position, "padding_idx") { return i < 0 ? i + table.shape[0] : i }
        return nil
    }

    private static func number(_ call: GoldenCall, _ position: Int, _ name: String) throws -> Double? {
        if case .none = call.value(position, name) { return nil }
        return try call.double(position, name, or: 0)
    }
}
