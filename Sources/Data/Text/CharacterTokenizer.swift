import CoreTensor

/// Why text or tokens could not be converted.
public struct TokenizerError: Error, CustomStringConvertible, Equatable {
    /// What could not be converted, as a sentence.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// One token per Unicode scalar that occurs in a text.
public struct CharacterTokenizer: Tokenizer, Equatable {
    /// The scalars by token: token `i` stands for `vocabulary[i]`.
    public let vocabulary: [Unicode.Scalar]
    private let ids: [Unicode.Scalar: Int]

    /// The scalars of `text`, sorted.
    public init(_ text: String) { self.init(vocabulary: Set(text.unicodeScalars).sorted()) }

    private init(vocabulary: [Unicode.Scalar]) {
        self.vocabulary = vocabulary
        ids = Dictionary(uniqueKeysWithValues: vocabulary.enumerated().map { ($1, $0) })
    }

    /// A saved vocabulary: every scalar once, in order.
    public init(restoring vocabulary: String) throws {
        let scalars = Array(vocabulary.unicodeScalars)
        if Set(scalars).count != scalars.count || scalars.isEmpty {
            throw TokenizerError("the vocabulary is empty or names a character twice")
        }
        self.init(vocabulary: scalars)
    }

    /// The vocabulary as one string, for saving.
    public var vocabularyText: String {
        var text = ""
        text.unicodeScalars.append(contentsOf: vocabulary)
        return text
    }

    /// One more than the largest id.
    public var vocabularySize: Int { vocabulary.count }
    /// None: every token is a character.
    public var specialTokens: SpecialTokens { SpecialTokens() }
    public func token(_ id: Int) -> String? { vocabulary.indices.contains(id) ? String(Character(vocabulary[id])) : nil }
    public func id(of token: String) -> Int? { token.unicodeScalars.count == 1 ? ids[token.unicodeScalars.first!] : nil }
    public func encode(_ text: String, addSpecialTokens: Bool) throws -> [Int] { try encode(text) }
    public func decode(_ tokens: [Int], skipSpecialTokens: Bool) throws -> String { try decode(tokens) }

    /// A token for each Unicode scalar. Throws ``TokenizerError`` on one that is not in the vocabulary.
    public func encode(_ text: String) throws -> [Int] {
        var result: [Int] = []
        result.reserveCapacity(text.utf8.count)
        for (position, scalar) in text.unicodeScalars.enumerated() {
            guard let id = ids[scalar] else {
                throw TokenizerError(
                    "character \(String(reflecting: Character(scalar))) at position \(position) is not in the vocabulary")
            }
            result.append(id)
        }
        return result
    }

    /// The text of the tokens. Throws ``TokenizerError`` on one not in `0 ..< vocabulary.count`.
    public func decode(_ tokens: [Int]) throws -> String {
        var text = ""
        for token in tokens {
            guard vocabulary.indices.contains(token) else {
                throw TokenizerError("token \(token) is out of range 0 ..< \(vocabulary.count)")
            }
            text.unicodeScalars.append(vocabulary[token])
        }
        return text
    }
}

/// The content of a UTF-8 text file.
public func readText(_ path: String) throws -> String {
    let file = try MappedFile(path)
    guard let text = String(validating: file.bytes, as: UTF8.self) else { throw FileError(path, "not UTF-8 text") }
    return text
}
