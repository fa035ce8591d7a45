// Serves text and embeddings to many callers at once, as a server's handlers would: each request a task of its own, the models in actors.
import ArgumentParser
import Foundation
import Tapestry

@main
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Serve",
        abstract: "Answers requests, one per line of JSON, at the same time.",
        discussion: """
            A request: {"id": 1, "prompt": "Once upon", "tokens": 20, "temperature": 0.7, "stop": ["\\n"]} or {"id": 2, "embed": "A cat."}. \
            Answers come as lines of JSON as soon as there is text, in any order: {"id":1,"text":" a"} … {"done":"end","id":1}, \
            {"id":2,"vector":[…]}, {"id":3,"error":"…"}. {"cancel": 1} ends a request.
            """)

    @Option(help: "Folder of the model that writes.")
    var model: String?
    @Option(help: "Folder of the model that embeds; Scripts/fetch-minilm fetches one.")
    var embedder: String?
    @Option(help: "Requests at a time.")
    var concurrent = 64

    func run() async throws {
        let limits = ServiceLimits(concurrentRequests: concurrent)
        let server = RequestServer(
            text: try model.map { folder in
                guard let loaded = try Models.load(folder) as? any CausalLanguageModel else {
                    throw ValidationError("\(folder) holds no model that writes text")
                }
                return TextService(loaded, try Tokenizers.load(folder), limits: limits)
            },
            embeddings: try embedder.map { EmbeddingService(try TextEmbedder(folder: $0), limits: limits) }
        ) { line in
            print(line)
            fflush(nil)
        }
        // Lines are waited for on a thread of their own, not on one of the tasks'.
        let lines = AsyncStream<String> { continuation in
            Thread.detachNewThread {
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
            }
        }
        for await line in lines { await server.receive(line) }
        await server.finish()
    }
}

/// A request as it comes.
struct ServedRequest: Decodable {
    var id: Int?
    var prompt: String?
    var embed: String?
    var cancel: Int?
    var tokens: Int?
    var temperature: Double?
    var topP: Double?
    var stop: [String]?
    var seed: UInt64?
}

/// A line of an answer.
struct ServedAnswer: Codable {
    var id: Int?
    var text: String?
    var vector: [Float]?
    var done: String?
    var error: String?
}

/// Takes lines, starts a task for each, and writes lines.
actor RequestServer {
    private let text: TextService?
    private let embeddings: EmbeddingService?
    private let write: @Sendable (String) -> Void
    private var tasks: [Int: Task<Void, Never>] = [:]

    init(text: TextService?, embeddings: EmbeddingService?, write: @escaping @Sendable (String) -> Void) {
        (self.text, self.embeddings, self.write) = (text, embeddings, write)
    }

    /// Starts what a line asks for. A line that is no request is answered with an error, as everything that goes wrong.
    func receive(_ line: String) {
        let request: ServedRequest
        do { request = try JSONDecoder().decode(ServedRequest.self, from: Data(line.utf8)) } catch {
            answer(ServedAnswer(error: "no request: \(line.prefix(80))"))
            return
        }
        if let id = request.cancel {
            tasks[id]?.cancel()
            return
        }
        guard let id = request.id else { return answer(ServedAnswer(error: "a request without an id")) }
        if tasks[id] != nil { return answer(ServedAnswer(id: id, error: "the id is in use")) }
        tasks[id] = Task {
            do { try await serve(request, id) } catch is CancellationError {
                answer(ServedAnswer(id: id, done: FinishReason.cancelled.rawValue))
            } catch { answer(ServedAnswer(id: id, error: "\(error)")) }
            tasks[id] = nil
        }
    }

    /// Waits for all requests.
    func finish() async { while let task = tasks.values.first { await task.value } }

    private func serve(_ request: ServedRequest, _ id: Int) async throws {
        if let prompt = request.prompt, let text {
            var options = GenerationOptions(
                maximumTokens: request.tokens ?? 100, temperature: request.temperature ?? 0.8, topP: request.topP ?? 0.95,
                seed: request.seed ?? 0)
            options.stopStrings = request.stop ?? []
            for try await piece in text.generate(prompt, options: options) { answer(ServedAnswer(id: id, text: piece)) }
            answer(ServedAnswer(id: id, done: "end"))
        } else if let sentence = request.embed, let embeddings {
            answer(ServedAnswer(id: id, vector: try await embeddings.embed(sentence)))
        } else {
            answer(ServedAnswer(id: id, error: "nothing here serves this: \"prompt\" needs --model, \"embed\" --embedder"))
        }
    }

    private func answer(_ answer: ServedAnswer) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        if let line = try? encoder.encode(answer) { write(String(decoding: line, as: UTF8.self)) }
    }
}
