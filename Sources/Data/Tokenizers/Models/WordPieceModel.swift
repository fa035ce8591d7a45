/// WordPiece (BERT): from the left, the longest token that fits; tokens inside a word have a prefix (`##`). A word that cannot be
/// covered is unknown as a whole.
struct WordPieceModel: Sendable {
    let table: TokenTable
    let unknown: Int
    let continuingPrefix: [UInt8]
    /// Words of more scalars are unknown.
    let longestWord: Int

    /// Throws if the vocabulary lacks the unknown token.
    init(
        vocabulary: [(token: String, id: Int)], unknown: String = "[UNK]", continuingPrefix: String = "##", longestWord: Int = 100
    ) throws {
        table = try TokenTable(vocabulary)
        guard let id = table.id(unknown) else { throw TokenizerError("the vocabulary lacks the unknown token \(unknown)") }
        self.unknown = id
        self.continuingPrefix = Array(continuingPrefix.utf8)
        self.longestWord = longestWord
    }

    /// Adds the tokens of one word.
    func encode(_ word: UnsafeRawBufferPointer, into ids: inout [Int]) {
        var scalars = 0
        for byte in word where byte & 0xC0 != 0x80 { scalars += 1 }
        if scalars > longestWord {
            ids.append(unknown)
            return
        }
        let before = ids.count
        var start = 0
        var spelled: [UInt8] = []
        while start < word.count {
            let prefix = start > 0 ? continuingPrefix.count : 0
            spelled.removeAll(keepingCapacity: true)
            if start > 0 { spelled += continuingPrefix }
            spelled += word[start..<min(word.count, start + table.longest)]
            var end = spelled.count
            // Not in the middle of a scalar.
            while end > prefix, start + end - prefix < word.count, word[start + end - prefix] & 0xC0 == 0x80 { end -= 1 }
            var found: Int32 = -1
            spelled.withUnsafeBytes { bytes in
                while end > prefix {
                    found = table.id(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                    if found >= 0 { return }
                    end = UTF8Scalar.before(bytes, end)
                }
            }
            if found < 0 {
                ids.removeLast(ids.count - before)
                ids.append(unknown)
                return
            }
            ids.append(Int(found))
            start += end - prefix
        }
    }
}

/// One token per word.
struct WordLevelModel: Sendable {
    let table: TokenTable
    let unknown: Int?

    /// Adds the token of one word. Throws on one that the vocabulary lacks, if there is no unknown token.
    func encode(_ word: UnsafeRawBufferPointer, into ids: inout [Int]) throws {
        let id = table.id(word)
        if id >= 0 {
            ids.append(Int(id))
        } else if let unknown {
            ids.append(unknown)
        } else {
            throw TokenizerError("\(String(decoding: word, as: UTF8.self).debugDescription.prefix(80)) is not in the vocabulary")
        }
    }
}
