/// Why a chat template could not be read or filled in.
public struct TemplateError: Error, CustomStringConvertible, Equatable {
    /// What was wrong, or what the template itself says by `raise_exception`.
    public let description: String
    init(_ description: String) { self.description = description }
}
