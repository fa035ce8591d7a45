/// What becomes of the matches of a pattern that splits a text.
enum SplitBehavior: Sendable {
    case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous

    init(_ name: String?) throws {
        switch name {
        case "Removed", "removed": self = .removed
        case "Isolated", "isolated": self = .isolated
        case "MergedWithPrevious", "merged_with_previous": self = .mergedWithPrevious
        case "MergedWithNext", "merged_with_next": self = .mergedWithNext
        case "Contiguous", "contiguous": self = .contiguous
        default: throw TokenizerError("a pre-tokenizer has the unknown behavior \(name ?? "none")")
        }
    }
}

/// A text cut into pieces: ranges of one run of bytes.
struct TextPieces {
    struct Piece {
        var start: Int, end: Int
        /// Whether the piece starts where the whole text starts.
        var isFirst: Bool
    }

    var bytes: [UInt8]
    var pieces: [Piece]

    init(_ bytes: [UInt8], isFirst: Bool) {
        self.bytes = bytes
        pieces = bytes.isEmpty ? [] : [Piece(start: 0, end: bytes.count, isFirst: isFirst)]
    }

    /// Cuts every piece at matches: `find` calls its argument with each, from left to right.
    mutating func split(
        _ behavior: SplitBehavior, invert: Bool = false,
        _ find: (UnsafeRawBufferPointer, (Range<Int>) throws -> Void) throws -> Void
    ) throws {
        var result: [Piece] = []
        result.reserveCapacity(pieces.count * 2)
        try bytes.withUnsafeBytes { bytes in
            for piece in pieces {
                var end = piece.start
                var wasMatch = false
                func add(_ start: Int, _ end: Int, _ isMatch: Bool) {
                    if start == end { return }
                    let isMatch = isMatch != invert
                    let isFirst = piece.isFirst && start == piece.start
                    let inPiece = start > piece.start && !result.isEmpty
                    switch behavior {
                    case .removed: if !isMatch { result.append(Piece(start: start, end: end, isFirst: isFirst)) }
                    case .isolated: result.append(Piece(start: start, end: end, isFirst: isFirst))
                    case .mergedWithPrevious:
                        if isMatch && !wasMatch && inPiece {
                            result[result.count - 1].end = end
                        } else {
                            result.append(Piece(start: start, end: end, isFirst: isFirst))
                        }
                    case .mergedWithNext:
                        // The match before waits for this; of several matches, the last one goes with what follows.
                        if !isMatch && wasMatch && inPiece {
                            result[result.count - 1].end = end
                        } else {
                            result.append(Piece(start: start, end: end, isFirst: isFirst))
                        }
                    case .contiguous:
                        if isMatch == wasMatch && inPiece {
                            result[result.count - 1].end = end
                        } else {
                            result.append(Piece(start: start, end: end, isFirst: isFirst))
                        }
                    }
                    wasMatch = isMatch
                }
                try find(UnsafeRawBufferPointer(rebasing: bytes[piece.start..<piece.end])) { match in
                    add(end, piece.start + match.lowerBound, false)
                    add(piece.start + match.lowerBound, piece.start + match.upperBound, true)
                    end = piece.start + match.upperBound
                }
                add(end, piece.end, false)
            }
        }
        pieces = result
    }

    /// Replaces every piece's bytes: `body` appends the new ones.
    mutating func rewrite(_ body: (_ piece: UnsafeRawBufferPointer, _ isFirst: Bool, inout [UInt8]) -> Void) {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + bytes.count / 4 + 16)
        bytes.withUnsafeBytes { bytes in
            for i in pieces.indices {
                let start = result.count
                body(UnsafeRawBufferPointer(rebasing: bytes[pieces[i].start..<pieces[i].end]), pieces[i].isFirst, &result)
                pieces[i].start = start
                pieces[i].end = result.count
            }
        }
        pieces.removeAll { $0.start == $0.end }
        bytes = result
    }
}

/// How a text is cut into words: the `pre_tokenizer` of a `tokenizer.json`.
indirect enum PreTokenizer: Sendable {
    case byteLevel(addsPrefixSpace: Bool, splits: Pattern?)
    case bert
    case split(Pattern, SplitBehavior, invert: Bool)
    case whitespaceSplit
    case digits(individual: Bool)
    case punctuation(SplitBehavior)
    case metaspace(replacement: [UInt8], prepend: PrependScheme, splits: Bool)
    case fixedLength(Int)
    case sequence([PreTokenizer])

    /// Where a Metaspace pre-tokenizer puts its mark before a text.
    enum PrependScheme: Sendable { case always, never, first }

    /// GPT-2's pattern.
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    func apply(_ text: inout TextPieces) throws {
        switch self {
        case .byteLevel(let addsPrefixSpace, let splits):
            if addsPrefixSpace {
                text.rewrite { piece, _, result in
                    if piece.first != 0x20 { result.append(0x20) }
                    result += piece
                }
            }
            if let splits { try text.split(.isolated) { try splits.forEachMatch($0, $1) } }
            text.rewrite { piece, _, result in ByteAlphabet.encode(piece, into: &result) }
        case .bert:
            try Self.whitespaceSplit.apply(&text)
            try text.split(.isolated) { try Self.forEachScalar($0, where: Self.isBertPunctuation, $1) }
        case .split(let pattern, let behavior, let invert):
            try text.split(behavior, invert: invert) { try pattern.forEachMatch($0, $1) }
        case .whitespaceSplit: try text.split(.removed) { try Self.forEachScalar($0, where: ScalarTable.isWhitespace, $1) }
        case .digits(let individual):
            let numbers = ScalarTable.categories(named: "N")!
            try text.split(individual ? .isolated : .contiguous) {
                try Self.forEachScalar($0, where: { ScalarTable.category($0) & numbers != 0 }, $1)
            }
        case .punctuation(let behavior):
            try text.split(behavior) { try Self.forEachScalar($0, where: Self.isBertPunctuation, $1) }
        case .metaspace(let replacement, let prepend, let splits):
            text.rewrite { piece, isFirst, result in
                let start = result.count
                for byte in piece { if byte == 0x20 { result += replacement } else { result.append(byte) } }
                if prepend == .always || (prepend == .first && isFirst), !result[start...].starts(with: replacement) {
                    result.insert(contentsOf: replacement, at: start)
                }
            }
            if splits {
                try text.split(.mergedWithNext) { bytes, match in
                    var i = 0
                    while i + replacement.count <= bytes.count {
                        if bytes[i] == replacement[0], bytes[i..<(i + replacement.count)].elementsEqual(replacement) {
                            try match(i..<(i + replacement.count))
                            i += replacement.count
                        } else {
                            i += 1
                        }
                    }
                }
            }
        case .fixedLength(let length):
            try text.split(.isolated) { bytes, match in
                var start = 0, end = 0, count = 0
                while end < bytes.count {
                    end += UTF8Scalar.length(bytes[end])
                    count += 1
                    if count == length || end == bytes.count {
                        try match(start..<end)
                        (start, count) = (end, 0)
                    }
                }
            }
        case .sequence(let steps): for step in steps { try step.apply(&text) }
        }
    }

    private static func forEachScalar(
        _ bytes: UnsafeRawBufferPointer, where isMatch: (UInt32) -> Bool, _ body: (Range<Int>) throws -> Void
    ) throws {
        var i = 0
        while i < bytes.count {
            let (value, length) = UTF8Scalar.at(bytes, i)
            if isMatch(value) { try body(i..<(i + length)) }
            i += length
        }
    }

    /// ASCII's punctuation and symbols, and Unicode's punctuation.
    static func isBertPunctuation(_ value: UInt32) -> Bool {
        if value < 0x80 { return value > 0x20 && value < 0x7F && !ScalarTable.isAlphabetic(value) && value &- 0x30 >= 10 }
        return ScalarTable.category(value) & ScalarTable.punctuation != 0
    }
}
