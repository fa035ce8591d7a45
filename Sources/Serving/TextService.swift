import Data
import Transformers

/// Continues texts for many readers at once, from one model: an actor that the model never leaves.
///
/// ```swift
/// let service = TextService(model, tokenizer)
/// for try await piece in service.generate("Once upon a time") { print(piece, terminator: "") }
/// ```
///
/// Requests take turns token by token, so a long one does not hold up the others. A token is computed when its reader asks for it: a slow
/// reader holds up nobody, and one that leaves its loop, or whose task is cancelled, costs nothing more. Nothing that a request
/// contains stops the program: it throws.
public actor TextService {
    /// What is taken on.
    public let limits: ServiceLimits
    private let model: any CausalLanguageModel
    private let tokenizer: any Tokenizer
    private var running: [Int: TextGenerator] = [:]
    private var started = 0

    /// A service of `model`, which is its own from here on.
    public init(_ model: sending any CausalLanguageModel, _ tokenizer: any Tokenizer, limits: ServiceLimits = ServiceLimits()) {
        self.model = model
        self.tokenizer = tokenizer
        self.limits = limits
        model.train(false)
    }

    /// Requests that are being served.
    public var requestCount: Int { running.count }

    /// The continuation of `prompt` in pieces; nothing is computed before the first is asked for.
    /// - Parameter addSpecialTokens: whether the prompt begins as the tokenizer begins texts.
    public nonisolated func generate(
        _ prompt: String, options: GenerationOptions = GenerationOptions(), addSpecialTokens: Bool = true
    ) -> TextPieces {
        TextPieces(service: self, prompt: prompt, options: options, addSpecialTokens: addSpecialTokens)
    }

    /// Takes a request on, and gives its number.
    fileprivate func begin(_ prompt: String, _ options: GenerationOptions, _ addSpecialTokens: Bool) throws -> Int {
        if prompt.utf8.count > limits.textBytes { throw ServiceError.tooLong(bytes: prompt.utf8.count, limit: limits.textBytes) }
        if running.count >= limits.concurrentRequests { throw ServiceError.busy(running: running.count) }
        let tokens = try tokenizer.encode(prompt, addSpecialTokens: addSpecialTokens)
        if tokens.count > limits.promptTokens { throw ServiceError.tooManyTokens(tokens.count, limit: limits.promptTokens) }
        var options = options
        options.maximumTokens = min(options.maximumTokens, limits.newTokens)
        started += 1
        running[started] = try TextGenerator(model, tokenizer, prompt: tokens, options: options)
        return started
    }

    /// More text of a request; nil at its end, which lets go of it.
    fileprivate func next(_ number: Int) throws -> String? {
        // Taken out, so that its cache has one owner and is written in place.
        guard var text = running.removeValue(forKey: number), !Task.isCancelled else { throw CancellationError() }
        let piece = try text.next()
        if piece != nil { running[number] = text }
        return piece
    }

    fileprivate func end(_ number: Int) { running[number] = nil }
}

/// A request to a ``TextService``: its text in pieces of whole characters.
public struct TextPieces: AsyncSequence, Sendable {
    public typealias Element = String
    let service: TextService
    let prompt: String
    let options: GenerationOptions
    let addSpecialTokens: Bool

    /// A request of its own.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(request: self) }

    /// Asks for a piece at a time.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let request: TextPieces
        private var ticket: Ticket?
        private var isDone = false

        init(request: TextPieces) { self.request = request }

        /// More text, or nil at the end. Throws what is wrong with the request, and `CancellationError` when the task is cancelled.
        public mutating func next() async throws -> String? {
            if isDone { return nil }
            // Whatever is thrown, the request is over.
            isDone = true
            try Task.checkCancellation()
            if ticket == nil {
                let number = try await request.service.begin(request.prompt, request.options, request.addSpecialTokens)
                ticket = Ticket(service: request.service, number: number)
            }
            let piece = try await request.service.next(ticket!.number)
            isDone = piece == nil
            return piece
        }
    }

    /// Ends its request when the last iterator lets go of it: the reader has left the loop.
    private final class Ticket: Sendable {
        let service: TextService
        let number: Int
        init(service: TextService, number: Int) {
            self.service = service
            self.number = number
        }
        deinit {
            let (service, number) = (service, number)
            Task { await service.end(number) }
        }
    }
}
