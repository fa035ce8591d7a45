import Foundation
import Tapestry
import Testing

/// Tokenizer files made by hand: what is wrong is refused with a typed error.
@Suite struct MalformedTokenizerTests {
    private static func bpe(_ vocabulary: String, merges: String = "[]", rest: String = "") -> String {
        "{\"model\":{\"type\":\"BPE\",\"vocab\":\(vocabulary),\"merges\":\(merges)}\(rest)}"
    }

    static let refused: [(name: String, json: String)] = [
        ("empty", ""), ("no JSON", "tokens"), ("no model", "{}"), ("deep nesting", String(repeating: "[", count: 100_000)),
        ("a model of no type", "{\"model\":{}}"), ("an unknown model", "{\"model\":{\"type\":\"Magic\",\"vocab\":{}}}"),
        ("a merge of an absent token", bpe("{\"a\":0,\"b\":1}", merges: "[\"a c\"]")),
        ("a merge into an absent token", bpe("{\"a\":0,\"b\":1}", merges: "[\"a b\"]")),
        ("a merge of three", bpe("{\"a\":0,\"b\":1}", merges: "[\"a b c\"]")), ("id -1", bpe("{\"a\":-1}")),
        ("id 2³¹", bpe("{\"a\":2147483648}")), ("id 10⁸", bpe("{\"a\":100000000}")),
        ("id 2⁶⁴", bpe("{\"a\":18446744073709551616}")),
        ("a fraction", bpe("{\"a\":0.5}")), ("an id twice", bpe("{\"a\":0,\"b\":0}")),
        ("a token twice", bpe("{\"a\":0,\"a\":1}")),
        ("half a surrogate pair", bpe("{\"\\ud800\":0}")),
        ("an empty added token", bpe("{\"a\":0}", rest: ",\"added_tokens\":[{\"id\":1,\"content\":\"\"}]")),
        ("an added token with another's id", bpe("{\"a\":0}", rest: ",\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]")),
        ("an added token of id -1", bpe("{\"a\":0}", rest: ",\"added_tokens\":[{\"id\":-1,\"content\":\"b\"}]")),
        ("an unknown normalizer", bpe("{\"a\":0}", rest: ",\"normalizer\":{\"type\":\"Magic\"}")),
        ("an unknown pre-tokenizer", bpe("{\"a\":0}", rest: ",\"pre_tokenizer\":{\"type\":\"Magic\"}")),
        ("an unknown decoder", bpe("{\"a\":0}", rest: ",\"decoder\":{\"type\":\"Magic\"}")),
        ("an unknown post-processor", bpe("{\"a\":0}", rest: ",\"post_processor\":{\"type\":\"Magic\"}")),
        (
            "a broken pattern",
            bpe(
                "{\"a\":0}",
                rest: ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}")
        ),
        (
            "a broken charsmap",
            bpe("{\"a\":0}", rest: ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////\"}")
        ),
        (
            "an unknown token that is not there",
            "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0},\"unk_token\":\"[UNK]\"}}"
        ),
        ("a score that is no number", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}"),
        ("a score of 1e400", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e400]]}}"),
        ("an unknown id outside", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1.0]],\"unk_id\":7}}"),
    ]

    @Test(arguments: refused.indices) func isRefused(_ index: Int) {
        let (name, json) = Self.refused[index]
        #expect(throws: TokenizerError.self, "\(name)") {
            _ = try Array(json.utf8).withUnsafeBytes { try Tokenizers.load(json: $0) }
        }
    }

    /// Odd but harmless.
    @Test func oddButValid() throws {
        for json in [
            Self.bpe("{}"), Self.bpe("{\"a\":5}"), Self.bpe("{\"a\":0,\"b\":1,\"ab\":2}", merges: "[[\"a\",\"b\"],\"a b\"]"),
            // A merge that makes a token it was made of.
            Self.bpe("{\"a\":0,\"\":1}", merges: "[[\"a\",\"\"]]"),
        ] {
            let tokenizer = try Array(json.utf8).withUnsafeBytes { try Tokenizers.load(json: $0) }
            _ = try tokenizer.encode(String(repeating: "ab", count: 1000))
        }
    }

    /// A pattern that would take for ever throws when it is used.
    @Test func catastrophicPattern() throws {
        let json = Self.bpe(
            "{\"a\":0}",
            rest: ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|a)*b\"},\"behavior\":\"Isolated\"}")
        let tokenizer = try Array(json.utf8).withUnsafeBytes { try Tokenizers.load(json: $0) }
        #expect(throws: TokenizerError.self) { try tokenizer.encode(String(repeating: "a", count: 500)) }
    }

    @Test func filesThatAreNone() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(throws: FileError.self) { try Tokenizers.load(folder.path) }
        #expect(throws: FileError.self) { try Tokenizers.load(folder.path + "/missing.json") }
        for (name, bytes) in [
            ("vocab.txt", [UInt8]("a\nb".utf8)), ("bad.txt", [0xFF]), ("spiece.model", [1, 2, 3]),
            ("other.model", [0x0A, 0xFF, 0xFF, 0x7F]),
            ("x.gguf", Array("GGUF".utf8)),
        ] {
            try Data(bytes).write(to: folder.appendingPathComponent(name))
            #expect(throws: (any Error).self, "\(name)") { try Tokenizers.load("\(folder.path)/\(name)") }
        }
    }
}
