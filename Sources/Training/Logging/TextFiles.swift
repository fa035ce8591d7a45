import Data
import Foundation

/// Writes a text that appears whole or not at all.
func writeText(_ text: String, to path: String) throws {
    var file = try AtomicFile(path)
    var text = text
    try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
    try file.commit()
}

/// A file that rows are added to, kept open: what was written is there when a process is killed, without forcing it to disk.
final class AppendedFile {
    private let file: UnsafeMutablePointer<FILE>
    private let path: String

    /// Opens the file at its end, making it if it is not there.
    init(_ path: String) throws {
        guard let file = fopen(path, "a") else { throw LogError(path: path, reason: String(cString: strerror(errno))) }
        (self.file, self.path) = (file, path)
    }
    deinit { fclose(file) }

    /// Adds bytes and hands them to the system.
    func append(_ bytes: [UInt8]) throws {
        if fwrite(bytes, 1, bytes.count, file) != bytes.count || fflush(file) != 0 {
            clearerr(file)
            throw LogError(path: path, reason: String(cString: strerror(errno)))
        }
    }
}

/// Why a log could not be written.
public struct LogError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// What was wrong, in the system's words.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }
}
