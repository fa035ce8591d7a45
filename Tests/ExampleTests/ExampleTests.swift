import ExampleData
import Foundation
import Tapestry
import Testing

@testable import AttentionMap
@testable import CharRNN
@testable import Chat
@testable import Generate
@testable import MaskedLM
@testable import SentenceEmbedding
@testable import Serve
@testable import Translate
@testable import VisionTransformer
@testable import Word2Vec

/// Small versions of the examples, by their command lines.
@Suite struct ExampleTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    private func leave() { try? FileManager.default.removeItem(atPath: folder) }

    @Test func translate() throws {
        defer { leave() }
        let small = try Translate.parse([
            "--steps", "150", "--batch", "32", "--width", "64", "--layers", "1", "--out", folder, "the 3rd of March 1987",
        ])
        // Below that of ten digits that are all as likely.
        #expect(try small.trained().loss < 1.9)
        // What was saved is read back by the loader of published models.
        #expect(try Models.load(folder) is T5)
    }

    @Test func maskedLM() throws {
        defer { leave() }
        let small = try MaskedLM.parse([
            "--steps", "60", "--batch", "8", "--context", "48", "--width", "64", "--layers", "1", "--fill", "n_t to be", "--out",
            folder,
        ])
        #expect(try small.trained() > 0.15, "more than always guessing the space")
        #expect(try Models.load(folder) is BERTMaskedLM)
    }

    @Test func word2Vec() throws {
        defer { leave() }
        let text = "\(folder)/text.txt", out = "\(folder)/vectors.bin", curve = "\(folder)/curve.svg"
        let lines = (0..<400).map { ["The King's sword", "the queen's crown; a sword"][$0 % 2] + " is in the castle, \($0).\n" }
        try lines.joined().write(toFile: text, atomically: true, encoding: .utf8)
        #expect(
            Word2Vec.sentences(of: "The king's men' came! To\nus, --no; 'tis\n\nso")
                == [["the", "king's", "men", "came"], ["to", "us", "no"], ["tis"], ["so"]])
        let small = try Word2Vec.parse([
            "--text", text, "--width", "16", "--epochs", "2", "--subsampling", "0", "--word", "sword", "--word", "moon",
            "--analogy",
            "king's:queen's:sword", "--out", out, "--curve", curve,
        ])
        try small.run()
        let vectors = try WordVectors(binary: out)
        #expect(vectors.width == 16 && vectors.words[0] == "the" && vectors.id(of: "king's") != nil)
        #expect(try readText(curve).hasPrefix("<svg"))
        #expect(throws: (any Error).self) { try Word2Vec.parse(["--analogy", "a:b"]) }
    }

    /// A small network learns more than which characters are frequent; a run that is stopped and resumed, state and all, ends as one that is not.
    @Test func charRNN() async throws {
        defer { leave() }
        func arguments(_ name: String, _ more: [String] = []) -> [String] {
            [
                "--steps", "60", "--batch", "8", "--length", "24", "--width", "16", "--hidden", "48", "--evaluate-every", "30",
                "--sample-length", "10", "--learning-rate", "0.01", "--curve", "\(folder)/curve.svg", "--folder",
                "\(folder)/\(name)", "--text",
                "\(folder)/text.txt",
            ] + more
        }
        try String(try readText(ExampleData.shakespeare).prefix(20_000)).write(
            toFile: "\(folder)/text.txt", atomically: true, encoding: .utf8)
        for cell in ["lstm", "gru", "rnn"] {
            let (summary, whole) = try await CharRNN.parse(arguments(cell, ["--cell", cell])).trained(loggers: [])
            // Counts of single characters alone come to 4.7 bits.
            #expect(summary.metrics["bits"]! < 4.4, "\(cell): \(summary.metrics)")
            #expect(square(whole.hidden.value).sum().item(Float.self) > 0)
            let parts = arguments("\(cell)-parts", ["--cell", cell])
            _ = try await CharRNN.parse(parts).trained(loggers: [StopAt(37)])
            let (_, resumed) = try await CharRNN.parse(parts + ["--resume"]).trained(loggers: [])
            for (name, value) in whole.stateDict { #expect(resumed.stateDict[name]!.isEqual(to: value), "\(cell) \(name)") }
        }
        #expect(try readText("\(folder)/curve.svg").hasPrefix("<svg"))
        #expect(throws: (any Error).self) { try CharRNN.parse(["--resume"]) }
    }

    /// The state carried between batches is the state there would be in one long sequence.
    @Test func charRNNCarriesItsState() throws {
        defer { leave() }
        for cell in Cell.allCases {
            let model = CharacterModel(cell, vocabulary: 9, width: 6, hidden: 10, layers: 2, streams: 3, dropout: 0)
            let tokens = (0..<64).map { $0 * $0 % 9 }
            let long = try TokenStreams(tokens, length: 20, streams: 3).sample(at: 0)
            let short = try TokenStreams(tokens, length: 10, streams: 3)
            let losses = (0..<2).map { model.trainingLoss(short.sample(at: $0)).item(Double.self) }
            #expect(abs(losses.reduce(0, +) / 2 - model.loss(long, from: nil).loss.item(Double.self)) < 1e-5)
        }
    }

    @Test func visionTransformer() async throws {
        defer { leave() }
        let curve = "\(folder)/curve.svg"
        let small = try VisionTransformer.parse([
            "--epochs", "2", "--limit", "600", "--width", "32", "--layers", "1", "--patch", "14", "--curve", curve, "--out",
            "\(folder)/model",
        ])
        #expect(try await small.trained() > 0.35)
        #expect(try readText(curve).hasPrefix("<svg") && Models.load("\(folder)/model") is ViT)
        #expect(throws: (any Error).self) { try VisionTransformer.parse(["--width", "33"]) }
    }

    /// A folder with a model of random weights and a WordPiece vocabulary, as published ones come.
    private func makeBERT(in place: String? = nil) throws {
        let folder = place ?? folder
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "king", "is", "dead", "love", "my", "lord"]
        let letters = "abcdefghijklmnopqrstuvwxyz.,!?'".map(String.init), pieces = letters.map { "##" + $0 }
        try (words + letters + pieces).joined(separator: "\n").write(
            toFile: "\(folder)/vocab.txt", atomically: true, encoding: .utf8)
        let sizes = BERTConfiguration(
            vocabulary: words.count + letters.count + pieces.count, context: 64, width: 32, layers: 2, heads: 4)
        try BERT(sizes).save(folder: folder)
    }

    @Test func sentenceEmbedding() throws {
        defer { leave() }
        try makeBERT()
        let text = "\(folder)/text.txt"
        try "ROMEO.\n\nThe king is dead. A love is my lord!\nWhat is\nthe king?  So.\n".write(
            toFile: text, atomically: true, encoding: .utf8)
        #expect(Sentences.split(try readText(text)) == ["The king is dead.", "A love is my lord!", "What is the king?"])
        try SentenceEmbedding.parse(["the king is dead", "--model", folder, "--text", text, "--top", "2"]).run()
        // Batches of mixed lengths give what each text gives alone; a text nearest to itself comes first.
        let embedder = try TextEmbedder(folder: folder)
        let texts = ["the king is dead.", "a", "my lord, the king is dead and love is dead", "love"]
        let together = try embedder.embed(texts, batchSize: 3)
        for (row, text) in texts.enumerated() {
            #expect(together[row].isClose(to: try embedder.embed([text])[0], rtol: 1e-4, atol: 1e-5))
        }
        #expect(matmul(together, together.transposed()).argmax(axis: 1).scalars(Int.self) == [0, 1, 2, 3])
        #expect(throws: (any Error).self) { try SentenceEmbedding.parse(["x", "--model", "\(folder)/none"]).run() }
    }

    @Test func attentionMap() throws {
        defer { leave() }
        try makeBERT()
        try AttentionMap.parse(["the king is dead", "--model", folder, "--out", "\(folder)/map.svg"]).run()
        let svg = try readText("\(folder)/map.svg")
        // Four heads of six tokens.
        #expect(svg.components(separatedBy: "<g ").count == 5 && svg.components(separatedBy: "</title>").count == 4 * 36 + 1)
        #expect(svg.contains("[CLS] → king") && isRefused(["--layer", "2"]) && isRefused(["--head", "4"]))
        func isRefused(_ arguments: [String]) -> Bool {
            (try? AttentionMap.parse(["love", "--model", folder, "--out", "\(folder)/x.svg"] + arguments).run()) == nil
        }
    }

    /// A folder with a model of random weights that reads bytes.
    private func makeGPT(in place: String? = nil, context: Int = 64) throws {
        let folder = place ?? folder
        // A byte-level vocabulary without merges.
        let alphabet = (0..<256).map { byte -> String in
            let isPrintable = (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte)
            let moved = (0..<byte).count { !((33...126).contains($0) || (161...172).contains($0) || (174...255).contains($0)) }
            return String(Character(Unicode.Scalar(UInt32(isPrintable ? byte : 256 + moved))!))
        }
        let vocabulary = Dictionary(uniqueKeysWithValues: alphabet.enumerated().map { ($1, $0) })
        try JSONEncoder().encode(vocabulary).write(to: URL(fileURLWithPath: "\(folder)/vocab.json"))
        try "#version: 0.2\n".write(toFile: "\(folder)/merges.txt", atomically: true, encoding: .utf8)
        try GPT(.init(vocabulary: 256, context: context, width: 16, layers: 1, heads: 2)).save(folder: folder)
    }

    @Test func generate() throws {
        defer { leave() }
        try makeGPT()
        let text = "\(folder)/text.txt"
        try "To be, or not to be.".write(toFile: text, atomically: true, encoding: .utf8)
        for extra in [[], ["--temperature", "0"], ["--beams", "3"], ["--draft", folder], ["--evaluate", text]] {
            try Generate.parse(["Once upon", "--model", folder, "--length", "8"] + extra).run()
        }
        #expect(throws: (any Error).self) { try Generate.parse(["", "--model", folder]).run() }
        #expect(throws: (any Error).self) { try Generate.parse(["a", "--model", folder, "--top-p", "3"]).run() }
    }

    /// A conversation is read once: each turn adds its own tokens, and answers are those of the whole text read afresh.
    @Test func chat() throws {
        defer { leave() }
        try makeGPT(context: 200)
        let template =
            "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
        try JSONEncoder().encode(["chat_template": template]).write(to: URL(fileURLWithPath: "\(folder)/tokenizer_config.json"))
        let model = try GPT.load(folder), tokenizer = try Tokenizers.load(folder)
        var options = GenerationOptions.greedy(maximumTokens: 6)
        // Whole characters, so that the text of an answer has the tokens of the answer.
        let bytes = (0..<256).filter { !(97...122).contains($0) }
        options.processors = [LogitBias(Dictionary(uniqueKeysWithValues: bytes.map { ($0, -Double.infinity) }))]
        var conversation = Conversation(model, tokenizer, system: "s")
        for (turn, text) in ["hello", "again"].enumerated() {
            var shown = ""
            try conversation.answer(text, options: options) { shown += $0 }
            let last = conversation.messages.last!
            #expect(last.role == "assistant" && last.content == shown && shown.count == 6)
            let before = try tokenizer.encode(tokenizer.chatText(conversation.messages.dropLast()), addSpecialTokens: false)
            var fresh = try TextGenerator(model, tokenizer, prompt: before, options: options)
            #expect(try fresh.rest() == shown)
            #expect(turn == 0 ? conversation.reused == 0 : conversation.reused >= 20)
        }
        #expect(throws: GenerationError.self) {
            try conversation.answer(String(repeating: "x", count: 300), options: options) { _ in }
        }
        #expect(conversation.messages.count == 5)
    }

    /// Requests of all kinds at the same time, good and bad: each is answered, and the server goes on.
    @Test func serve() async throws {
        defer { leave() }
        let bert = "\(folder)/bert", gpt = "\(folder)/gpt"
        for name in [bert, gpt] { try FileManager.default.createDirectory(atPath: name, withIntermediateDirectories: true) }
        try makeBERT(in: bert)
        try makeGPT(in: gpt)
        let answers = Answers()
        let server = RequestServer(
            text: TextService(try GPT.load(gpt), try Tokenizers.load(gpt)),
            embeddings: EmbeddingService(try TextEmbedder(folder: bert), batchSize: 8)
        ) { answers.add($0) }
        for id in 0..<20 {
            await server.receive("{\"id\": \(id), \"prompt\": \"abc\", \"tokens\": \(5 + id), \"seed\": \(id)}")
            await server.receive("{\"id\": \(100 + id), \"embed\": \"the king is dead\"}")
        }
        for bad in [
            "no json", "{}", "{\"id\": 200}", "{\"id\": 201, \"prompt\": \"\"}",
            "{\"id\": 202, \"prompt\": \"a\", \"temperature\": -3}",
            "{\"id\": 203, \"prompt\": \"\(String(repeating: "x", count: 500))\"}",
            "{\"id\": 204, \"prompt\": \"a\", \"tokens\": -1}",
            "{\"id\": 205, \"prompt\": \"a\", \"stop\": [\"\"]}", "{\"cancel\": 999}", "{\"cancel\": \"x\"}",
        ] { await server.receive(bad) }
        await server.finish()
        let all = answers.all
        #expect(all.count { $0.done == "end" } == 20 && all.count { $0.error != nil } == 9)
        let vectors = all.compactMap(\.vector)
        #expect(vectors.count == 20 && vectors.allSatisfy { $0.count == 32 })
        for (a, b) in zip(vectors, vectors.dropFirst()) { #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 }) }

        // Cancelled, a request ends early; its id can be used again.
        await server.receive("{\"id\": 1, \"prompt\": \"a\", \"tokens\": 60}")
        await server.receive("{\"cancel\": 1}")
        await server.finish()
        #expect(answers.all.last?.done == "cancelled")
    }
}

/// Stops training after some step.
private final class StopAt: TrainingCallback {
    private let step: Int
    init(_ step: Int) { self.step = step }
    func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        if case .step(let report) = event, report.step == step { control.stop("for the test") }
    }
}

private final class Answers: @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [String] = []
    func add(_ line: String) { lock.withLock { lines.append(line) } }
    var all: [ServedAnswer] {
        lock.withLock { lines }.compactMap { try? JSONDecoder().decode(ServedAnswer.self, from: Data($0.utf8)) }
    }
}
