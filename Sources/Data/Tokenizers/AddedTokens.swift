/// A token that is looked for in texts before anything else is done to them.
struct AddedToken: Sendable {
    let id: Int
    let content: String
    /// Only where it is a word of its own.
    var isSingleWord = false
    /// With the white space before it.
    var stripsLeft = false
    /// With the white space after it.
    var stripsRight = false
    /// Whether it is looked for in the normalised text.
    var isNormalized = false
    /// Whether it is left out of decoded text.
    var isSpecial = true
}

/// Finds added tokens in texts: at each place the longest, from left to right.
struct AddedTokens: Sendable {
    private let trie: ByteTrie
    private let starts: [Bool]
    private let tokens: [AddedToken]
    let isEmpty: Bool

    init(_ tokens: [AddedToken], spelledAs spelling: (AddedToken) throws -> [UInt8]) rethrows {
        self.tokens = tokens
        isEmpty = tokens.isEmpty
        let entries = try tokens.enumerated().map { (try spelling($1), Int32($0)) }
        var starts = [Bool](repeating: false, count: 256)
        for (bytes, _) in entries { if let first = bytes.first { starts[Int(first)] = true } }
        self.starts = starts
        trie = ByteTrie(entries)
    }

    /// The parts of a text in order: what lies between tokens, and tokens.
    func split(
        _ text: UnsafeRawBufferPointer, skippingSpecial: Bool, _ body: (Range<Int>, AddedToken?) throws -> Void
    ) rethrows {
        var position = 0, done = 0
        while position < text.count {
            if !starts[Int(text[position])] {
                position += 1
                continue
            }
            var found: (end: Int, token: AddedToken)?
            trie.forEachPrefix(text, from: position) { found = ($0, tokens[Int($1)]) }
            guard let (end, token) = found else {
                position += 1
                continue
            }
            if (skippingSpecial && token.isSpecial) || (token.isSingleWord && !isWord(text, position, end)) {
                position = end
                continue
            }
            var from = position, to = end
            if token.stripsLeft {
                while from > done, case let before = UTF8Scalar.before(text, from),
                    before >= done, ScalarTable.isWhitespace(UTF8Scalar.at(text, before).value)
                { from = before }
            }
            if token.stripsRight {
                while to < text.count, case let (value, length) = UTF8Scalar.at(text, to), ScalarTable.isWhitespace(value) {
                    to += length
                }
            }
            if from > done { try body(done..<from, nil) }
            try body(from..<to, token)
            done = to
            position = to
        }
        if done < text.count { try body(done..<text.count, nil) }
    }

    private func isWord(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        let before = start == 0 || !ScalarClass.word.contains(UTF8Scalar.at(text, UTF8Scalar.before(text, start)).value)
        let after = end == text.count || !ScalarClass.word.contains(UTF8Scalar.at(text, end).value)
        return before && after
    }
}
