/// How a word becomes tokens: the `model` of a `tokenizer.json`.
enum TokenModel: Sendable {
    case bytePair(BytePairModel)
    case wordPiece(WordPieceModel)
    case unigram(UnigramModel)
    case wordLevel(WordLevelModel)
    case scoredMerge(ScoredMergeModel)

    var table: TokenTable {
        switch self {
        case .bytePair(let model): model.table
        case .wordPiece(let model): model.table
        case .unigram(let model): model.table
        case .wordLevel(let model): model.table
        case .scoredMerge(let model): model.table
        }
    }

    var unknown: Int? {
        switch self {
        case .bytePair(let model): model.unknown.map(Int.init)
        case .wordPiece(let model): model.unknown
        case .unigram(let model): model.unknown
        case .wordLevel(let model): model.unknown
        case .scoredMerge(let model): model.unknown
        }
    }
}

/// What one call of `encode` keeps: room for merging, and the words it met before.
struct EncodingScratch {
    private var merging = MergeScratch()
    /// Words by hash: bytes in `text`, tokens in `ids`. Open addressing; -1 is free.
    private var slots = [Int32](repeating: -1, count: 1 << 10)
    private var entries: [(start: Int32, length: Int32, firstID: Int32, count: Int32)] = []
    private var text: [UInt8] = []
    private var ids: [Int32] = []
    /// Words longer than this are not kept, nor more words than that.
    private static let longest = 64, most = 1 << 17

    /// Adds the tokens of all pieces.
    mutating func encode(_ pieces: TextPieces, _ model: TokenModel, into result: inout [Int]) throws {
        try pieces.bytes.withUnsafeBytes { bytes in
            for piece in pieces.pieces {
                let word = UnsafeRawBufferPointer(rebasing: bytes[piece.start..<piece.end])
                switch model {
                case .bytePair(let model): remembering(word, &result) { model.encode(word, into: &$0, &$1) }
                case .wordPiece(let model): remembering(word, &result) { ids, _ in model.encode(word, into: &ids) }
                case .unigram(let model): try model.encode(word, into: &result)
                case .wordLevel(let model): try model.encode(word, into: &result)
                case .scoredMerge(let model): try model.encode(word, into: &result)
                }
            }
        }
    }

    @inline(__always)
    private mutating func remembering(
        _ word: UnsafeRawBufferPointer, _ result: inout [Int], _ encode: (inout [Int], inout MergeScratch) -> Void
    ) {
        if word.count > Self.longest {
            encode(&result, &merging)
            return
        }
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hashBytes(word)) & mask
        while slots[slot] >= 0 {
            let entry = entries[Int(slots[slot])]
            let isSame =
                Int(entry.length) == word.count
                && text.withUnsafeBytes {
                    equalBytes(UnsafeRawBufferPointer(rebasing: $0[Int(entry.start)..<Int(entry.start + entry.length)]), word)
                }
            if isSame {
                for i in Int(entry.firstID)..<Int(entry.firstID + entry.count) { result.append(Int(ids[i])) }
                return
            }
            slot = (slot + 1) & mask
        }
        let first = result.count
        encode(&result, &merging)
        if entries.count >= Self.most { return }
        slots[slot] = Int32(entries.count)
        entries.append((Int32(text.count), Int32(word.count), Int32(ids.count), Int32(result.count - first)))
        text += word
        for id in result[first...] { ids.append(Int32(id)) }
        if entries.count * 2 > slots.count { grow() }
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 4)
        let mask = slots.count - 1
        text.withUnsafeBytes { text in
            for (i, entry) in entries.enumerated() {
                let word = UnsafeRawBufferPointer(rebasing: text[Int(entry.start)..<Int(entry.start + entry.length)])
                var slot = Int(truncatingIfNeeded: hashBytes(word)) & mask
                while slots[slot] >= 0 { slot = (slot + 1) & mask }
                slots[slot] = Int32(i)
            }
        }
    }
}
