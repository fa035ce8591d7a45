import CoreTensor

/// Why a text file could not be read.
public struct TextFileError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// The line, from 1.
    public let line: Int
    /// What was wrong.
    public let reason: String
    /// "path, line 7: reason".
    public var description: String { "\(path), line \(line): \(reason)" }
}

/// The lines of a text file, which is mapped into memory, not loaded: only where lines begin is kept. Lines end with LF or CRLF; a byte-order mark
/// is skipped.
public struct TextLines: Dataset {
    private let file: MappedFile
    private let starts: [Int]
    private let maxLineBytes: Int

    /// Looks for the lines. Throws ``FileError`` if the file cannot be read and ``TextFileError`` if a line is longer than `maxLineBytes`.
    public init(_ path: String, maxLineBytes: Int = 1 << 20) throws {
        file = try MappedFile(path)
        self.maxLineBytes = maxLineBytes
        let bytes = file.bytes
        var start = bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF ? 3 : 0
        var starts: [Int] = []
        while start < bytes.count {
            starts.append(start)
            let end = lineEnd(bytes, from: start, most: maxLineBytes)
            if end - start > maxLineBytes {
                throw TextFileError(path: path, line: starts.count, reason: "longer than \(maxLineBytes) bytes")
            }
            start = end + 1
        }
        self.starts = starts
    }

    /// The file, as it was named.
    public var path: String { file.path }
    /// The number of lines.
    public var count: Int { starts.count }

    /// Line `index` (from 0) without its end. Throws ``TextFileError`` if it is no UTF-8.
    public func sample(at index: Int) throws -> String {
        let start = starts[index]
        var end = lineEnd(file.bytes, from: start, most: maxLineBytes)
        if end > start && file.bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
        guard let text = String(validating: file.bytes[start..<end], as: UTF8.self) else {
            throw TextFileError(path: path, line: index + 1, reason: "no UTF-8")
        }
        return text
    }
}

/// The place of the next LF, or the end; not looked for further than a byte past what a line may have.
private func lineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int, most: Int) -> Int {
    let limit = min(bytes.count, start + most + 1)
    var place = start
    while place < limit && bytes[place] != UInt8(ascii: "\n") { place += 1 }
    return place
}

/// The lines of text files one after another, for texts of more lines than fit into memory as places.
public struct TextLineStream: StreamingDataset {
    private let paths: [String]
    private let maxLineBytes: Int

    /// The lines of these files in turn.
    public init(_ paths: [String], maxLineBytes: Int = 1 << 20) { (self.paths, self.maxLineBytes) = (paths, maxLineBytes) }

    /// All lines; the same in every epoch. Ends with ``FileError`` or ``TextFileError`` at a file or line that cannot be read.
    public func stream(epoch: Int) -> Lines { Lines(paths: paths, maxLineBytes: maxLineBytes) }

    /// The lines of an epoch.
    public struct Lines: AsyncSequence {
        /// A line without its end.
        public typealias Element = String
        /// Files fail.
        public typealias Failure = any Error
        fileprivate let paths: [String]
        fileprivate let maxLineBytes: Int
        /// Begins with the first line of the first file.
        public func makeAsyncIterator() -> Iterator { Iterator(paths: paths[...], maxLineBytes: maxLineBytes) }

        /// The place in the files.
        public struct Iterator: AsyncIteratorProtocol {
            fileprivate var paths: ArraySlice<String>
            fileprivate let maxLineBytes: Int
            private var file: MappedFile?
            private var place = 0, line = 0

            fileprivate init(paths: ArraySlice<String>, maxLineBytes: Int) {
                (self.paths, self.maxLineBytes) = (paths, maxLineBytes)
            }

            /// The next line.
            public mutating func next() async throws -> String? { try nextLine() }
            /// The same, called from an actor.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? { try nextLine() }

            private mutating func nextLine() throws -> String? {
                while true {
                    if file == nil {
                        guard let path = paths.popFirst() else { return nil }
                        let opened = try MappedFile(path), bytes = opened.bytes
                        place = bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF ? 3 : 0
                        line = 0
                        file = opened
                    }
                    guard let file, place < file.bytes.count else {
                        file = nil
                        continue
                    }
                    line += 1
                    let start = place
                    var end = lineEnd(file.bytes, from: start, most: maxLineBytes)
                    place = end + 1
                    if end - start > maxLineBytes {
                        throw TextFileError(path: file.path, line: line, reason: "longer than \(maxLineBytes) bytes")
                    }
                    if end > start && file.bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
                    guard let text = String(validating: file.bytes[start..<end], as: UTF8.self) else {
                        throw TextFileError(path: file.path, line: line, reason: "no UTF-8")
                    }
                    return text
                }
            }
        }
    }
}
