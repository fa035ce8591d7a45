// Learns word vectors from a text and shows what they know.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct Word2Vec: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Word2Vec",
        abstract: "Learns word vectors by skip-gram with negative sampling.",
        discussion: """
            Prints the nearest neighbours of some words, and analogies (a : b :: c : ?). The vectors are written in word2vec's text format. \
            Eight plays are a small text: neighbours are sensible, analogies are luck; for those give --text a text of 10 MB or more.
            """)

    @Option(help: "Text file to learn from. Default: eight plays by Shakespeare.")
    var text: String?
    @Option(help: "Numbers per vector.")
    var width = 100
    @Option(help: "Most words between a word and its context.")
    var window = 5
    @Option(help: "Words of noise per pair.")
    var negatives = 5
    @Option(help: "Words that occur less often are left out.")
    var minimumCount = 5
    @Option(help: "Share of the text above which words are thinned out; 0: none.")
    var subsampling = 1e-3
    @Option(help: "Times through the text.")
    var epochs = 30
    @Option(help: "Learning rate at the beginning.")
    var learningRate = 0.025
    @Option(help: "Parts of the text trained on at the same time; above 1 the result is not reproducible.")
    var workers = 1
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Word whose neighbours to show; may be given several times.")
    var word = ["king", "love", "night", "sword", "mother", "hath"]
    @Option(help: "Analogy as A:B:C, for what is to C as B is to A; may be given several times.")
    var analogy = ["king:queen:father", "thou:art:you", "day:night:sun"]
    @Option(help: "Neighbours to show.")
    var top = 6
    @Option(help: "Where to write the vectors, in word2vec's text format; with .bin at the end in the binary one.")
    var out = "word2vec.txt"
    @Option(help: "Loss curve to write, as SVG.")
    var curve = "word2vec.svg"

    func validate() throws {
        for (name, value) in [
            ("--width", width), ("--window", window), ("--negatives", negatives), ("--minimum-count", minimumCount),
            ("--epochs", epochs), ("--workers", workers), ("--top", top),
        ] where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        if negatives > 63 { throw ValidationError("--negatives is \(negatives); at most 63") }
        if !(subsampling >= 0 && subsampling.isFinite) { throw ValidationError("--subsampling is \(subsampling); not negative") }
        if !(learningRate > 1e-4 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0.0001")
        }
        if let wrong = analogy.first(where: { $0.split(separator: ":").count != 3 }) {
            throw ValidationError("--analogy \(wrong): needs three words, A:B:C")
        }
    }

    func run() throws {
        let vectors = try trained()
        for word in word where isKnown([word], vectors) {
            print("\(word): \(try vectors.nearest(to: word, count: top).map(\.description).joined(separator: ", "))")
        }
        for question in analogy.map({ $0.split(separator: ":").map { $0.lowercased() } }) where isKnown(question, vectors) {
            let found = try vectors.analogy(question[0], question[1], question[2], count: top)
            print("\(question[0]) : \(question[1]) :: \(question[2]) : \(found.map(\.description).joined(separator: ", "))")
        }
    }

    /// Says which words have no vector, if any.
    private func isKnown(_ words: [String], _ vectors: WordVectors) -> Bool {
        let unknown = words.filter { vectors.id(of: $0) == nil }
        if !unknown.isEmpty { print("\(unknown.joined(separator: ", ")): not in the vocabulary") }
        return unknown.isEmpty
    }

    /// Trains, and writes the vectors and the curve.
    func trained() throws -> WordVectors {
        var options = SkipGramOptions()
        (options.width, options.window, options.negatives, options.minimumCount) = (width, window, negatives, minimumCount)
        (options.subsampling, options.epochs, options.learningRate) = (subsampling, epochs, learningRate)
        (options.workers, options.seed) = (workers, seed)
        let model = try SkipGram(Self.sentences(of: try readText(text ?? ExampleData.shakespeare)), options: options)
        print("\(model.wordCount) words in \(model.sentenceCount) sentences, \(model.vocabulary.count) different")
        var losses: [(x: Double, y: Double)] = []
        let began = Date(), isTerminal = isatty(1) == 1
        var shown = 0
        model.train { progress in
            let epoch = Double(progress.words) / Double(model.wordCount)
            losses.append((epoch, progress.loss))
            // On a terminal one line that is rewritten, else a line now and then.
            let tenth = 10 * progress.words / progress.total
            if !isTerminal && tenth == shown { return }
            shown = tenth
            let line = String(
                format: "epoch %.1f/%d  loss %.4f  lr %.4f  %.0f words/s", epoch, epochs, progress.loss, progress.learningRate,
                Double(progress.words) / max(Date().timeIntervalSince(began), 1e-9))
            print(isTerminal ? "\r\u{1B}[K" + line : line, terminator: isTerminal && progress.words < progress.total ? "" : "\n")
            fflush(nil)
        }
        let vectors = model.vectors
        if out.hasSuffix(".bin") { try vectors.saveBinary(out) } else { try vectors.saveText(out) }
        var chart = LineChart(title: "Skip-gram with negative sampling", xLabel: "epoch", yLabel: "loss per pair")
        chart.add("training loss", losses)
        try chart.write(curve)
        print("the vectors are in \(out), the loss curve in \(curve)")
        return vectors
    }

    /// Words in lower case, of letters and apostrophes inside; sentences end at `.`, `!`, `?`, `;`, `:` and empty lines.
    static func sentences(of text: String) -> [[String]] {
        var sentences: [[String]] = [], sentence: [String] = [], word = "", lineEnds = 0
        func endWord() {
            while word.last == "'" { word.removeLast() }
            if !word.isEmpty { sentence.append(word) }
            word = ""
        }
        func endSentence() {
            if !sentence.isEmpty { sentences.append(sentence) }
            sentence = []
        }
        for character in text {
            if character.isLetter || (character == "'" && !word.isEmpty) {
                word += character.lowercased()
            } else {
                endWord()
                if ".!?;:".contains(character) { endSentence() }
            }
            lineEnds = character.isNewline ? lineEnds + 1 : 0
            if lineEnds == 2 { endSentence() }
        }
        endWord()
        endSentence()
        return sentences
    }
}
