/// SentencePiece's byte-pair encoding (Llama 1 and 2): neighbouring pieces are joined where their text is a piece too, the most
/// probable first, of equals the leftmost. What is left over becomes bytes.
struct ScoredMergeModel: Sendable {
    let table: TokenTable
    private let scores: [Float]
    private let isJoinable: [Bool]
    private let byteTokens: [Int32]
    let unknown: Int?

    init(pieces: [(token: String, score: Float)], unknown: Int?, isPiece: (Int) -> Bool = { _ in true }) throws {
        table = try TokenTable(pieces.enumerated().map { ($1.token, $0) }, allowsCopies: true)
        scores = pieces.map(\.score)
        if scores.contains(where: \.isNaN) { throw TokenizerError("a piece has a score that is no number") }
        if let unknown, !pieces.indices.contains(unknown) {
            throw TokenizerError("the unknown token \(unknown) is not in the vocabulary")
        }
        isJoinable = pieces.indices.map(isPiece)
        byteTokens = ByteTokens.ids(table)
        self.unknown = unknown
    }

    private struct Symbol {
        var start: Int32
        var length: Int32
        var previous: Int32
        var next: Int32
    }

    private struct Candidate: Comparable {
        let score: Float
        let left: Int32, right: Int32
        /// Bytes of both, to see whether one has changed.
        let length: Int32

        static func < (a: Candidate, b: Candidate) -> Bool {
            a.score != b.score ? a.score > b.score : a.left < b.left
        }
    }

    /// Adds the pieces of a text. Throws if a character has neither a piece nor bytes, and there is no unknown token.
    func encode(_ text: UnsafeRawBufferPointer, into ids: inout [Int]) throws {
        if text.isEmpty { return }
        if text.count >= Int(Int32.max) { throw TokenizerError("\(text.count) bytes are too long for one text") }
        var symbols: [Symbol] = []
        UTF8Scalar.forEach(text) { _, range in
            symbols.append(
                Symbol(
                    start: Int32(range.lowerBound), length: Int32(range.count), previous: Int32(symbols.count) - 1,
                    next: Int32(symbols.count) + 1))
        }
        symbols[symbols.count - 1].next = -1
        var heap = BinaryHeap<Candidate>()
        func add(_ left: Int32, _ right: Int32) {
            if left < 0 || right < 0 { return }
            let a = symbols[Int(left)], length = a.length + symbols[Int(right)].length
            if Int(length) > table.longest { return }
            let id = table.id(UnsafeRawBufferPointer(rebasing: text[Int(a.start)..<Int(a.start + length)]))
            if id >= 0, isJoinable[Int(id)] {
                heap.push(Candidate(score: scores[Int(id)], left: left, right: right, length: length))
            }
        }
        for i in 1..<max(Int32(symbols.count), 1) { add(i - 1, i) }
        while let top = heap.pop() {
            let left = Int(top.left), right = Int(top.right)
            if symbols[left].length == 0 || symbols[right].length == 0
                || symbols[left].length + symbols[right].length != top.length
            {
                continue
            }
            symbols[left].length = top.length
            symbols[right].length = 0
            symbols[left].next = symbols[right].next
            if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = top.left }
            add(symbols[left].previous, top.left)
            add(top.left, symbols[left].next)
        }
        let first = ids.count
        var i: Int32 = 0
        while i >= 0 {
            let symbol = symbols[Int(i)]
            let bytes = UnsafeRawBufferPointer(rebasing: text[Int(symbol.start)..<Int(symbol.start + symbol.length)])
            let id = table.id(bytes)
            if id >= 0 {
                ids.append(Int(id))
            } else {
                if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                    for byte in bytes { ids.append(Int(byteTokens[Int(byte)])) }
                } else if let unknown {
                    // What is unknown side by side is one.
                    if ids.last != unknown || ids.count == first { ids.append(unknown) }
                } else {
                    throw TokenizerError("\(String(decoding: bytes, as: UTF8.self).debugDescription) is not in the vocabulary")
                }
            }
            i = symbol.next
        }
    }
}
