/// Why a request was not served. What is wrong with the text itself is thrown as `GenerationError` or `TokenizerError`.
public enum ServiceError: Error, CustomStringConvertible, Equatable {
    /// As many requests are being served as the limits allow; try again later.
    case busy(running: Int)
    /// The text is longer than the limits allow.
    case tooLong(bytes: Int, limit: Int)
    /// The prompt has more tokens than the limits allow.
    case tooManyTokens(Int, limit: Int)

    /// One sentence for the client.
    public var description: String {
        switch self {
        case .busy(let running): "\(running) requests are being served; try again later"
        case .tooLong(let bytes, let limit): "a text of \(bytes) bytes; at most \(limit)"
        case .tooManyTokens(let count, let limit): "a prompt of \(count) tokens; at most \(limit)"
        }
    }
}

/// What a service takes on.
public struct ServiceLimits: Sendable {
    /// Requests at a time; more are refused with ``ServiceError/busy(running:)``.
    public var concurrentRequests: Int
    /// UTF-8 bytes of one text.
    public var textBytes: Int
    /// Tokens of a prompt.
    public var promptTokens: Int
    /// New tokens for a request; requests for more get this many.
    public var newTokens: Int

    /// Limits fit for a small machine.
    public init(concurrentRequests: Int = 64, textBytes: Int = 1 << 20, promptTokens: Int = 8192, newTokens: Int = 4096) {
        self.concurrentRequests = concurrentRequests
        self.textBytes = textBytes
        self.promptTokens = promptTokens
        self.newTokens = newTokens
    }
}
