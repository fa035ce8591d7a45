// Talks with an instruct model: its own chat template, answers as they are written, the conversation kept in the cache.
import ArgumentParser
import Foundation
import Tapestry

@main
struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Chat",
        abstract: "Talks with an instruct model.",
        discussion: """
            The folder has config.json, weights and the tokenizer's files with a chat template, as Hugging Face's instruct models come. An empty \
            line or end of input ends the conversation; Ctrl-C ends the program.
            """)

    @Option(help: "Folder of the model.")
    var model: String
    @Option(help: "What the model is told about its part.")
    var system: String?
    @Option(help: "Tokens per answer at most.")
    var length = 512
    @Option(help: "0 always takes the likeliest token.")
    var temperature = 0.7
    @Option(help: "Only the likeliest tokens up to this probability.")
    var topP = 0.9
    @Option(help: "Seed of the draws.")
    var seed: UInt64 = 0

    func run() throws {
        let tokenizer = try Tokenizers.load(model)
        guard let writer = try Models.load(model) as? any CausalLanguageModel else {
            throw ValidationError("\(model) holds no model that writes text")
        }
        var options = GenerationOptions(maximumTokens: length, temperature: temperature, topP: topP, seed: seed)
        if let problem = options.problem { throw ValidationError(problem) }
        var conversation = Conversation(writer, tokenizer, system: system)
        let isTerminal = isatty(0) == 1
        while true {
            if isTerminal { show("> ") }
            guard let line = readLine(), !line.isEmpty else { break }
            do {
                try conversation.answer(line, options: options, show: show)
                show("\n")
            } catch let error as GenerationError {
                // The conversation has become too long, for one; the program goes on.
                show("[\(error)]\n")
            }
            options.seed += 1
        }
    }

    private func show(_ text: String) {
        print(text, terminator: "")
        fflush(nil)
    }
}

/// Turns so far, with what the model has read of them.
struct Conversation {
    private let model: any CausalLanguageModel
    private let tokenizer: PretrainedTokenizer
    private(set) var messages: [ChatTemplate.Message] = []
    private var read: [Int] = []
    private var cache: KVCache
    /// Tokens of the last prompt that were in the cache already.
    private(set) var reused = 0

    init(_ model: any CausalLanguageModel, _ tokenizer: PretrainedTokenizer, system: String? = nil) {
        self.model = model
        self.tokenizer = tokenizer
        cache = model.makeCache(capacity: nil)
        if let system { messages = [.init(role: "system", content: system)] }
    }

    /// Adds a turn and the model's answer to it, which is shown as it is written. Nothing is added if it cannot be answered.
    mutating func answer(_ text: String, options: GenerationOptions, show: (String) -> Void) throws {
        let turns = messages + [.init(role: "user", content: text)]
        let prompt = try tokenizer.chatTokens(turns)
        // Only what is new is read: the template gives the earlier turns the same tokens, as a rule.
        let same = min(zip(prompt, read).prefix { $0 == $1 }.count, cache.length, max(prompt.count - 1, 0))
        if cache.canTruncate(to: same) { cache.truncate(to: same) } else { cache = model.makeCache(capacity: nil) }
        reused = cache.length
        var generator = try TextGenerator(model, tokenizer, prompt: prompt, options: options, cache: cache)
        var answer = ""
        while let piece = try generator.next() {
            answer += piece
            show(piece)
        }
        cache = generator.tokens.cache
        read = generator.tokens.tokens
        messages = turns + [.init(role: "assistant", content: answer)]
    }
}
