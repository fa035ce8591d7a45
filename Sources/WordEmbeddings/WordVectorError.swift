/// Why word vectors could not be trained, found or read.
public struct WordVectorError: Error, CustomStringConvertible, Equatable {
    /// The file it is about, as it was named; nil if it is about none.
    public let path: String?
    /// What was wrong, as a sentence.
    public let reason: String
    /// "path: reason", or the reason alone.
    public var description: String { path.map { "\($0): \(reason)" } ?? reason }

    init(_ reason: String, path: String? = nil) { (self.path, self.reason) = (path, reason) }
}
