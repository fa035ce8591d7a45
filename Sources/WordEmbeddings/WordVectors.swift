import CoreTensor

/// Words with a vector each.
public struct WordVectors: Sendable {
    /// A word and the cosine of the angle to what was asked for.
    public struct Neighbor: Sendable, Equatable, CustomStringConvertible {
        /// The word.
        public let word: String
        /// In -1 ... 1.
        public let similarity: Double
        /// "word 0.123".
        public var description: String { "\(word) \((similarity * 1000).rounded() / 1000)" }
    }

    /// The words, in the order of the vectors.
    public let words: [String]
    /// `[words, width]` float32, on the CPU.
    public let vectors: Tensor
    private let ids: [String: Int]
    /// The vectors' lengths, `[words]`.
    private let norms: Tensor

    /// Words with their vectors `[words, width]`, taken as float32. Of a word that is there twice the first is found.
    public init(words: [String], vectors: Tensor) {
        if vectors.rank != 2 || vectors.shape[0] != words.count || words.isEmpty || vectors.shape[1] == 0 {
            fail("WordVectors", "\(words.count) words with vectors \(vectors.shape); needs [words, width], at least one of each")
        }
        self.words = words
        self.vectors = vectors.detached().to(device: .cpu).to(.float32)
        ids = Dictionary(words.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        norms = sqrt(square(self.vectors).sum(1))
    }

    /// The number of words.
    public var count: Int { words.count }
    /// Numbers per vector.
    public var width: Int { vectors.shape[1] }
    /// The place of a word in ``words``, nil if it is not there.
    public func id(of word: String) -> Int? { ids[word] }
    /// The vector of a word, `[width]`, nil if it is not there.
    public subscript(word: String) -> Tensor? { ids[word].map { vectors[$0] } }

    private func known(_ word: String) throws -> Int {
        guard let id = ids[word] else { throw WordVectorError("there is no vector for the word \(word.debugDescription)") }
        return id
    }
    /// The vector of a word at length 1.
    private func direction(_ word: String) throws -> Tensor {
        let id = try known(word)
        return vectors[id] / norms[id].clamped(min: 1e-30)
    }

    /// The cosine of the angle between two words' vectors; 0 where one is 0. Throws ``WordVectorError`` for an unknown word.
    public func similarity(_ first: String, _ second: String) throws -> Double {
        (try direction(first) * direction(second)).sum().item(Double.self)
    }

    /// The words nearest to a word by the cosine, without itself. Throws ``WordVectorError`` for an unknown word.
    public func nearest(to word: String, count: Int = 10) throws -> [Neighbor] {
        nearest(to: try direction(word), count: count, without: [word])
    }

    /// The words nearest to a vector `[width]` by the cosine.
    public func nearest(to vector: Tensor, count: Int = 10, without excluded: [String] = []) -> [Neighbor] {
        if vector.shape != [width] { fail("WordVectors.nearest", "a vector \(vector.shape); needs [\(width)]") }
        if count < 1 { fail("WordVectors.nearest", "count is \(count); it must be at least 1") }
        let query = vector.detached().to(device: .cpu).to(.float32)
        let length = sqrt(square(query).sum()).clamped(min: 1e-30)
        let cosines = matmul(vectors, query / length) / norms.clamped(min: 1e-30)
        let best = cosines.topK(min(count + excluded.count, words.count))
        let left = Set(excluded)
        let found = zip(best.indices.scalars(Int.self), best.values.scalars(Double.self)).map {
            Neighbor(word: words[$0], similarity: $1)
        }
        return Array(found.filter { !left.contains($0.word) }.prefix(count))
    }

    /// What is to `c` as `b` is to `a`: the words nearest to b - a + c of length 1 each (3CosAdd: Mikolov et al., 2013, arXiv:1301.3781), without the
    /// three. Throws ``WordVectorError`` for an unknown word.
    ///
    /// `analogy("man", "king", "woman")` asks for the queen.
    public func analogy(_ a: String, _ b: String, _ c: String, count: Int = 10) throws -> [Neighbor] {
        nearest(to: try direction(b) - direction(a) + direction(c), count: count, without: [a, b, c])
    }
}
