/// Byte-pair encoding (Sennrich et al. 2016): a word starts as its characters, and the neighbouring pair that was merged first in
/// training is merged first, until no pair is left.
struct BytePairModel: Sendable {
    let table: TokenTable
    let pairs: PairTable
    /// The merges as they were read, for writing; by rank.
    let merges: [(left: Int32, right: Int32, merged: Int32)]
    let unknown: Int32?
    /// Whether unknown characters side by side are one token.
    let fusesUnknown: Bool
    /// Whether a character outside the vocabulary becomes its bytes (`<0x0A>`).
    let byteFallback: Bool
    /// Whether a word that is a token is taken whole, without merging.
    let ignoresMerges: Bool
    let continuingPrefix: [UInt8]
    let wordSuffix: [UInt8]
    /// Ids of single scalars below U+0250, -1 where there is none.
    private let singles: [Int32]
    private let byteTokens: [Int32]

    /// Throws if a merge names a token that the vocabulary lacks.
    init(
        vocabulary: [(token: String, id: Int)], merges: [(String, String)], unknown: String? = nil, fusesUnknown: Bool = false,
        byteFallback: Bool = false, ignoresMerges: Bool = false, continuingPrefix: String = "", wordSuffix: String = "",
        allowsCopies: Bool = false
    ) throws {
        table = try TokenTable(vocabulary, allowsCopies: allowsCopies)
        self.continuingPrefix = Array(continuingPrefix.utf8)
        self.wordSuffix = Array(wordSuffix.utf8)
        self.fusesUnknown = fusesUnknown
        self.byteFallback = byteFallback
        self.ignoresMerges = ignoresMerges
        if let unknown {
            guard let id = table.id(unknown) else { throw TokenizerError("the vocabulary lacks the unknown token \(unknown)") }
            self.unknown = Int32(id)
        } else {
            self.unknown = nil
        }
        let table = table
        self.merges = try merges.map { left, right in
            func id(_ bytes: [UInt8]) throws -> Int32 {
                let id = bytes.withUnsafeBytes { table.id($0) }
                if id < 0 {
                    throw TokenizerError(
                        "the merge of \(left.debugDescription.prefix(80)) and \(right.debugDescription.prefix(80)) names a token that the vocabulary lacks"
                    )
                }
                return id
            }
            let a = Array(left.utf8), b = Array(right.utf8)
            let tail =
                !continuingPrefix.isEmpty && b.starts(with: continuingPrefix.utf8)
                ? Array(b.dropFirst(continuingPrefix.utf8.count)) : b
            return (try id(a), try id(b), try id(a + tail))
        }
        pairs = PairTable(self.merges)
        let isPlain = continuingPrefix.isEmpty && wordSuffix.isEmpty
        singles =
            isPlain
            ? (0..<0x250).map { value in
                var bytes: [UInt8] = []
                UTF8Scalar.append(UInt32(value), to: &bytes)
                return bytes.withUnsafeBytes { table.id($0) }
            } : []
        byteTokens = ByteTokens.ids(table)
    }

    /// Adds the tokens of one word.
    func encode(_ word: UnsafeRawBufferPointer, into ids: inout [Int], _ scratch: inout MergeScratch) {
        if ignoresMerges {
            let id = table.id(word)
            if id >= 0 {
                ids.append(Int(id))
                return
            }
        }
        symbols(word, &scratch.ids)
        scratch.merge(pairs)
        for id in scratch.ids { ids.append(Int(id)) }
    }

    /// The characters' tokens.
    private func symbols(_ word: UnsafeRawBufferPointer, _ ids: inout [Int32]) {
        ids.removeAll(keepingCapacity: true)
        var i = 0
        var lastWasUnknown = false
        while i < word.count {
            let (value, length) = UTF8Scalar.at(word, i)
            let range = i..<(i + length)
            i += length
            let id =
                value < UInt32(singles.count)
                ? singles[Int(value)]
                : character(
                    UnsafeRawBufferPointer(rebasing: word[range]), isFirst: range.lowerBound == 0, isLast: i == word.count)
            if id >= 0 {
                ids.append(id)
                lastWasUnknown = false
                continue
            }
            if byteFallback, word[range].allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in word[range] { ids.append(byteTokens[Int(byte)]) }
                lastWasUnknown = false
                continue
            }
            guard let unknown else { continue }
            if !(fusesUnknown && lastWasUnknown) { ids.append(unknown) }
            lastWasUnknown = true
        }
    }

    private func character(_ bytes: UnsafeRawBufferPointer, isFirst: Bool, isLast: Bool) -> Int32 {
        if continuingPrefix.isEmpty && wordSuffix.isEmpty { return table.id(bytes) }
        let spelled = (isFirst ? [] : continuingPrefix) + Array(bytes) + (isLast ? wordSuffix : [])
        return spelled.withUnsafeBytes { table.id($0) }
    }
}

/// The tokens `<0x00>` … `<0xFF>`, which stand for bytes.
enum ByteTokens {
    static func name(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
    }

    /// By byte; -1 where the vocabulary has none.
    static func ids(_ table: TokenTable) -> [Int32] { (0...255).map { Int32(table.id(name(UInt8($0))) ?? -1) } }

    /// The byte that a token stands for.
    static func byte(_ token: UnsafeRawBufferPointer) -> UInt8? {
        guard token.count == 6, token[0] == UInt8(ascii: "<"), token[1] == UInt8(ascii: "0"), token[2] == UInt8(ascii: "x"),
            token[5] == UInt8(ascii: ">"), let high = Character(Unicode.Scalar(token[3])).hexDigitValue,
            let low = Character(Unicode.Scalar(token[4])).hexDigitValue
        else { return nil }
        return UInt8(high << 4 | low)
    }
}
