import Foundation
import Tapestry
import Testing

/// Neighbours, analogies and word2vec's files.
@Suite struct WordVectorsTests {
    private let folder: String
    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    private func leave() { try? FileManager.default.removeItem(atPath: folder) }

    private func write(_ bytes: [UInt8]) throws -> String {
        let path = "\(folder)/\(UUID().uuidString)"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func neighboursAndAnalogies() throws {
        defer { leave() }
        let vectors = WordVectors(
            words: ["man", "woman", "king", "queen", "nothing"],
            vectors: Tensor([[1.0, 0, 0.1], [1, 1, 0.1], [2, 0, 4], [2, 2, 3.8], [0, 0, 0]]))
        #expect(abs(try vectors.similarity("man", "woman") - 1.01 / (1.01 * 2.01).squareRoot()) < 1e-6)
        #expect(try vectors.similarity("man", "nothing") == 0)
        #expect(try vectors.analogy("man", "king", "woman", count: 1).map(\.word) == ["queen"])
        let near = try vectors.nearest(to: "king", count: 10)
        #expect(near.map(\.word) == ["queen", "man", "woman", "nothing"] || near.count == 4)
        #expect(near[0].word == "queen" && near.map(\.similarity) == near.map(\.similarity).sorted(by: >))
        #expect(vectors.nearest(to: Tensor([1.0, 0, 0]), count: 1)[0].word == "man")
        #expect(throws: WordVectorError.self) { try vectors.nearest(to: "prince") }
        #expect(throws: WordVectorError.self) { try vectors.analogy("man", "king", "girl") }
        #expect(vectors["queen"]!.scalars(Float.self) == [2, 2, 3.8] && vectors["girl"] == nil)
    }

    @Test func filesAreReadBackAsTheyWere() throws {
        defer { leave() }
        let words = ["the", "naïve", "日本", "a_b", "."] + (0..<500).map { "w\($0)" }
        let vectors = WordVectors(words: words, vectors: Tensor(normal: [words.count, 7], generator: RandomGenerator(seed: 1)))
        try vectors.saveText("\(folder)/v.txt")
        try vectors.saveBinary("\(folder)/v.bin")
        for read in [try WordVectors(text: "\(folder)/v.txt"), try WordVectors(binary: "\(folder)/v.bin")] {
            #expect(read.words == words && read.vectors.isEqual(to: vectors.vectors))
        }
        // Words that the format cannot hold, and a folder that is not there; nothing is left behind.
        let bad = WordVectors(words: ["a b"], vectors: Tensor([[1.0]]))
        #expect(throws: WordVectorError.self) { try bad.saveText("\(folder)/bad.txt") }
        #expect(throws: WordVectorError.self) { try bad.saveBinary("\(folder)/bad.bin") }
        #expect(throws: FileError.self) { try vectors.saveText("\(folder)/none/v.txt") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["v.bin", "v.txt"])
    }

    /// The bytes that gensim 4.4's `save_word2vec_format` and word2vec.c write, which differ in the line end after a binary vector.
    @Test func filesOfOthersAreRead() throws {
        defer { leave() }
        let text = try WordVectors(text: write(Array("2 3\nking 0.5 -1.25 3e-05\nqueen 1 2.0 -0.0\n".utf8)))
        #expect(text.words == ["king", "queen"] && text.vectors.scalars(Float.self) == [0.5, -1.25, 3e-5, 1, 2, -0.0])
        // word2vec.c ends rows of text with a space; the last line end may be missing.
        let spaced = try WordVectors(text: write(Array("2 2 \nking 0.5 1 \nqueen 1 2".utf8)))
        #expect(spaced.vectors.scalars(Float.self) == [0.5, 1, 1, 2])
        func bytes(_ values: [Float]) -> [UInt8] {
            values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        }
        for end in ["", "\n"] {
            var file = Array("2 2\n".utf8)
            for (word, values) in [("king", [Float(0.5), -1]), ("queen", [2, 1e-8])] {
                file += Array("\(word) ".utf8) + bytes(values) + Array(end.utf8)
            }
            let binary = try WordVectors(binary: write(file))
            #expect(binary.words == ["king", "queen"] && binary.vectors.scalars(Float.self) == [0.5, -1, 2, 1e-8])
        }
    }

    @Test func damagedFilesAreRefused() throws {
        defer { leave() }
        for text in [
            "\n", "x", "2 3", "2 3\n", "0 3\n", "2 0\n", "-1 3\na 1 2 3\n", "2 3 4\na 1 2 3\nb 1 2 3\n", "1 3\na 1 2\n",
            "1 3\na 1 2 3 4\n",
            "1 3\na 1 2 x\n", "1 2\na 1 nan\n", "1 2\na 1 inf\n", "2 2\na 1 2\n", "1 2\na 1 2\nb 3 4\n", "1 1\naaaaa\n",
            "9223372036854775807 2\na 1 2\n", "4611686018427387904 4\na 1 2 3 4\n", "1000000000 300\na 1 2\n", "2 2\na 1 2\nb",
        ] {
            let path = try write(Array(text.utf8))
            #expect(throws: WordVectorError.self, "\(text)") { try WordVectors(text: path) }
        }
        #expect(throws: WordVectorError.self) {
            try WordVectors(text: write(Array("1 1\n".utf8) + [0xFF, 0xFE] + Array(" 1\n".utf8)))
        }
        let whole =
            Array("2 2\n".utf8) + Array("a ".utf8) + [0, 0, 0, 0, 0, 0, 128, 63] + Array("b ".utf8) + [0, 0, 0, 0, 0, 0, 0, 0]
        #expect(try WordVectors(binary: write(whole)).words == ["a", "b"])
        for end in 1..<whole.count {
            let path = try write(Array(whole[..<end]))
            #expect(throws: WordVectorError.self, "\(end) bytes") { try WordVectors(binary: path) }
        }
        var infinite = whole
        infinite[12...13] = [128, 127]
        #expect(throws: WordVectorError.self) { try WordVectors(binary: write(infinite)) }
        #expect(throws: WordVectorError.self) { try WordVectors(binary: write(whole + [65])) }
        #expect(throws: FileError.self) { try WordVectors(text: "\(folder)/none") }
    }
}
