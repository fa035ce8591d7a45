import CoreTensor

/// Continues a prompt token by token: one forward pass for each, which with the cache costs one position.
///
/// ```swift
/// for token in TokenGenerator(model, prompt: ids, options: .greedy()) { print(token.id) }
/// ```
///
/// A sequence that is its own iterator. The model is in evaluation mode while a token is computed. ``generate(_:prompt:options:)`` gives the
/// same tokens to `for await`.
public struct TokenGenerator: Sequence, IteratorProtocol {
    /// The model that is asked.
    public let model: any CausalLanguageModel
    /// As given.
    public let options: GenerationOptions
    /// The prompt and what was generated.
    public private(set) var tokens: [Int]
    /// The keys and values of the positions read so far: continue with it, or give it to another generator.
    public private(set) var cache: KVCache
    /// Why there are no more tokens; nil while there may be.
    public private(set) var finishReason: FinishReason?

    private let promptLength: Int
    private let constraints: [any LogitsProcessor]
    private let filters: [any LogitsProcessor]
    private let generator: RandomGenerator
    private let slides: Bool

    /// Traps if the prompt is empty, holds a token outside the vocabulary or does not fit the context, or the options are not valid (``GenerationOptions/problem``).
    /// - Parameters:
    ///   - cache: of positions already read, the first of the prompt; the rest of the prompt is read with the first token.
    ///   - generator: where draws come from; of the options' seed by default.
    ///   - slides: beyond the context, forgets the oldest tokens and reads the rest again for each token, in place of ending.
    public init(
        _ model: any CausalLanguageModel, prompt: [Int], options: GenerationOptions = GenerationOptions(), cache: KVCache? = nil,
        generator: RandomGenerator? = nil, slides: Bool = false
    ) {
        if let problem = options.problem { fail("generate", problem) }
        if let problem = model.problem(withPrompt: prompt, slides: slides) { fail("generate", problem) }
        self.model = model
        self.options = options
        self.cache = cache ?? model.makeCache(capacity: nil)
        if self.cache.length >= prompt.count {
            fail(
                "generate",
                "the cache holds \(self.cache.length) positions of a prompt of \(prompt.count); leave out the last at least")
        }
        tokens = prompt
        promptLength = prompt.count
        constraints = options.constraints(promptLength: prompt.count)
        filters = options.filters
        self.generator = generator ?? RandomGenerator(seed: options.seed)
        self.slides = slides
    }

    /// What was generated so far.
    public var generated: ArraySlice<Int> { tokens[promptLength...] }

    /// The next token, or nil after the last.
    public mutating func next() -> GeneratedToken? {
        if finishReason != nil { return nil }
        // The last token of the context needs no further position.
        if generated.count >= options.maximumTokens || (!slides && tokens.count > model.context) {
            finishReason = .length
            return nil
        }
        let scores = constraints(nextLogits(), after: [tokens])
        let token = filters.choose(from: scores, after: [tokens], isGreedy: options.temperature == 0, [generator])[0]
        tokens.append(token.id)
        if options.stopTokens.contains(token.id) { finishReason = .stop }
        return token
    }

    /// Logits `[1, vocabulary]` of the token after ``tokens``, in float32 at least.
    private mutating func nextLogits() -> Tensor {
        // Beyond the context every position moves, so nothing that was computed for one can be kept.
        if slides && tokens.count > model.context { cache = model.makeCache(capacity: nil) }
        let window = slides ? tokens.suffix(model.context) : tokens[...]
        return model.logits(after: window.dropFirst(cache.length), &cache, chunk: options.prefillChunk)
    }
}

extension CausalLanguageModel {
    /// Reads tokens behind those in `cache`, in chunks, and gives the logits `[1, vocabulary]` of the token after the last; in float32 at least.
    func logits(after tokens: some Collection<Int>, _ cache: inout KVCache, chunk: Int) -> Tensor {
        evaluating {
            var rest = Array(tokens)[...]
            var last: Tensor?
            while !rest.isEmpty {
                let part = rest.prefix(chunk)
                rest = rest.dropFirst(chunk)
                last = self(Tensor(Array(part), shape: [1, part.count], device: device), cache: &cache, lastOnly: true)
            }
            let logits = last!.reshaped([1, vocabulary])
            return logits.dtype == .float64 ? logits : logits.to(.float32)
        }
    }

    /// What is wrong with a prompt, in one sentence, or nil.
    public func problem(withPrompt prompt: [Int], slides: Bool = false) -> String? {
        if prompt.isEmpty { return "the prompt is empty" }
        if !slides, prompt.count > context { return "a prompt of \(prompt.count) tokens does not fit the context of \(context)" }
        if let outside = prompt.first(where: { !(0..<vocabulary).contains($0) }) {
            return "token \(outside) is outside the vocabulary of \(vocabulary)"
        }
        return nil
    }
}

extension CausalLanguageModel {
    /// Continues `prompt` by `count` tokens, drawn at the given temperature (0: always the likeliest), and hands each to `emit`. Gives prompt
    /// and continuation. Beyond the context the oldest tokens are forgotten. The model is in evaluation mode meanwhile.
    @discardableResult
    public func generate(
        _ prompt: [Int], count: Int, temperature: Double = 1, topK: Int? = nil, generator: RandomGenerator = .default,
        emit: (Int) -> Void = { _ in }
    ) -> [Int] {
        let options = GenerationOptions(maximumTokens: count, temperature: temperature, topK: topK.map { Swift.max($0, 1) })
        var tokens = TokenGenerator(self, prompt: prompt, options: options, generator: generator, slides: true)
        return evaluating {
            while let token = tokens.next() { emit(token.id) }
            return tokens.tokens
        }
    }
}
