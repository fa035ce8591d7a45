import ConformanceSuite
import Foundation
import Testing

@testable import Data

/// What tokenizers promise beyond the ids of other systems.
@Suite struct TokenizerTests {
    private static let corpus = String(repeating: "the cat sat on the mat, and the other cat didn't. ", count: 40) + "naïve 日本語 🏳️‍🌈"

    private func trained(_ size: Int = 320) throws -> PretrainedTokenizer {
        try PretrainedTokenizer(trainingOn: [Self.corpus], vocabularySize: size)
    }

    /// The worked example of the source documents, with its tie rule.
    @Test func workedMerges() throws {
        let traces = try Goldens.json("seed_traces.json")
        let list = traces["traces"] as? [[String: Any]] ?? traces.values.compactMap { $0 as? [[String: Any]] }.first ?? []
        let trace = try #require(list.first { $0["id"] as? String == "bpe.merges" })
        let words: [(String, Int)] = [("low", 5), ("lowest", 2), ("newer", 3), ("wider", 2)]
        let trainer = BytePairTrainer(words: words, mergeCount: 10)
        let merged = trainer.merges.map { $0.left + $0.right }
        #expect(Array(merged.prefix(5)) == trace["expected"] as? [String])
        let more = try #require(list.first { $0["id"] as? String == "bpe.more" })
        #expect(merged == more["ten_merges_first_occurrence"] as? [String])
        // The segmentation by the merges that the document assumes.
        let merges = ((more["inputs"] as! [String: Any])["merges"] as! [String]).map { try! TokenizerJSON.merge($0) }
        let characters = Set("lowestnewer".map(String.init)).sorted()
        let tokens = characters + merges.map { $0.0 + $0.1 }
        let model = try BytePairModel(vocabulary: tokens.enumerated().map { ($1, $0) }, merges: merges)
        let tokenizer = try PretrainedTokenizer(model: .bytePair(model))
        #expect(try tokenizer.encode("lowest").map { tokenizer.token($0)! } == more["expected"] as? [String])
    }

    @Test func trainedTokenizersComeBack() throws {
        let tokenizer = try trained()
        #expect(tokenizer.vocabularySize > 270 && tokenizer.vocabularySize <= 320)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try tokenizer.save(path)
        let read = try Tokenizers.load(path)
        for text in [Self.corpus, "", "a<|endoftext|>b", "\u{0}\u{7F}e\u{301}é\u{10FFFF}\r\n  x"] {
            let ids = try tokenizer.encode(text)
            #expect(try read.encode(text) == ids)
            #expect(try read.decode(ids, skipSpecialTokens: false).utf8.elementsEqual(text.utf8))
        }
        #expect(try tokenizer.encode("the").count == 1)
        #expect(read.specialTokens.endOfText == 0)
        #expect(throws: TokenizerError.self) { try PretrainedTokenizer(trainingOn: ["a"], vocabularySize: 256) }
    }

    /// Texts that Unicode calls equivalent are other bytes and other ids.
    @Test func equivalentSpellingsDiffer() throws {
        let json = #"{"model":{"type":"WordLevel","vocab":{"\u00e9":0,"e\u0301":1,"?":2},"unk_token":"?"}}"#
        let tokenizer = try Array(json.utf8).withUnsafeBytes { try Tokenizers.load(json: $0) }
        #expect(try tokenizer.encode("\u{E9}") == [0])
        #expect(try tokenizer.encode("e\u{301}") == [1])
        #expect(tokenizer.id(of: "e\u{301}") == 1 && tokenizer.id(of: "\u{E9}") == 0)
    }

    /// Special tokens that a user writes are text, if the program says so.
    @Test func specialTokensInText() throws {
        var tokenizer = try trained()
        #expect(try tokenizer.encode("hi<|endoftext|>").last == 0)
        tokenizer.readsSpecialTokensAsText = true
        let ids = try tokenizer.encode("hi<|endoftext|>")
        #expect(!ids.contains(0))
        #expect(try tokenizer.decode(ids) == "hi<|endoftext|>")
    }

    @Test func characterArriveWhole() throws {
        let tokenizer = try trained(257)
        let text = "é日🏳️‍🌈\u{FFFD}x"
        let ids = try tokenizer.encode(text)
        #expect(ids.count == text.utf8.count)
        var stream = StreamingDecoder(tokenizer)
        var pieces: [String] = []
        for id in ids { pieces.append(try stream.append(id)) }
        pieces.append(try stream.finish())
        #expect(pieces.joined().utf8.elementsEqual(text.utf8))
        #expect(pieces.filter { !$0.isEmpty }.count >= text.unicodeScalars.count - 1)
        // Bytes that are no text at all.
        var broken = StreamingDecoder(tokenizer)
        let bytes = try tokenizer.encode("日").prefix(2)
        var seen = ""
        for id in bytes { seen += try broken.append(id) }
        seen += try broken.finish()
        #expect(seen == "\u{FFFD}")
        #expect(throws: TokenizerError.self) { try tokenizer.decode([-1]) }
        #expect(try tokenizer.decode([1_000_000]).isEmpty)
    }

    /// A long word costs n log n, not n².
    @Test func longWords() throws {
        let tokenizer = try trained()
        let word = String(repeating: "thecat", count: 100_000)
        let clock = ContinuousClock()
        var text = ""
        let time = try clock.measure { text = try tokenizer.decode(tokenizer.encode(word)) }
        #expect(text == word)
        #expect(time < .seconds(10))
    }

    @Test func pairs() throws {
        let path = Goldens.bundled.appendingPathComponent("tokenizers/bert/vocab.txt").path
        let tokenizer = try Tokenizers.load(path)
        let (ids, types) = try tokenizer.encode("hello", "world")
        #expect(ids == [101, 7592, 102, 2088, 102])
        #expect(types == [0, 0, 0, 1, 1])
        #expect(tokenizer.specialTokens.classification == 101 && tokenizer.specialTokens.mask == 103)
    }

    @Test func patterns() throws {
        func matches(_ pattern: String, _ text: String) throws -> [String] {
            var found: [String] = []
            let bytes = Array(text.utf8)
            try bytes.withUnsafeBytes { raw in
                try Pattern(pattern).forEachMatch(raw) { found.append(String(decoding: raw[$0], as: UTF8.self)) }
            }
            return found
        }
        #expect(try matches(#"(?i:'s|'t)|\p{L}+"#, "it'S o'T") == ["it", "'S", "o", "'T"])
        #expect(try matches(#"\p{N}{1,3}"#, "1234567") == ["123", "456", "7"])
        #expect(try matches(#"\s+(?!\S)|\s+"#, "a   b ") == ["  ", " ", " "])
        #expect(try matches("a+?b|a", "aab") == ["aab"])
        #expect(try matches("a++a|a", "aaa") == ["a", "a", "a"])
        #expect(try matches("(?>a+)b", "aaab") == ["aaab"])
        #expect(try matches("(?<=x)y", "xyy") == ["y"])
        #expect(try matches("[^\\s&&[^a]]+", "ab a") == ["b", " "] || matches("[a-c&&[^b]]", "abc") == ["a", "c"])
        #expect(try matches("(ab|a)(bc)?", "abc") == ["ab"])
        #expect(try matches(#"\bfoo\b"#, "foo food") == ["foo"])
        #expect(try matches("[一-龥]+", "漢字 kana") == ["漢字"])
        for broken in [
            "(", "[a", "a{2000}", "*a", "\\p{Nonsense}", "(?<=a*)b", "a)", String(repeating: "(", count: 10_000), "a++++++++",
        ] {
            #expect(throws: TokenizerError.self, "\(broken.prefix(20))") { try Pattern(broken) }
        }
        // Exponential for a matcher without a bound.
        #expect(throws: TokenizerError.self) { _ = try matches("(a+)+b|(a|a)*c", String(repeating: "a", count: 200)) }
    }
}
