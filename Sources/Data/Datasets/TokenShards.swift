import CoreTensor

/// Why token shards could not be read.
public struct TokenShardError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// What was wrong.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }
    init(_ path: String, _ reason: String) { (self.path, self.reason) = (path, reason) }
}

/// The numbers in a shard, least significant byte first.
public enum TokenType: Int, Sendable, Codable {
    /// Two bytes a token: vocabularies up to 65,536.
    case uint16 = 2
    /// Four bytes a token.
    case uint32 = 4
}

/// Windows of tokens from binary files of any size, for training language models: the files are mapped, never loaded, and a window is read when it
/// is asked for (so they must not be cut while they are in use). Windows overlap by nothing and do not cross from one file into the next; what is too short at a file's end is left out.
///
/// Files of bare numbers (nanoGPT's `train.bin`) and of llm.c (`fineweb_train_*.bin`, with a header of 256 int32) are told apart by
/// their beginnings.
///
/// ```swift
/// let shards = try TokenShards(paths, length: 1024, vocabularySize: 50257)
/// let loader = DataLoader(shards, batchSize: 8, shuffle: true, seed: 1, workers: 2)   // ([8, 1024], [8, 1024])
/// ```
public struct TokenShards: Dataset {
    private struct Shard: Sendable {
        let file: MappedFile
        let offset: Int
        let tokens: Int
        let type: TokenType
    }
    private let shards: [Shard]
    /// The first window of every shard, then the count.
    private let starts: [Int]
    /// Tokens per window.
    public let length: Int
    /// Tokens from one window's beginning to the next's.
    public let stride: Int
    /// Tokens at or above it are refused; nil: not checked.
    public let vocabularySize: Int?

    private static let llmcMagic: [Int32: TokenType] = [20_240_520: .uint16, 20_240_801: .uint32]

    /// - Parameters:
    ///   - type: of files of bare numbers.
    ///   - length: tokens per window; one more is read, as targets are one token on.
    ///   - stride: from one window to the next; nil: `length`. Less makes windows overlap.
    ///   - vocabularySize: a window with a token at or above it throws.
    ///
    /// Traps on a length or stride below 1. Throws ``FileError`` if a file cannot be read and ``TokenShardError`` if its size is not one of whole tokens,
    /// its header does not fit, or there is no whole window in all of them.
    public init(
        _ paths: [String], type: TokenType = .uint16, length: Int, stride: Int? = nil, vocabularySize: Int? = nil
    ) throws {
        let stride = stride ?? length
        if length < 1 || stride < 1 { fail("TokenShards", "windows of \(length) tokens, \(stride) apart") }
        shards = try paths.map { try Self.open($0, type) }
        starts = shards.reduce(into: [0]) { starts, shard in
            starts.append(starts.last! + (shard.tokens > length ? (shard.tokens - 1 - length) / stride + 1 : 0))
        }
        (self.length, self.stride, self.vocabularySize) = (length, stride, vocabularySize)
        if starts.last! == 0 {
            throw TokenShardError(
                paths.first ?? "no files", "\(tokenCount) tokens are too few for a window of \(length) and the token after it")
        }
    }

    private static func open(_ path: String, _ type: TokenType) throws -> Shard {
        let file = try MappedFile(path), bytes = file.bytes
        if bytes.count >= 1024, let type = llmcMagic[bytes.loadUnaligned(as: Int32.self).littleEndian] {
            let version = bytes.loadUnaligned(fromByteOffset: 4, as: Int32.self).littleEndian
            let tokens = Int(bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self).littleEndian)
            if version != 1 { throw TokenShardError(path, "version \(version) of llm.c's shards is not known") }
            if tokens < 0 || (bytes.count - 1024) != tokens * type.rawValue {
                throw TokenShardError(path, "the header says \(tokens) tokens, the file has \(bytes.count - 1024) bytes of them")
            }
            return Shard(file: file, offset: 1024, tokens: tokens, type: type)
        }
        if bytes.count % type.rawValue != 0 {
            throw TokenShardError(path, "\(bytes.count) bytes are no whole number of \(type) tokens")
        }
        return Shard(file: file, offset: 0, tokens: bytes.count / type.rawValue, type: type)
    }

    /// Windows in all files.
    public var count: Int { starts.last! }
    /// Tokens in all files.
    public var tokenCount: Int { shards.reduce(0) { $0 + $1.tokens } }

    /// Inputs and targets, both `[length]` int64, the targets one token on. Throws ``TokenShardError`` on a token outside the vocabulary.
    public func sample(at index: Int) throws -> (Tensor, Tensor) {
        var low = 0, high = shards.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if starts[middle] <= index { low = middle } else { high = middle - 1 }
        }
        let shard = shards[low], first = (index - starts[low]) * stride
        let limit = vocabularySize ?? .max
        var tokens = [Int](repeating: 0, count: length + 1)
        for i in 0...length {
            let place = shard.offset + (first + i) * shard.type.rawValue
            let token =
                switch shard.type {
                case .uint16: Int(UInt16(littleEndian: shard.file.bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
                case .uint32: Int(UInt32(littleEndian: shard.file.bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
                }
            if token >= limit {
                throw TokenShardError(
                    shard.file.path, "token \(token) at position \(first + i) is not below the vocabulary's \(limit)")
            }
            tokens[i] = token
        }
        let both = Tensor(tokens, shape: [length + 1])
        return (both.narrowed(axis: 0, start: 0, length: length), both.narrowed(axis: 0, start: 1, length: length))
    }
}

/// Writes a shard of bare tokens, piece by piece; the file appears whole when it is finished, or not at all.
public struct TokenShardWriter: ~Copyable {
    private var file: AtomicFile
    private let path: String
    private let type: TokenType
    /// Tokens written so far.
    public private(set) var count = 0

    /// Starts a file beside `path`. Throws ``FileError``.
    public init(_ path: String, type: TokenType = .uint16) throws {
        file = try AtomicFile(path)
        (self.path, self.type) = (path, type)
    }

    /// Adds tokens. Throws ``TokenShardError`` on one that the type cannot hold.
    public mutating func write(_ tokens: [Int]) throws {
        let limit = type == .uint16 ? Int(UInt16.max) : Int(UInt32.max)
        if let wrong = tokens.first(where: { $0 < 0 || $0 > limit }) {
            throw TokenShardError(path, "token \(wrong) is no \(type)")
        }
        switch type {
        case .uint16: try tokens.map { UInt16($0).littleEndian }.withUnsafeBytes { try file.write($0) }
        case .uint32: try tokens.map { UInt32($0).littleEndian }.withUnsafeBytes { try file.write($0) }
        }
        count += tokens.count
    }

    /// Puts the file in place.
    public mutating func finish() throws { try file.commit() }
}
