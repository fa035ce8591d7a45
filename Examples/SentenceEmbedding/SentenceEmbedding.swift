// Searches sentences by meaning: MiniLM makes a vector of each, and the nearest to the question's are shown.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct SentenceEmbedding: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "SentenceEmbedding",
        abstract: "Searches sentences by meaning.",
        discussion: """
            Scripts/fetch-minilm fetches the model (90 MB). Without --text the sentences of eight plays by Shakespeare are searched, which \
            are in the package.
            """)

    @Argument(help: "What to look for; several questions are answered one after the other.")
    var questions: [String]
    @Option(help: "Folder of a sentence-transformers model of the BERT family.")
    var model = "Models/all-MiniLM-L6-v2"
    @Option(help: "Text file whose sentences are searched.")
    var text: String?
    @Option(help: "Sentences to look through, at most, spread evenly over the text.")
    var sentences = 3000
    @Option(help: "Answers per question.")
    var top = 5
    @Option(help: "Sentences per batch.")
    var batch = 32

    func validate() throws {
        for (name, value) in [("--sentences", sentences), ("--top", top), ("--batch", batch)] where value < 1 {
            throw ValidationError("\(name) is \(value); it must be at least 1")
        }
        if questions.isEmpty { throw ValidationError("no question") }
    }

    func run() throws {
        if !FileManager.default.fileExists(atPath: "\(model)/config.json") {
            throw ValidationError("there is no model in \(model); Scripts/fetch-minilm fetches one")
        }
        let began = Date()
        let embedder = try TextEmbedder(folder: model)
        let all = Sentences.split(try readText(text ?? ExampleData.shakespeare))
        if all.isEmpty { throw ValidationError("the text has no sentences") }
        let step = max(Double(all.count) / Double(sentences), 1)
        let found = (0..<min(sentences, all.count)).map { all[Int(Double($0) * step)] }
        print("model loaded in \(seconds(since: began)); reading \(found.count) of \(all.count) sentences")

        let start = Date()
        var parts: [Tensor] = []
        for first in stride(from: 0, to: found.count, by: 512) {
            parts.append(try embedder.embed(Array(found[first..<min(first + 512, found.count)]), batchSize: batch))
            print("  \(min(first + 512, found.count)) sentences, \(seconds(since: start))")
        }
        let library = concatenate(parts, axis: 0)
        let asked = try embedder.embed(questions)
        // Rows have norm 1, so products are cosines.
        let nearest = matmul(asked, library.transposed()).topK(min(top, found.count))
        for (row, question) in questions.enumerated() {
            print("\n\(question)")
            for (score, index) in zip(nearest.values[row].scalars(Double.self), nearest.indices[row].scalars(Int.self)) {
                print(String(format: "  %.3f  ", score) + found[index])
            }
        }
    }

    private func seconds(since date: Date) -> String { String(format: "%.1f s", Date().timeIntervalSince(date)) }
}

/// Sentences of a text.
enum Sentences {
    /// Pieces of at least four words that end in `.`, `!` or `?`; lines are joined, empty ones end a sentence.
    static func split(_ text: String) -> [String] {
        var found: [String] = []
        for paragraph in text.replacingOccurrences(of: "\r\n", with: "\n").components(separatedBy: "\n\n") {
            var sentence = ""
            for word in paragraph.split(whereSeparator: \.isWhitespace) {
                sentence += (sentence.isEmpty ? "" : " ") + word
                if let last = word.last, ".!?".contains(last) {
                    // A name before a speech, as in "HAMLET.", is no sentence.
                    if sentence.split(separator: " ").count >= 4 { found.append(sentence) }
                    sentence = ""
                }
            }
        }
        return found
    }
}
