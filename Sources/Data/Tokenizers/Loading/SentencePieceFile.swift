/// SentencePiece's own files (`tokenizer.model`, `spiece.model`): a protocol buffer with pieces, and how texts are normalised.
enum SentencePieceFile {
    /// Kinds of pieces, by their numbers in the file.
    enum Kind: Int { case normal = 1, unknown, control, userDefined, unused, byte }

    struct Piece {
        var text = ""
        var score: Float = 0
        var kind = Kind.normal
    }

    static func read(_ path: String, _ config: TokenizerConfig) throws -> PretrainedTokenizer {
        let file = try MappedFile(path)
        return try withExtendedLifetime(file) { try read(file.bytes, config) }
    }

    static func read(_ bytes: UnsafeRawBufferPointer, _ config: TokenizerConfig) throws -> PretrainedTokenizer {
        var pieces: [Piece] = []
        var usesMerges = false
        var options = Options()
        try ProtocolBuffer.forEachField(bytes) { field, value in
            switch (field, value) {
            case (1, .bytes(let bytes)): pieces.append(try piece(bytes))
            case (2, .bytes(let bytes)):
                try ProtocolBuffer.forEachField(bytes) { field, value in
                    if case (3, .integer(let type)) = (field, value) {
                        guard type == 1 || type == 2 else { throw TokenizerError("a SentencePiece model of type \(type)") }
                        usesMerges = type == 2
                    }
                }
            case (3, .bytes(let bytes)):
                try ProtocolBuffer.forEachField(bytes) { field, value in
                    switch (field, value) {
                    case (2, .bytes(let map)): options.characterMap = Array(map)
                    case (3, .integer(let flag)): options.addsPrefix = flag != 0
                    case (4, .integer(let flag)): options.collapsesSpaces = flag != 0
                    default: break
                    }
                }
            default: break
            }
        }
        if pieces.isEmpty { throw TokenizerError("no SentencePiece model: there are no pieces") }
        return try tokenizer(pieces, usesMerges: usesMerges, options) { config.specialTokens($0) }
    }

    /// How texts are normalised.
    struct Options {
        var characterMap: [UInt8] = []
        var addsPrefix = true
        var collapsesSpaces = true
        /// Ids before and after a text.
        var before: [Int] = []
        var after: [Int] = []
    }

    /// Puts a tokenizer together from pieces: merged by score, or by Viterbi's algorithm.
    static func tokenizer(
        _ pieces: [Piece], usesMerges: Bool, _ options: Options, _ special: (PretrainedTokenizer.Lookup) -> SpecialTokens
    ) throws -> PretrainedTokenizer {
        let unknown = pieces.firstIndex { $0.kind == .unknown }
        let hasBytes = pieces.contains { $0.kind == .byte }
        func isPiece(_ id: Int) -> Bool { pieces[id].kind == .normal || pieces[id].kind == .userDefined }
        let model: TokenModel =
            usesMerges
            ? .scoredMerge(try ScoredMergeModel(pieces: pieces.map { ($0.text, $0.score) }, unknown: unknown, isPiece: isPiece))
            : .unigram(
                try UnigramModel(
                    pieces: pieces.map { ($0.text, Double($0.score)) }, unknown: unknown, byteFallback: hasBytes, isPiece: isPiece
                ))
        let added = pieces.enumerated().filter { ($1.kind == .control || $1.kind == .userDefined) && !$1.text.isEmpty }.map {
            AddedToken(id: $0, content: $1.text, isSpecial: $1.kind == .control)
        }
        var steps: [Normalizer] = []
        if !options.characterMap.isEmpty { steps.append(.characterMap(try CharacterMap(options.characterMap), longest: true)) }
        if options.collapsesSpaces { steps.append(.collapseSpaces) }
        if options.addsPrefix { steps.append(.prepend([0x20])) }
        let lookup = PretrainedTokenizer.Lookup(added: added, table: model.table)
        return try PretrainedTokenizer(
            normalizer: .sequence(steps),
            preTokenizer: .metaspace(replacement: Array("\u{2581}".utf8), prepend: .never, splits: false),
            model: model,
            postProcessor: PostProcessor(
                single: [.special(ids: options.before, type: 0), .first(type: 0), .special(ids: options.after, type: 0)],
                pair: [
                    .special(ids: options.before, type: 0), .first(type: 0), .special(ids: options.after, type: 0),
                    .second(type: 0),
                    .special(ids: options.after, type: 0),
                ]),
            decoder: .sequence([
                .replace(try Pattern(literal: "\u{2581}"), with: [0x20]), .byteFallback, .fuse,
                .strip(content: [0x20], start: options.addsPrefix ? 1 : 0, stop: 0),
            ]),
            addedTokens: added, specialTokens: special(lookup))
    }

    private static func piece(_ bytes: UnsafeRawBufferPointer) throws -> Piece {
        var piece = Piece()
        try ProtocolBuffer.forEachField(bytes) { field, value in
            switch (field, value) {
            case (1, .bytes(let text)):
                guard let text = String(validating: text, as: UTF8.self) else {
                    throw TokenizerError("a piece that is not UTF-8")
                }
                piece.text = text
            case (2, .word32(let bits)): piece.score = Float(bitPattern: bits)
            case (3, .integer(let kind)):
                guard let kind = Int(exactly: kind).flatMap(Kind.init) else {
                    throw TokenizerError("a piece of the unknown kind \(kind)")
                }
                piece.kind = kind
            default: break
            }
        }
        return piece
    }
}

/// The wire format of protocol buffers, as much as is needed to read one.
enum ProtocolBuffer {
    enum Value {
        case integer(UInt64)
        case word64(UInt64)
        case word32(UInt32)
        case bytes(UnsafeRawBufferPointer)
    }

    static func forEachField(_ bytes: UnsafeRawBufferPointer, _ body: (_ field: UInt64, Value) throws -> Void) throws {
        var position = 0
        let broken = TokenizerError("a broken protocol buffer")
        func variable() throws -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 64, by: 7) {
                guard position < bytes.count else { throw broken }
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
            }
            throw broken
        }
        while position < bytes.count {
            let key = try variable()
            let value: Value
            switch key & 7 {
            case 0: value = .integer(try variable())
            case 1:
                guard bytes.count - position >= 8 else { throw broken }
                value = .word64(bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self).littleEndian)
                position += 8
            case 2:
                let length = try variable()
                guard length <= UInt64(bytes.count - position) else { throw broken }
                value = .bytes(UnsafeRawBufferPointer(rebasing: bytes[position..<(position + Int(length))]))
                position += Int(length)
            case 5:
                guard bytes.count - position >= 4 else { throw broken }
                value = .word32(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self).littleEndian)
                position += 4
            default: throw broken
            }
            try body(key >> 3, value)
        }
    }
}
