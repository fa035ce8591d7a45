/// Learns byte-pair merges from text (Sennrich et al. 2016, algorithm 1).
///
/// The most frequent pair of neighbouring tokens is merged, again and again. **Ties** go to the pair that occurs first in the corpus:
/// words in the order in which they first came, within a word from left to right, as the corpus is segmented at that moment. So
/// `low ×5, lowest ×2, newer ×3, wider ×2` gives lo, low, er, ne, new.
public struct BytePairTrainer {
    /// Characters (byte-level: bytes in their visible alphabet) and then merged tokens, by id, without special tokens.
    public private(set) var tokens: [String] = []
    /// The merges in order.
    public private(set) var merges: [(left: String, right: String)] = []

    private struct Word {
        var symbols: [Int32]
        let count: Int
    }

    private struct Pair: Hashable {
        let left: Int32, right: Int32
    }

    /// Learns from words with their counts, in order. Each word starts as its Unicode scalars.
    ///
    /// - Parameters:
    ///   - words: Distinct words; several with the same scalars are added up.
    ///   - mergeCount: Merges to learn; fewer if no pair is left.
    ///   - minimumCount: Pairs that occur less often are not merged.
    ///   - alphabet: Characters that are tokens whether they occur or not.
    public init(words: [(word: String, count: Int)], mergeCount: Int, minimumCount: Int = 1, alphabet: [Unicode.Scalar] = []) {
        var ids: [UInt32: Int32] = [:]
        var positions: [[UInt32]: Int] = [:]
        var list: [Word] = []
        var distinct: [(scalars: [UInt32], count: Int)] = []
        for (word, count) in words where count > 0 && !word.isEmpty {
            let scalars = word.unicodeScalars.map(\.value)
            if let position = positions[scalars] {
                distinct[position].count += count
            } else {
                positions[scalars] = distinct.count
                distinct.append((scalars, count))
            }
        }
        // Characters by code point, so that ids do not depend on the text's order.
        let characters = Set(distinct.flatMap(\.scalars)).union(alphabet.map(\.value)).sorted()
        for value in characters {
            ids[value] = Int32(tokens.count)
            tokens.append(String(String.UnicodeScalarView([Unicode.Scalar(value)!])))
        }
        for (scalars, count) in distinct { list.append(Word(symbols: scalars.map { ids[$0]! }, count: count)) }
        learn(&list, mergeCount, max(minimumCount, 1))
    }

    private mutating func learn(_ words: inout [Word], _ mergeCount: Int, _ minimumCount: Int) {
        var counts: [Pair: Int] = [:]
        var places: [Pair: Set<Int>] = [:]
        for (index, word) in words.enumerated() {
            for (a, b) in zip(word.symbols, word.symbols.dropFirst()) {
                counts[Pair(left: a, right: b), default: 0] += word.count
                places[Pair(left: a, right: b), default: []].insert(index)
            }
        }
        // Pairs by count; an entry whose count has changed since is passed over.
        struct Candidate: Comparable {
            let count: Int
            let pair: Pair
            static func < (a: Candidate, b: Candidate) -> Bool { a.count > b.count }
            static func == (a: Candidate, b: Candidate) -> Bool { a.count == b.count }
        }
        var heap = BinaryHeap<Candidate>()
        for (pair, count) in counts { heap.push(Candidate(count: count, pair: pair)) }
        var byText: [[UInt8]: Int32] = [:]
        for (id, token) in tokens.enumerated() { byText[Array(token.utf8)] = Int32(id) }
        while merges.count < mergeCount {
            // All pairs with the largest count: the first in the corpus wins.
            var tied: Set<Pair> = []
            var best = 0
            while let top = heap.pop() {
                if counts[top.pair] != top.count || top.count < minimumCount { continue }
                if tied.isEmpty { best = top.count }
                if top.count < best {
                    heap.push(top)
                    break
                }
                tied.insert(top.pair)
            }
            guard !tied.isEmpty else { return }
            let pair = first(tied, words, places)
            for other in tied where other != pair { heap.push(Candidate(count: best, pair: other)) }
            let left = tokens[Int(pair.left)], right = tokens[Int(pair.right)]
            var text = Array(left.utf8)
            text += right.utf8
            // Two pairs can spell the same token.
            let merged = byText[text] ?? Int32(tokens.count)
            if Int(merged) == tokens.count {
                tokens.append(left + right)
                byText[text] = merged
            }
            merges.append((left, right))
            var changed: Set<Pair> = []
            for index in places[pair] ?? [] { merge(pair, merged, index, &words[index], &counts, &places, &changed) }
            counts[pair] = nil
            places[pair] = nil
            for pair in changed { if let count = counts[pair], count > 0 { heap.push(Candidate(count: count, pair: pair)) } }
        }
    }

    /// The pair that comes first: in the earliest word, and there furthest left.
    private func first(_ pairs: Set<Pair>, _ words: [Word], _ places: [Pair: Set<Int>]) -> Pair {
        if pairs.count == 1 { return pairs.first! }
        var best: (word: Int, position: Int, pair: Pair)?
        for pair in pairs {
            guard let word = places[pair]?.min() else { continue }
            if let best, best.word < word { continue }
            let symbols = words[word].symbols
            guard let position = (1..<symbols.count).first(where: { symbols[$0 - 1] == pair.left && symbols[$0] == pair.right })
            else { continue }
            if best == nil || (word, position) < (best!.word, best!.position) { best = (word, position, pair) }
        }
        return best!.pair
    }

    private func merge(
        _ pair: Pair, _ merged: Int32, _ index: Int, _ word: inout Word, _ counts: inout [Pair: Int],
        _ places: inout [Pair: Set<Int>], _ changed: inout Set<Pair>
    ) {
        var result: [Int32] = []
        var i = 0
        let old = word.symbols
        while i < old.count {
            if i + 1 < old.count && old[i] == pair.left && old[i + 1] == pair.right {
                result.append(merged)
                i += 2
            } else {
                result.append(old[i])
                i += 1
            }
        }
        if result.count == old.count { return }
        for (a, b) in zip(old, old.dropFirst()) {
            let gone = Pair(left: a, right: b)
            counts[gone, default: 0] -= word.count
            changed.insert(gone)
        }
        var present: Set<Pair> = []
        for (a, b) in zip(result, result.dropFirst()) {
            let new = Pair(left: a, right: b)
            counts[new, default: 0] += word.count
            places[new, default: []].insert(index)
            changed.insert(new)
            present.insert(new)
        }
        for (a, b) in zip(old, old.dropFirst()) where !present.contains(Pair(left: a, right: b)) {
            places[Pair(left: a, right: b)]?.remove(index)
        }
        word.symbols = result
    }
}

extension PretrainedTokenizer {
    /// Trains a byte-level BPE tokenizer, of GPT-2's kind, on texts: any text can be encoded and comes back exactly.
    ///
    /// - Parameters:
    ///   - texts: What to learn from; split by GPT-2's pattern.
    ///   - vocabularySize: Tokens in all: special ones, 256 bytes, merges. At least 256 more than there are special tokens.
    ///   - specialTokens: They get the first ids and are found in texts; `<|endoftext|>` ends texts.
    public init(trainingOn texts: some Sequence<String>, vocabularySize: Int, specialTokens names: [String] = ["<|endoftext|>"])
        throws
    {
        if vocabularySize < 256 + names.count {
            throw TokenizerError(
                "a vocabulary of \(vocabularySize) tokens, where 256 bytes and \(names.count) special tokens take \(256 + names.count)"
            )
        }
        let step = PreTokenizer.byteLevel(addsPrefixSpace: false, splits: try Pattern(PreTokenizer.gpt2))
        var order: [[UInt8]: Int] = [:]
        var words: [(word: String, count: Int)] = []
        for text in texts {
            var pieces = TextPieces(Array(text.utf8), isFirst: true)
            try step.apply(&pieces)
            for piece in pieces.pieces {
                let word = Array(pieces.bytes[piece.start..<piece.end])
                if let position = order[word] {
                    words[position].count += 1
                } else {
                    order[word] = words.count
                    words.append((String(decoding: word, as: UTF8.self), 1))
                }
            }
        }
        let trainer = BytePairTrainer(
            words: words, mergeCount: vocabularySize - 256 - names.count, minimumCount: 2,
            alphabet: ByteAlphabet.scalars.map { Unicode.Scalar($0)! })
        let vocabulary = (names + trainer.tokens).enumerated().map { (token: $1, id: $0) }
        let model = TokenModel.bytePair(
            try BytePairModel(vocabulary: vocabulary, merges: trainer.merges.map { ($0.left, $0.right) }))
        let added = names.enumerated().map { AddedToken(id: $0, content: $1) }
        try self.init(
            preTokenizer: step, model: model, decoder: .byteLevel, addedTokens: added,
            specialTokens: TokenizerConfig().specialTokens(.init(added: added, table: model.table)))
    }
}
