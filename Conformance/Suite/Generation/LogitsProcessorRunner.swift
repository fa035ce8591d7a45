import Foundation
import Tapestry

/// Scores before and after Hugging Face's logits processors: "temperature=0.7,top_k=12" from left to right.
enum LogitsProcessorRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let tokens = item["input_ids"] as! [[Int]]
        let processors = try (item["processor"] as! String).split(separator: ",").map { try processor(String($0)) }
        let processed = processors(try file.tensor(item["scores"]), after: tokens)
        return mismatch(processed, try file.tensor(item["processed"]))
    }

    private static func processor(_ text: String) throws -> any LogitsProcessor {
        let parts = text.split(separator: "=").map(String.init)
        guard parts.count == 2, let value = Double(parts[1]) else { throw Unsupported("processor \(text)") }
        switch parts[0] {
        case "temperature": return Temperature(value)
        case "top_k": return TopK(Int(value))
        case "top_p": return TopP(value)
        case "min_p": return MinP(value)
        case "typical_p": return TypicalP(value)
        case "epsilon_cutoff": return EpsilonCutoff(value)
        case "eta_cutoff": return EtaCutoff(value)
        case "repetition_penalty": return RepetitionPenalty(value)
        case "no_repeat_ngram_size": return NoRepeatNGram(Int(value))
        default: throw Unsupported("processor \(parts[0])")
        }
    }
}
