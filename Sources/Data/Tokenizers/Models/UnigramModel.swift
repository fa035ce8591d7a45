/// A unigram language model over pieces (Kudo 2018; SentencePiece, T5): of all ways to cover a text with pieces, the one with the
/// largest sum of log-probabilities, by Viterbi's algorithm in time linear in the text.
struct UnigramModel: Sendable {
    let table: TokenTable
    private let trie: ByteTrie
    /// Log-probability by id.
    private let scores: [Double]
    let unknown: Int?
    let byteFallback: Bool
    private let unknownScore: Double
    private let byteTokens: [Int32]

    /// Pieces by id, with log-probabilities. `isPiece` tells which of them stand for text; the others are never found in one.
    init(
        pieces: [(token: String, score: Double)], unknown: Int?, byteFallback: Bool, isPiece: (Int) -> Bool = { _ in true }
    ) throws {
        table = try TokenTable(pieces.enumerated().map { ($1.token, $0) }, allowsCopies: true)
        scores = pieces.map(\.score)
        if scores.contains(where: { !$0.isFinite }) { throw TokenizerError("a piece has a score that is no number") }
        if let unknown, !pieces.indices.contains(unknown) {
            throw TokenizerError("the unknown token \(unknown) is not in the vocabulary")
        }
        self.unknown = unknown
        self.byteFallback = byteFallback
        unknownScore = (scores.min() ?? 0) - 10
        trie = ByteTrie(pieces.indices.lazy.filter(isPiece).map { (Array(pieces[$0].token.utf8), Int32($0)) })
        byteTokens = ByteTokens.ids(table)
    }

    /// Adds the pieces of a text. Throws if a character is in no piece and there is no unknown token.
    func encode(_ text: UnsafeRawBufferPointer, into ids: inout [Int]) throws {
        struct Node {
            var score = 0.0
            var start: Int32 = -1
            var id: Int32 = -1
        }
        if text.count >= Int(Int32.max) { throw TokenizerError("\(text.count) bytes are too long for one text") }
        var best = [Node](repeating: Node(), count: text.count + 1)
        var start = 0
        while start < text.count {
            let score = best[start].score
            let single = UTF8Scalar.length(text[start])
            var hasSingle = false
            trie.forEachPrefix(text, from: start) { end, id in
                let candidate = score + scores[Int(id)]
                if best[end].start < 0 || candidate > best[end].score {
                    best[end] = Node(score: candidate, start: Int32(start), id: id)
                }
                if end == start + single { hasSingle = true }
            }
            if !hasSingle {
                let candidate = score + unknownScore, end = start + single
                if best[end].start < 0 || candidate > best[end].score {
                    best[end] = Node(score: candidate, start: Int32(start), id: -1)
                }
            }
            start += single
        }
        let first = ids.count
        var end = text.count
        while end > 0 {
            let node = best[end]
            if node.id >= 0 && Int(node.id) != unknown {
                ids.append(Int(node.id))
                end = Int(node.start)
                continue
            }
            // What is unknown side by side is one.
            var start = Int(node.start)
            while start > 0, case let before = best[start], before.id < 0 || Int(before.id) == unknown {
                start = Int(before.start)
            }
            if byteFallback, text[start..<end].allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in text[start..<end].reversed() { ids.append(Int(byteTokens[Int(byte)])) }
            } else if let unknown {
                ids.append(unknown)
            } else {
                throw TokenizerError(
                    "\(String(decoding: text[start..<end], as: UTF8.self).debugDescription.prefix(80)) is not in the vocabulary")
            }
            end = start
        }
        ids[first...].reverse()
    }
}

/// Byte strings by their common prefixes.
struct ByteTrie: Sendable {
    /// Children of a node lie side by side, sorted by byte: from `children[node]` to `children[node + 1]`.
    private var bytes: [UInt8] = []
    private var children: [Int32] = []
    private var values: [Int32] = []
    /// The root's children by byte: most texts branch here.
    private var roots = [Int32](repeating: -1, count: 256)

    /// Builds breadth first. The last of equal entries counts; empty ones are left out.
    init(_ entries: some Sequence<(bytes: [UInt8], value: Int32)>) {
        let sorted = entries.filter { !$0.bytes.isEmpty }.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        // A node is a range of the sorted entries that share `depth` bytes.
        var queue: [(range: Range<Int>, depth: Int)] = [(0..<sorted.count, 0)]
        bytes = [0]
        values = [-1]
        var next = 0
        while next < queue.count {
            let (range, depth) = queue[next]
            children.append(Int32(queue.count))
            var start = range.lowerBound
            while start < range.upperBound && sorted[start].bytes.count == depth {
                values[next] = sorted[start].value
                start += 1
            }
            while start < range.upperBound {
                let byte = sorted[start].bytes[depth]
                var end = start + 1
                while end < range.upperBound && sorted[end].bytes[depth] == byte { end += 1 }
                bytes.append(byte)
                values.append(-1)
                queue.append((start..<end, depth + 1))
                start = end
            }
            next += 1
        }
        children.append(Int32(queue.count))
        for node in Int(children[0])..<Int(children[1]) { roots[Int(bytes[node])] = Int32(node) }
    }

    /// Calls `body` for every entry that the text has at `start`, shortest first.
    @inline(__always)
    func forEachPrefix(_ text: UnsafeRawBufferPointer, from start: Int, _ body: (_ end: Int, _ value: Int32) -> Void) {
        if start >= text.count { return }
        var node = roots[Int(text[start])]
        var end = start + 1
        while node >= 0 {
            if values[Int(node)] >= 0 { body(end, values[Int(node)]) }
            if end >= text.count { return }
            let byte = text[end]
            var low = Int(children[Int(node)])
            var high = Int(children[Int(node) + 1])
            node = -1
            while low < high {
                let middle = (low + high) / 2
                if bytes[middle] < byte {
                    low = middle + 1
                } else if bytes[middle] > byte {
                    high = middle
                } else {
                    node = Int32(middle)
                    break
                }
            }
            end += 1
        }
    }
}
