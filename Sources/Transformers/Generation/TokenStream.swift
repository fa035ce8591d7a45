import CoreTensor

/// Tokens as they are chosen, for `for await`: an asynchronous view of ``TokenGenerator``. Ends when the task is cancelled.
public struct TokenStream: AsyncSequence {
    public typealias Element = GeneratedToken
    public typealias Failure = Never
    private let generator: TokenGenerator

    init(_ generator: TokenGenerator) { self.generator = generator }

    /// A generation from its beginning.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(generator: generator) }

    /// Chooses a token when asked for one, on the caller's actor.
    public struct AsyncIterator: AsyncIteratorProtocol {
        /// Where generation stands: the tokens so far, the cache, the reason for the end.
        public private(set) var generator: TokenGenerator

        /// As ``next(isolation:)``.
        public mutating func next() async -> GeneratedToken? { await next(isolation: nil) }

        /// The next token; nil after the last, and when the task is cancelled. Lets other tasks run in between.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> GeneratedToken? {
            await Task.yield()
            if Task.isCancelled { return nil }
            return generator.next()
        }
    }
}

/// Continues a prompt; each token can be had as soon as it is chosen.
///
/// ```swift
/// for await token in generate(model, prompt: ids, options: GenerationOptions(temperature: 0.8, topP: 0.95)) { print(token.id) }
/// ```
///
/// Traps as ``TokenGenerator`` does; check what comes from outside by `problem(withPrompt:)` and ``GenerationOptions/problem`` first.
public func generate(
    _ model: any CausalLanguageModel, prompt: [Int], options: GenerationOptions = GenerationOptions(), cache: KVCache? = nil
) -> TokenStream {
    TokenStream(TokenGenerator(model, prompt: prompt, options: options, cache: cache))
}
