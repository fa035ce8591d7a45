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
}

extension Tensor {
    /// Scores `[batch, vocabulary]` with -∞ where `removed` is true, except at the `kept` best of each row.
    func filtered(_ removed: Tensor, keeping kept: Int) -> Tensor {
        let least = topK(Swift.min(Swift.max(kept, 1), shape[1])).values.min(-1, keepDims: true)
        return maskedFill(removed .& (self .< least), -Double.infinity)
    }
}
