import CoreTensor
import Data

/// Why a request for text was refused.
public struct GenerationError: Error, CustomStringConvertible, Equatable {
    /// What was wrong.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// Continues a text: tokens of a ``TokenGenerator`` as pieces of text, whole characters each, up to a stop token or a stop string.
///
/// ```swift
/// var text = try TextGenerator(model, tokenizer, prompt: "Once upon a time", options: GenerationOptions(temperature: 0.8))
/// while let piece = try text.next() { print(piece, terminator: "") }
/// ```
///
/// Everything that comes from outside is checked: what is wrong with prompt or options is thrown, not trapped on.
public struct TextGenerator {
    /// The tokens so far, the cache and the reason for the end (a stop string included).
    public private(set) var tokens: TokenGenerator
    private var decoder: StreamingDecoder
    private var filter: StopStringFilter
    private var isDone = false

    /// Throws ``GenerationError`` for options or a prompt that cannot be used, `TokenizerError` for text that has no tokens. The tokenizer's end of
    /// text joins the stop tokens.
    /// - Parameter addSpecialTokens: whether the prompt begins as the tokenizer begins texts; chat templates write this themselves.
    public init(
        _ model: any CausalLanguageModel, _ tokenizer: any Tokenizer, prompt: String,
        options: GenerationOptions = GenerationOptions(), addSpecialTokens: Bool = true
    ) throws {
        try self.init(
            model, tokenizer, prompt: try tokenizer.encode(prompt, addSpecialTokens: addSpecialTokens), options: options)
    }

    /// As ``init(_:_:prompt:options:addSpecialTokens:)``, from tokens.
    public init(
        _ model: any CausalLanguageModel, _ tokenizer: any Tokenizer, prompt: [Int],
        options: GenerationOptions = GenerationOptions(), cache: KVCache? = nil
    ) throws {
        var options = options
        if let end = tokenizer.specialTokens.endOfText { options.stopTokens.insert(end) }
        if let problem = options.problem ?? model.problem(withPrompt: prompt) { throw GenerationError(problem) }
        if let cache, cache.length >= prompt.count {
            throw GenerationError("the cache holds \(cache.length) positions of a prompt of \(prompt.count)")
        }
        tokens = TokenGenerator(model, prompt: prompt, options: options, cache: cache)
        decoder = StreamingDecoder(tokenizer)
        filter = StopStringFilter(options.stopStrings)
    }

    /// Why there is no more text; nil while there may be.
    public var finishReason: FinishReason? { filter.isStopped ? .stop : isDone ? tokens.finishReason : nil }

    /// More text, of one token or, where a character or a stop string may be open, of several; nil at the end.
    public mutating func next() throws -> String? {
        while !isDone {
            var piece: String
            if let token = tokens.next() {
                piece = tokens.options.stopTokens.contains(token.id) ? "" : filter.append(try decoder.append(token.id))
                isDone = filter.isStopped
            } else {
                isDone = true
                piece = filter.append(try decoder.finish())
                piece += filter.finish()
            }
            if !piece.isEmpty { return piece }
        }
        return nil
    }

    /// All that is left.
    public mutating func rest() throws -> String {
        var text = ""
        while let piece = try next() { text += piece }
        return text
    }
}
