import CoreTensor
import Data

/// word2vec's formats: a line with the number of words and the width, then each word, a space, and its numbers, as text or as
/// little-endian float32.
extension WordVectors {
    /// Writes word2vec's text format, numbers with as many digits as it takes to read the same back. Throws ``WordVectorError`` for a word that is
    /// empty or has white space, `FileError` when the system refuses.
    public func saveText(_ path: String) throws {
        try save(path) { values, row, bytes in
            for i in row {
                bytes.append(UInt8(ascii: " "))
                bytes.append(contentsOf: "\(values[i])".utf8)
            }
        }
    }

    /// Writes word2vec's binary format. Throws as ``saveText(_:)`` does.
    public func saveBinary(_ path: String) throws {
        try save(path) { values, row, bytes in
            bytes.append(UInt8(ascii: " "))
            for i in row { withUnsafeBytes(of: values[i].bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
        }
    }

    private func save(_ path: String, _ write: (UnsafeBufferPointer<Float>, Range<Int>, inout [UInt8]) -> Void) throws {
        if let wrong = words.first(where: { $0.isEmpty || $0.utf8.contains { $0 == 0x20 || (0x09...0x0D).contains($0) } }) {
            throw WordVectorError("the word \(wrong.debugDescription) has no place in the format", path: path)
        }
        var file = try AtomicFile(path)
        var bytes = Array("\(count) \(width)\n".utf8)
        try vectors.withUnsafeBytes { memory in
            let values = memory.bindMemory(to: Float.self)
            for (row, word) in words.enumerated() {
                bytes.append(contentsOf: word.utf8)
                write(values, (row * width)..<((row + 1) * width), &bytes)
                bytes.append(UInt8(ascii: "\n"))
                if bytes.count > 1 << 20 || row == count - 1 {
                    try bytes.withUnsafeBytes { try file.write($0) }
                    bytes.removeAll(keepingCapacity: true)
                }
            }
        }
        try file.commit()
    }

    /// Reads word2vec's text format. Throws ``WordVectorError`` if the file is not in it, cut off or has numbers that are not finite, `FileError` if it
    /// cannot be read.
    public init(text path: String) throws {
        var reader = try VectorReader(path)
        // At least a digit and a space each.
        try reader.readHeader(bytesPerNumber: 2)
        self = try reader.vectors { try $0.readNumbers($1) }
    }

    /// Reads word2vec's binary format. Throws as ``init(text:)`` does.
    public init(binary path: String) throws {
        var reader = try VectorReader(path)
        try reader.readHeader(bytesPerNumber: 4)
        self = try reader.vectors { try $0.readBytes($1) }
    }
}

/// Reads a file of either format from its beginning to its end.
private struct VectorReader {
    private let file: MappedFile
    private let bytes: UnsafeRawBufferPointer
    private var place = 0
    private var count = 0, width = 0

    init(_ path: String) throws {
        file = try MappedFile(path)
        bytes = file.bytes
    }

    private func wrong(_ reason: String) -> WordVectorError { WordVectorError(reason, path: file.path) }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// The first line, believed only if the file is long enough for it.
    mutating func readHeader(bytesPerNumber: Int) throws {
        let end = bytes.prefix(100).firstIndex(of: UInt8(ascii: "\n")) ?? 0
        let fields = bytes[..<end].split(whereSeparator: Self.isSpace).map { Int(String(decoding: $0, as: UTF8.self)) }
        guard fields.count == 2, let count = fields[0], let width = fields[1], count > 0, width > 0 else {
            throw wrong("does not begin with the number of words and the width of their vectors")
        }
        place = end + 1
        let (row, overflows) = width.multipliedReportingOverflow(by: bytesPerNumber)
        let (all, overflowsAll) = count.multipliedReportingOverflow(by: overflows ? .max : row)
        // The last number of a text needs no space behind it.
        if overflows || overflowsAll || all > bytes.count - place {
            throw wrong("says that it has \(count) vectors of \(width) numbers, for which \(bytes.count) bytes are too few")
        }
        (self.count, self.width) = (count, width)
    }

    mutating func vectors(_ readRow: (inout VectorReader, UnsafeMutableBufferPointer<Float>) throws -> Void) throws -> WordVectors
    {
        var words: [String] = []
        words.reserveCapacity(count)
        var table = Tensor(zeros: [count, width])
        try table.withUnsafeMutableBytes { memory in
            let values = memory.bindMemory(to: Float.self)
            for row in 0..<count {
                words.append(try readWord())
                let numbers = UnsafeMutableBufferPointer(rebasing: values[(row * width)..<((row + 1) * width)])
                try readRow(&self, numbers)
                if !numbers.allSatisfy(\.isFinite) { throw wrong("the vector of \(words[row].debugDescription) is not finite") }
            }
        }
        if !bytes[place...].allSatisfy(Self.isSpace) { throw wrong("goes on after the last of its \(count) vectors") }
        return WordVectors(words: words, vectors: table)
    }

    /// The word of the next row, and the space behind it.
    private mutating func readWord() throws -> String {
        while place < bytes.count && Self.isSpace(bytes[place]) { place += 1 }
        let start = place
        while place < bytes.count && !Self.isSpace(bytes[place]) { place += 1 }
        guard place < bytes.count, bytes[place] == UInt8(ascii: " ") || bytes[place] == UInt8(ascii: "\t") else {
            throw wrong(place == bytes.count ? "ends too early" : "has a word without a vector at byte \(start)")
        }
        guard let word = String(validating: bytes[start..<place], as: UTF8.self) else {
            throw wrong("has a word that is no UTF-8 at byte \(start)")
        }
        place += 1
        return word
    }

    /// A row of text: as many numbers as the width, then the end of the line or of the file.
    mutating func readNumbers(_ out: UnsafeMutableBufferPointer<Float>) throws {
        let line = UInt8(ascii: "\n")
        for i in out.indices {
            while place < bytes.count && bytes[place] != line && Self.isSpace(bytes[place]) { place += 1 }
            let start = place
            while place < bytes.count && !Self.isSpace(bytes[place]) { place += 1 }
            let text = String(decoding: bytes[start..<min(place, start + 64)], as: UTF8.self)
            guard let number = Float(text) else {
                throw wrong(
                    start == bytes.count ? "ends too early" : "has \(text.debugDescription) for a number at byte \(start)")
            }
            out[i] = number
        }
        while place < bytes.count && bytes[place] != line && Self.isSpace(bytes[place]) { place += 1 }
        if place < bytes.count && bytes[place] != line { throw wrong("has a row of more than \(width) numbers at byte \(place)") }
    }

    mutating func readBytes(_ out: UnsafeMutableBufferPointer<Float>) throws {
        if bytes.count - place < 4 * width { throw wrong("ends too early") }
        for i in out.indices {
            out[i] = Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 4 * i, as: UInt32.self)))
        }
        place += 4 * width
    }
}
