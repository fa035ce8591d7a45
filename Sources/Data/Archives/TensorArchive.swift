import CoreTensor

/// Tensors by name in files of any format, read one at a time: what a model's weights are loaded from.
///
/// Opening reads and checks headers alone; ``tensor(_:)`` reads one tensor. ``TensorArchives/open(_:)`` finds out the format.
public protocol TensorArchive: Sendable {
    /// The tensors' names, each once, in the file's order.
    var names: [String] { get }
    /// Sizes per axis of a tensor, without reading it. Throws if there is none of this name.
    func shape(of name: String) throws -> [Int]
    /// One tensor, read now or mapped. Throws if there is none of this name or its type has no counterpart here.
    func tensor(_ name: String) throws -> Tensor
}

extension TensorArchive {
    /// All tensors by name.
    public func tensors() throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for name in names { result[name] = try tensor(name) }
        return result
    }
}

/// Why a file or folder of tensors was refused.
public struct ArchiveError: Error, CustomStringConvertible, Equatable {
    /// The file or folder.
    public let path: String
    /// What was wrong, naming the entry where there is one.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }
    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }
}
