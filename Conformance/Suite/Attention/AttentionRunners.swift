import Foundation
import Tapestry

/// Attention and rotary positions by themselves.
enum AttentionRunners {
    /// `scaled_dot_product_attention` with gradients.
    @Sendable static func attention(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let q = try file.tensor(item["q"], leaf: true), k = try file.tensor(item["k"], leaf: true)
        let v = try file.tensor(item["v"], leaf: true)
        var mask: Tensor?
        if let entry = item["mask"], case .tensor(let t) = try file.value(entry) { mask = t }
        let causal = item["is_causal"] as? Bool ?? false
        // Query i sees keys up to i, whatever their numbers; a scale that is not there is null.
        let scale = item["scale"].flatMap { $0 is String || $0 is Int || $0 is Double ? GoldenFile.number($0) : nil }
        let out = scaledDotProductAttention(q, k, v, mask: mask, causal: causal, alignment: .firstKey, scale: scale)
        if let wrong = mismatch(out, try file.tensor(item["out"])) { return "output: \(wrong)" }
        let found = gradients(of: [out], withRespectTo: [q, k, v], gradients: [try file.tensor(item["cotangent"])])
        for (name, gradient) in zip(["dq", "dk", "dv"], found) where item[name] != nil {
            let expected = try file.tensor(item[name])
            if let wrong = mismatch(gradient ?? Tensor(zerosLike: expected), expected, .standard(q.dtype, .gradients)) {
                return "\(name): \(wrong)"
            }
        }
        return nil
    }

    /// Frequencies, cosines, sines and rotated queries and keys of transformers' rotary positions.
    @Sendable static func rotary(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        guard let rope = item["rope"] as? [String: Any], let dim = item["head_dim"] as? Int,
            let positions = item["position_ids"] as? [[Int]]
        else { throw GoldenError("no rope") }
        // As a model's configuration gives them.
        let context = (item["max_position_embeddings"] as? Int) ?? (rope["max_position_embeddings"] as? Int) ?? 2048
        let object: [String: Any] = [
            "model_type": "llama", "hidden_size": dim, "num_attention_heads": 1, "max_position_embeddings": context,
            "rope_parameters": rope,
        ]
        let text = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        let configuration = try DecoderConfiguration(json: text, path: "rope")
        let rotary = RotaryEmbedding(
            dim: configuration.rotaryDim ?? configuration.headDim, base: configuration.ropeBase,
            scaling: configuration.ropeScaling)
        let longest = (positions.joined().max() ?? 0) + 1
        let length = item["seq_len"] as? Int ?? longest
        let frequencies = Tensor(rotary.inverseFrequencies(length: length)).to(.float32)
        if let wrong = mismatch(frequencies, try file.tensor(item["inv_freq"])) { return "inv_freq: \(wrong)" }
        let scaling = GoldenFile.number(item["attention_scaling"])
        if abs(rotary.attentionScaling - scaling) > 1e-6 {
            return "attention_scaling \(rotary.attentionScaling), expected \(scaling)"
        }
        let rotation = rotary.rotation(of: positions)
        for (name, actual) in [("cos", rotation.cosines), ("sin", rotation.sines)] where item[name] != nil {
            if let wrong = mismatch(actual, try file.tensor(item[name])) { return "\(name): \(wrong)" }
        }
        for (name, turned) in [("q", "q_rot"), ("k", "k_rot")] where item[name] != nil && item[turned] != nil {
            if let wrong = mismatch(rotation(try file.tensor(item[name])), try file.tensor(item[turned])) {
                return "\(turned): \(wrong)"
            }
        }
        return nil
    }
}
