import CoreTensor

/// Makes tokens that occurred less likely: positive scores are divided by the penalty, negative ones multiplied (Keskar et al., 2019).
public struct RepetitionPenalty: LogitsProcessor {
    /// 1 changes nothing, above 1 discourages repetition, below encourages it.
    public let penalty: Double
    /// Traps unless `penalty` is finite and above 0.
    public init(_ penalty: Double) {
        if !(penalty > 0 && penalty.isFinite) { fail("RepetitionPenalty", "\(penalty); must be finite and above 0") }
        self.penalty = penalty
    }
    /// Changes the scores of the tokens of each row.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let occurred = occurrences(scores, tokens) .> 0
        return which(occurred, which(scores .< 0, scores * penalty, scores / penalty), scores)
    }
}

/// Subtracts `frequency` for each time a token occurred and `presence` once if it did (OpenAI's penalties).
public struct OccurrencePenalty: LogitsProcessor {
    /// Per occurrence.
    public let frequency: Double
    /// For having occurred at all.
    public let presence: Double
    /// Counts only tokens from this position of each row on: the prompt's length leaves the prompt out.
    public let start: Int
    /// Penalties of 0 change nothing; negative ones encourage repetition. Traps unless both are finite.
    public init(frequency: Double = 0, presence: Double = 0, from start: Int = 0) {
        if !frequency.isFinite || !presence.isFinite || start < 0 {
            fail("OccurrencePenalty", "frequency \(frequency), presence \(presence), from \(start); must be finite and from 0 on")
        }
        self.frequency = frequency
        self.presence = presence
        self.start = start
    }
    /// Changes the scores of the tokens of each row.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let counts = occurrences(scores, tokens.map { Array($0.dropFirst(start)) })
        return scores - counts * frequency - (counts .> 0).to(scores.dtype) * presence
    }
}

/// Forbids a token that would complete a sequence of `size` tokens that occurred before (Paulus et al., 2017).
public struct NoRepeatNGram: LogitsProcessor {
    /// The length of the sequences.
    public let size: Int
    /// Traps unless `size` is at least 1.
    public init(_ size: Int) {
        if size < 1 { fail("NoRepeatNGram", "a size of \(size); must be at least 1") }
        self.size = size
    }
    /// -∞ for the tokens that would repeat.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let banned = tokens.map { row -> [Int] in
            if row.count + 1 < size { return [] }
            let tail = row.suffix(size - 1)
            return (0..<Swift.max(row.count - size + 1, 0)).compactMap { start in
                row[start..<start + size - 1].elementsEqual(tail) ? row[start + size - 1] : nil
            }
        }
        return forbidding(scores, banned)
    }
}

/// Forbids sequences of tokens: the last token of one gets -∞ where those before it are the row's last.
public struct BannedSequences: LogitsProcessor {
    /// None of them empty.
    public let sequences: [[Int]]
    /// Traps if a sequence is empty.
    public init(_ sequences: [[Int]]) {
        if sequences.contains(where: \.isEmpty) { fail("BannedSequences", "a sequence is empty") }
        self.sequences = sequences
    }
    /// -∞ for the tokens that would complete one.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        forbidding(
            scores,
            tokens.map { row in
                sequences.compactMap { banned in
                    banned.count - 1 <= row.count && row.suffix(banned.count - 1).elementsEqual(banned.dropLast())
                        ? banned.last : nil
                }
            })
    }
}

/// Forbids tokens (an end of sequence) until rows have a length, the prompt included.
public struct MinimumLength: LogitsProcessor {
    /// In tokens.
    public let length: Int
    /// What may not come before.
    public let tokens: [Int]
    /// Nothing is forbidden from `length` tokens on.
    public init(_ length: Int, forbidding tokens: [Int]) {
        self.length = length
        self.tokens = tokens
    }
    /// -∞ for the tokens in rows that are too short.
    public func callAsFunction(_ scores: Tensor, after rows: [[Int]]) -> Tensor {
        forbidding(scores, rows.map { $0.count < length ? tokens : [] })
    }
}

/// Adds a number to the scores of tokens.
public struct LogitBias: LogitsProcessor {
    /// What is added, by token; -∞ forbids one.
    public let bias: [Int: Double]
    /// Tokens outside the vocabulary trap when it is used.
    public init(_ bias: [Int: Double]) { self.bias = bias }
    /// The sum.
    public func callAsFunction(_ scores: Tensor, after tokens: [[Int]]) -> Tensor {
        let ordered = bias.sorted { $0.key < $1.key }
        check("LogitBias", ordered.map(\.key), scores.shape[1])
        let row = Tensor(zeros: [scores.shape[1]], dtype: scores.dtype, device: scores.device).scattered(
            axis: 0, index: Tensor(ordered.map(\.key), device: scores.device),
            source: Tensor(ordered.map(\.value), dtype: scores.dtype, device: scores.device))
        return scores + row
    }
}

/// How often each token occurs in each row: `[batch, vocabulary]` in the type of `scores`.
private func occurrences(_ scores: Tensor, _ rows: [[Int]]) -> Tensor {
    let vocabulary = scores.shape[1]
    var counts = [Float](repeating: 0, count: scores.count)
    for (row, tokens) in rows.enumerated() {
        check("LogitsProcessor", tokens, vocabulary)
        for token in tokens { counts[row * vocabulary + token] += 1 }
    }
    return Tensor(counts, shape: scores.shape, dtype: scores.dtype, device: scores.device)
}

/// Scores with -∞ for some tokens of each row.
private func forbidding(_ scores: Tensor, _ banned: [[Int]]) -> Tensor {
    if banned.allSatisfy(\.isEmpty) { return scores }
    let vocabulary = scores.shape[1]
    var hidden = [Bool](repeating: false, count: scores.count)
    for (row, tokens) in banned.enumerated() {
        check("LogitsProcessor", tokens, vocabulary)
        for token in tokens { hidden[row * vocabulary + token] = true }
    }
    return scores.maskedFill(Tensor(hidden, shape: scores.shape, device: scores.device), -Double.infinity)
}

private func check(_ operation: String, _ tokens: [Int], _ vocabulary: Int) {
    if let outside = tokens.first(where: { !(0..<vocabulary).contains($0) }) {
        fail(operation, "token \(outside) is outside the vocabulary of \(vocabulary)")
    }
}
