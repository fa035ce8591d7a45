import CoreTensor

/// Continues several prompts, of any lengths, at once: a forward pass for a token of each. Reading the weights is most of what a token costs, and
/// is paid once for all.
///
/// ```swift
/// var batch = BatchGenerator(model, prompts: prompts, options: .greedy(maximumTokens: 50))
/// while let tokens = batch.next() { for token in tokens { print(token.row, token.token.id) } }
/// ```
///
/// Each sequence is what ``TokenGenerator`` gives for it alone, with the options' seed and its row added; products are rounded in another order,
/// so that choices which are nearly ties may differ. Prompts are padded on the left, and a sequence that ends leaves the batch.
public struct BatchGenerator: Sequence, IteratorProtocol {
    /// A token of one of the sequences.
    public struct Output: Sendable, Equatable {
        /// Whose it is: the prompt's place among the prompts.
        public let row: Int
        /// What was chosen.
        public let token: GeneratedToken
    }

    /// The model that is asked.
    public let model: any BatchedLanguageModel
    /// As given.
    public let options: GenerationOptions
    /// The prompts and what was generated.
    public private(set) var sequences: [[Int]]
    /// Why a sequence has no more tokens; nil while it may have.
    public private(set) var finishReasons: [FinishReason?]

    private let promptLengths: [Int]
    // Processors count from the end of the prompt, so there is a list for each length.
    private let constraints: [[any LogitsProcessor]]
    private let filters: [any LogitsProcessor]
    private let generators: [RandomGenerator]
    private var cache: KVCache
    // The sequences in the cache's rows, and the columns it has.
    private var active: [Int]
    private var columns: Int

    /// Traps if a prompt is empty, holds a token outside the vocabulary or does not fit the context, or the options are not valid
    /// (``GenerationOptions/problem``). No prompts give no tokens.
    public init(_ model: any BatchedLanguageModel, prompts: [[Int]], options: GenerationOptions = GenerationOptions()) {
        if let problem = options.problem { fail("BatchGenerator", problem) }
        for (row, prompt) in prompts.enumerated() {
            if let problem = model.problem(withPrompt: prompt) { fail("BatchGenerator", "prompt \(row): \(problem)") }
        }
        self.model = model
        self.options = options
        sequences = prompts
        finishReasons = prompts.map { _ in nil }
        promptLengths = prompts.map(\.count)
        constraints = promptLengths.map { options.constraints(promptLength: $0) }
        filters = options.filters
        generators = prompts.indices.map { RandomGenerator(seed: options.seed &+ UInt64($0)) }
        cache = model.makeCache(capacity: nil)
        active = Array(prompts.indices)
        columns = promptLengths.max() ?? 0
    }

    /// What was generated so far, without the prompts.
    public var generated: [ArraySlice<Int>] { zip(sequences, promptLengths).map { $0[$1...] } }

    /// The next token of each sequence that has one, in the order of the prompts, or nil after the last.
    public mutating func next() -> [Output]? {
        dropFinished()
        if active.isEmpty { return nil }
        let scores = constrained(nextLogits()), texts = active.map { sequences[$0] }
        let chosen = filters.choose(
            from: scores, after: texts, isGreedy: options.temperature == 0, active.map { generators[$0] })
        for (row, token) in zip(active, chosen) {
            sequences[row].append(token.id)
            if options.stopTokens.contains(token.id) { finishReasons[row] = .stop }
        }
        return zip(active, chosen).map(Output.init)
    }

    /// All that is left, in one go: what each sequence has beyond its prompt.
    public mutating func rest() -> [[Int]] {
        model.evaluating { while next() != nil {} }
        return generated.map(Array.init)
    }

    private mutating func dropFinished() {
        for row in active where finishReasons[row] == nil {
            // The last token of the context needs no further position.
            if sequences[row].count - promptLengths[row] >= options.maximumTokens || sequences[row].count > model.context {
                finishReasons[row] = .length
            }
        }
        let staying = active.indices.filter { finishReasons[active[$0]] == nil }
        if staying.count == active.count { return }
        // Without rows there is nothing to select.
        if !staying.isEmpty { cache = cache.selecting(rows: staying) }
        active = staying.map { active[$0] }
    }

    /// Logits `[active, vocabulary]` of the token after each sequence, in float32 at least.
    private mutating func nextLogits() -> Tensor {
        // All active sequences have grown by as much.
        let grown = sequences[active[0]].count - promptLengths[active[0]], end = columns + grown
        let padding = active.map { columns - promptLengths[$0] }
        let isPadded = padding.contains { $0 > 0 }
        return model.evaluating {
            var last: Tensor?
            while cache.length < end {
                let start = cache.length, new = Swift.min(options.prefillChunk, end - start)
                let ids = zip(active, padding).flatMap { row, padding in
                    (start..<start + new).map { $0 < padding ? 0 : sequences[row][$0 - padding] }
                }
                let mask = isPadded ? padding.flatMap { padding in (0..<start + new).map { $0 >= padding } } : []
                last = model(
                    Tensor(ids, shape: [active.count, new], device: model.device), cache: &cache, lastOnly: true,
                    paddingMask: isPadded ? Tensor(mask, shape: [active.count, start + new], device: model.device) : nil)
            }
            let logits = last!.reshaped([active.count, model.vocabulary])
            return logits.dtype == .float64 ? logits : logits.to(.float32)
        }
    }

    private func constrained(_ logits: Tensor) -> Tensor {
        if constraints[active[0]].isEmpty { return logits }
        return concatenate(
            active.enumerated().map { index, row in
                constraints[row](logits.narrowed(axis: 0, start: index, length: 1), after: [sequences[row]])
            }, axis: 0)
    }
}
