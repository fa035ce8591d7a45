import CoreTensor

/// Changes the scores of the next token before one is chosen, as Hugging Face's logits processors and warpers.
///
/// A token becomes impossible by the score -∞. Processors are applied one after another, to a row per sequence.
public protocol LogitsProcessor: Sendable {
    /// `scores [batch, vocabulary]`, logits or log-probabilities of the token after `tokens`, which has a list for each row, the prompt
    /// included; gives scores of the same shape.
    func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor
}

extension Sequence where Element == any LogitsProcessor {
    /// All of them, from first to last.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        reduce(scores) { $1($0, after: tokens) }
    }

    /// A token for each row of `scores [batch, vocabulary]`: the likeliest, or one drawn, by the row's own generator, from what these filters
    /// leave.
    func choose(
        from scores: Tensor, after tokens: [[Int]], isGreedy: Bool, _ generators: [RandomGenerator]
    ) -> [GeneratedToken] {
        let logProbabilities: Tensor, ids: [Int]
        if isGreedy {
            logProbabilities = logSoftmax(scores)
            ids = scores.argmax(axis: -1).scalars(Int.self)
        } else {
            logProbabilities = logSoftmax(self(scores, after: tokens))
            let probabilities = exp(logProbabilities)
            ids = generators.enumerated().map { row, generator in
                probabilities[row].multinomial(generator: generator).item(Int.self)
            }
        }
        return ids.enumerated().map { row, id in
            GeneratedToken(id: id, logProbability: logProbabilities[row, id].item(Double.self))
        }
    }
}

extension Tensor {
    /// Scores `[batch, vocabulary]` with -∞ where `removed` is true, except at the `kept` best of each row.
    func filtered(_ removed: Tensor, keeping kept: Int) -> Tensor {
        let least = topK(Swift.min(Swift.max(kept, 1), shape[1])).values.min(-1, keepDims: true)
        return maskedFill(removed .& (self .< least), -Double.infinity)
    }
}
