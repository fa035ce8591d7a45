import CoreTensor

import func Foundation.pow

/// A finished sequence of a beam search.
public struct BeamHypothesis: Sendable, Equatable {
    /// The prompt and what was generated, a stop token included.
    public let tokens: [Int]
    /// The sum of the log-probabilities of the generated tokens, divided by their number to the power of the length penalty.
    public let score: Double
}

/// When a beam search ends before the last token is used up.
public enum BeamStopping: Sendable {
    /// As soon as there are as many finished sequences as beams.
    case whenFull
    /// When the best beam's score, taken at its present length, is no better than the worst finished sequence's.
    case heuristic
    /// When no beam can become better than the worst finished sequence, whatever its length.
    case never
}

/// The continuations of `prompt` with the best scores, best first (beam search with length penalty, as Hugging Face's).
///
/// All beams share the prompt's keys and values and are read as one batch. Penalties and prohibitions of the options hold; temperature and
/// filters do not.
/// - Parameters:
///   - beams: sequences followed at a time.
///   - count: how many are given, at most `beams`.
///   - lengthPenalty: above 0 longer sequences are preferred, below 0 shorter ones.
/// - Returns: `count` sequences, fewer where the search found fewer. Traps as ``TokenGenerator`` does.
public func beamSearch(
    _ model: any CausalLanguageModel, prompt: [Int], options: GenerationOptions = .greedy(), beams: Int, returning count: Int = 1,
    lengthPenalty: Double = 1, stopping: BeamStopping = .heuristic
) -> [BeamHypothesis] {
    if let problem = options.problem ?? model.problem(withPrompt: prompt) { fail("beamSearch", problem) }
    if beams < 1 || !(1...beams).contains(count) { fail("beamSearch", "\(count) of \(beams) beams; needs 1 ... beams") }
    let longest = prompt.count + Swift.min(options.maximumTokens, model.context - prompt.count + 1)
    let constraints = options.constraints(promptLength: prompt.count)
    // Enough candidates that as many beams go on even if all stop tokens are among the best of each.
    let candidates = Swift.max(2, 1 + options.stopTokens.count) * beams
    func penalized(_ sum: Double, _ length: Int) -> Double { sum / pow(Double(length - prompt.count), lengthPenalty) }

    var finished: [BeamHypothesis] = []
    var running: [(tokens: [Int], sum: Double)] = [(prompt, 0)]
    var cache = model.makeCache(capacity: nil)
    var logits = model.logits(after: prompt, &cache, chunk: options.prefillChunk)
    for length in prompt.count..<Swift.max(longest, prompt.count) {
        let scores =
            constraints(logSoftmax(logits), after: running.map(\.tokens))
            + Tensor(running.map(\.sum), shape: [running.count, 1], dtype: logits.dtype, device: logits.device)
        let best = scores.reshaped([-1]).topK(Swift.min(candidates, scores.count))
        let sums = best.values.scalars(Double.self), places = best.indices.scalars(Int.self)

        var next: [(tokens: [Int], sum: Double, row: Int)] = []
        var found: [BeamHypothesis] = []
        for (rank, (sum, place)) in zip(sums, places).enumerated() where sum > -.infinity {
            let row = place / model.vocabulary, token = place % model.vocabulary
            let tokens = running[row].tokens + [token]
            if options.stopTokens.contains(token) || length + 1 == longest {
                // A sequence that ends below the beams would not have been followed either.
                if rank < beams { found.append(BeamHypothesis(tokens: tokens, score: penalized(sum, length + 1))) }
            } else if next.count < beams {
                next.append((tokens, sum, row))
            }
        }
        finished = Array((finished + found).stablySorted { $0.score > $1.score }.prefix(beams))
        guard let leader = next.first else { break }
        running = next.map { ($0.tokens, $0.sum) }
        if finished.count == beams {
            if stopping == .whenFull { break }
            let reach = stopping == .never && lengthPenalty > 0 ? longest : length + 1
            if penalized(leader.sum, reach) <= finished.last!.score { break }
        }
        cache = cache.selecting(rows: next.map(\.row))
        logits = model.step(next.map { $0.tokens.last! }, &cache)
    }
    return Array(finished.prefix(count))
}

extension Array {
    // Equal scores stay in the order they were found in.
    fileprivate func stablySorted(by precedes: (Element, Element) -> Bool) -> [Element] {
        enumerated().sorted {
            precedes($0.element, $1.element) || (!precedes($1.element, $0.element) && $0.offset < $1.offset)
        }.map(\.element)
    }
}

extension CausalLanguageModel {
    /// One token for each row of the cache: logits `[rows, vocabulary]` of the next.
    fileprivate func step(_ tokens: [Int], _ cache: inout KVCache) -> Tensor {
        evaluating {
            let ids = Tensor(tokens, shape: [tokens.count, 1], device: device)
            let logits = self(ids, cache: &cache, lastOnly: true).reshaped([tokens.count, vocabulary])
            return logits.dtype == .float64 ? logits : logits.to(.float32)
        }
    }
}
