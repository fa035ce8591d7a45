// Continues a text with any published language model: GPT-2, Llama, Mistral, Qwen, T5 …
import ArgumentParser
import Foundation
import Tapestry

@main
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Generate",
        abstract: "Continues a text with a published language model.",
        discussion: """
            The folder has config.json, weights (safetensors, single or in shards; PyTorch's .bin) and the tokenizer's files, as Hugging \
            Face's models come. Text appears as it is written; Ctrl-C ends it.
            """)

    @Argument(help: "What to continue, or for T5 to answer.")
    var prompt = ""
    @Option(help: "Folder of the model.")
    var model: String
    @Option(help: "Type of the weights: float32, bfloat16 or float16. Default: the file's.")
    var dtype: DType?
    @Option(help: "New tokens at most.")
    var length = 200
    @Option(help: "0 always takes the likeliest token.")
    var temperature = 0.8
    @Option(help: "Only the likeliest tokens.")
    var topK: Int?
    @Option(help: "Only the likeliest tokens up to this probability.")
    var topP = 0.95
    @Option(help: "Only tokens of this share of the likeliest one's probability.")
    var minP = 0.0
    @Option(help: "Above 1 makes repetition less likely.")
    var repetitionPenalty = 1.0
    @Option(help: "Text that ends the continuation; may be given several times.")
    var stop: [String] = []
    @Option(help: "Seed of the draws.")
    var seed: UInt64 = 0
    @Option(help: "Beams; above 1 the likeliest whole continuation is searched.")
    var beams = 1
    @Option(help: "Folder of a small model with the same tokens that runs ahead (speculative decoding).")
    var draft: String?
    @Option(help: "Folder of a LoRA adapter.")
    var adapter: String?
    @Option(help: "Text file: in place of writing, says how well the model predicts it.")
    var evaluate: String?

    func run() throws {
        let began = Date()
        let (writer, start, tokenizer) = try load(model)
        var options = GenerationOptions(
            maximumTokens: length, temperature: temperature, topK: topK, topP: topP, minP: minP,
            repetitionPenalty: repetitionPenalty, seed: seed)
        options.stopStrings = stop
        if let end = tokenizer.specialTokens.endOfText { options.stopTokens.insert(end) }
        if let problem = options.problem ?? (evaluate == nil ? writer.problem(withPrompt: start) : nil) {
            throw ValidationError(problem)
        }
        note("loaded in \(format(Date().timeIntervalSince(began))) s")
        if let evaluate {
            let found = perplexity(writer, of: try tokenizer.encode(try readText(evaluate)))
            print("\(found.tokens) tokens: perplexity \(format(found.value)), \(format(found.bitsPerToken)) bits per token")
            return
        }

        if beams > 1 {
            let found = beamSearch(writer, prompt: start, options: options, beams: beams)
            print(try tokenizer.decode(found[0].tokens))
            note("score \(format(found[0].score))")
        } else if let draft {
            let (small, _, _) = try load(draft)
            if small.vocabulary != writer.vocabulary { throw ValidationError("the models have different vocabularies") }
            var tokens = SpeculativeGenerator(target: writer, draft: small, prompt: start, options: options)
            var decoder = StreamingDecoder(tokenizer)
            show(prompt)
            let began = Date()
            while let token = tokens.next() { show(try decoder.append(token.id)) }
            show(try decoder.finish() + "\n")
            let s = tokens.statistics
            note(
                "\(s.generated) tokens, \(format(Double(s.generated) / Date().timeIntervalSince(began))) a second; "
                    + "\(format(100 * s.acceptanceRate)) % of the proposals taken over, \(format(s.tokensPerPass)) tokens a pass")
        } else {
            var text = try TextGenerator(writer, tokenizer, prompt: start, options: options)
            if !(writer is T5Decoder) { show(prompt) }
            let began = Date()
            var first: Double?
            while let piece = try text.next() {
                first = first ?? Date().timeIntervalSince(began)
                show(piece)
            }
            show("\n")
            let count = text.tokens.generated.count, rest = Date().timeIntervalSince(began) - (first ?? 0)
            note(
                "first text after \(format(first ?? 0)) s, then \(format(Double(max(count - 1, 0)) / max(rest, 1e-9))) tokens a second"
            )
        }
    }

    /// What writes, the tokens it goes on from, and its tokenizer.
    private func load(_ folder: String) throws -> (any CausalLanguageModel, [Int], any Tokenizer) {
        let tokenizer = try Tokenizers.load(folder), loaded = try Models.load(folder, dtype: dtype)
        if folder == model, let adapter {
            try loaded.loadLoRA(from: adapter) { layer in
                loaded.huggingFaceName(of: "\(layer).weight").map { String($0.dropLast(".weight".count)) } ?? layer
            }
            loaded.mergeLoRA()
        }
        switch loaded {
        case let t5 as T5:
            let source = try tokenizer.encode(prompt)
            let decoder = t5.decoder(for: Tensor(source, shape: [1, source.count]))
            return (decoder, [decoder.startToken], tokenizer)
        case let causal as any CausalLanguageModel: return (causal, try tokenizer.encode(prompt), tokenizer)
        default: throw ValidationError("\(folder) holds a \(Swift.type(of: loaded)), which writes no text")
        }
    }

    private func show(_ text: String) {
        print(text, terminator: "")
        fflush(nil)
    }
    private func note(_ text: String) { FileHandle.standardError.write(Data("[\(text)]\n".utf8)) }
    private func format(_ x: Double) -> String { String(format: "%.2f", x) }
}

extension DType: ExpressibleByArgument {}
