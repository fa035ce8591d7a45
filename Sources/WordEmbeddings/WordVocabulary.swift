/// The words of some sentences that occur often enough, the most frequent first; words as frequent as each other by their bytes.
public struct WordVocabulary: Sendable, Equatable {
    /// The words by id.
    public let words: [String]
    /// How often each occurs, by id.
    public let counts: [Int]
    private let ids: [String: Int]

    /// Counts the words of the sentences. Throws ``WordVectorError`` if none occurs `minimumCount` times.
    public init(_ sentences: some Sequence<[String]>, minimumCount: Int = 5) throws {
        var found: [String: Int] = [:]
        for sentence in sentences { for word in sentence { found[word, default: 0] += 1 } }
        let kept = found.filter { $0.value >= minimumCount }.sorted {
            $0.value != $1.value ? $0.value > $1.value : $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
        }
        if kept.isEmpty {
            throw WordVectorError(
                "none of \(found.count) different words occurs \(minimumCount) times; there is nothing to learn")
        }
        words = kept.map(\.key)
        counts = kept.map(\.value)
        ids = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1.key, $0) })
    }

    /// The number of words.
    public var count: Int { words.count }
    /// The place of a word in ``words``, nil if it is not there.
    public func id(of word: String) -> Int? { ids[word] }
}
