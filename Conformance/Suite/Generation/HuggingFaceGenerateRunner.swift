import Foundation
import Tapestry

/// What transformers' `generate` makes of a prompt: greedy choice and beam search with penalties.
enum HuggingFaceGenerateRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let model = try Models.load(file.url.deletingLastPathComponent().path)
        let arguments = item["args"] as? [String: Any] ?? [:]
        let known: Set = [
            "max_new_tokens", "num_beams", "num_return_sequences", "length_penalty", "early_stopping", "eos_token_id",
            "repetition_penalty", "no_repeat_ngram_size", "do_sample", "min_new_tokens", "pad_token_id", "bad_words_ids",
        ]
        if let other = arguments.keys.first(where: { !known.contains($0) }) { throw Unsupported("generate's \(other)") }
        if arguments["do_sample"] as? Bool == true { throw Unsupported("a draw of another generator") }
        func number(_ key: String) -> Double? { (arguments[key] as? NSNumber)?.doubleValue }

        let beams = Int(number("num_beams") ?? 1), returned = Int(number("num_return_sequences") ?? 1)
        var options = GenerationOptions.greedy(maximumTokens: Int(number("max_new_tokens") ?? 20))
        options.repetitionPenalty = number("repetition_penalty") ?? 1
        options.noRepeatNGramSize = Int(number("no_repeat_ngram_size") ?? 0)
        options.minimumTokens = Int(number("min_new_tokens") ?? 0)
        options.bannedSequences = arguments["bad_words_ids"] as? [[Int]] ?? []
        options.stopTokens = Set(stopTokens(arguments, file))
        let stopping: BeamStopping =
            arguments["early_stopping"] as? String == "never"
            ? .never : arguments["early_stopping"] as? Bool == true ? .whenFull : .heuristic

        var found: [(tokens: [Int], score: Double)] = []
        for prompt in item["input_ids"] as! [[Int]] {
            let writer: any CausalLanguageModel, start: [Int]
            switch model {
            case let t5 as T5:
                let decoder = t5.decoder(for: Tensor(prompt, shape: [1, prompt.count]))
                (writer, start) = (decoder, [decoder.startToken])
            case let causal as any CausalLanguageModel: (writer, start) = (causal, prompt)
            default: throw Unsupported("generation by \(type(of: model))")
            }
            if beams > 1 {
                found += beamSearch(
                    writer, prompt: start, options: options, beams: beams, returning: returned,
                    lengthPenalty: number("length_penalty") ?? 1, stopping: stopping
                ).map { ($0.tokens, $0.score) }
            } else {
                var tokens = TokenGenerator(writer, prompt: start, options: options)
                while tokens.next() != nil {}
                found.append((tokens.tokens, 0))
            }
        }
        let expected = item["sequences"] as! [[Int]]
        if found.count != expected.count { return "\(found.count) sequences, expected \(expected.count)" }
        for (index, (ours, theirs)) in zip(found, expected).enumerated() {
            // Shorter sequences are filled up to the longest.
            let rest = theirs.dropFirst(ours.tokens.count)
            if !theirs.starts(with: ours.tokens) || Set(rest).count > 1 {
                return "sequence \(index) is \(ours.tokens), expected \(theirs)"
            }
        }
        for (ours, theirs) in zip(found, (item["sequences_scores"] as? [Any] ?? []).map(GoldenFile.number)) where beams > 1 {
            if abs(ours.score - theirs) > 1e-4 * max(1, abs(theirs)) { return "a score of \(ours.score), expected \(theirs)" }
        }
        return nil
    }

    /// The argument's, else the configuration's.
    private static func stopTokens(_ arguments: [String: Any], _ file: GoldenFile) -> [Int] {
        func tokens(_ any: Any?) -> [Int] { any as? [Int] ?? (any as? Int).map { [$0] } ?? [] }
        if arguments["eos_token_id"] != nil { return tokens(arguments["eos_token_id"]) }
        let path = file.url.deletingLastPathComponent().appendingPathComponent("config.json")
        let data = try? Data(contentsOf: path)
        let configuration = data.flatMap { try? JSONSerialization.jsonObject(with: $0) } as? [String: Any]
        return tokens(configuration?["eos_token_id"])
    }
}
