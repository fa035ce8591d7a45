import ArgumentParser
import Foundation
import Tapestry

/// A published model from its files: what a user waits for and what it takes.
struct MeasureCheckpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Times a model's folder: loading, first token, prefill, decoding; or sentence vectors.",
        discussion: """
            One JSON object on standard output: seconds, and megabytes of 10⁶ bytes. The file cache is warm where the files were read before. \
            checkpoint_peers.py prints the same of PyTorch and transformers.
            """)

    @Argument(help: "Folder of a language model or of a BERT, as Hugging Face's come.")
    var folder: String
    @Flag(help: "First write a GPT-2 of 124 million random weights into the folder.")
    var create = false
    @Option(help: "Type of the weights: float32, bfloat16 or float16. Default: the file's.")
    var dtype: DType?
    @Option(help: "Tokens of the prompt.")
    var prompt = 32
    @Option(help: "Tokens that are generated, greedily.")
    var tokens = 64
    @Option(help: "Samples of the prefill and of sentence vectors.")
    var repeats = 9
    @Option(help: "Threads; by default as the library chooses.")
    var threads: Int?

    /// What is printed. What a model does not do is left out.
    struct Report: Encodable {
        let model: String
        let threads: Int
        let weightMegabytes: Double
        /// Keys and values after the last token.
        var cacheMegabytes: Double?
        let loadSeconds: Double
        /// From after loading to the first token of the prompt's continuation.
        var firstTokenSeconds: Double?
        /// From the start of the process.
        var coldFirstTokenSeconds: Double?
        /// 512 tokens, or the context if that is shorter.
        var prefillSeconds: Double?
        /// Median per token after the first.
        var decodeSeconds: Double?
        /// 32 sentences of 128 tokens: without padding, and half of them shorter.
        var sentencesSeconds, paddedSentencesSeconds: Double?
        /// After generating, or after the sentences; the program and its libraries included.
        var residentMegabytes: Double?
        var residentOverWeights: Double?
    }

    func validate() throws {
        for (name, value) in [("prompt", prompt), ("tokens", tokens), ("repeats", repeats)] where value < 1 {
            throw ValidationError("--\(name) is \(value); it must be at least 1")
        }
    }

    func run() throws {
        if create { return try createAndMeasure() }
        if let threads { Configuration.threadCount = threads }
        let started = Date()
        let model = try Models.load(folder, dtype: dtype)
        let loadSeconds = Date().timeIntervalSince(started)
        let weights = Double(model.parameters.reduce(0) { $0 + $1.value.count * $1.value.dtype.byteCount }) / 1e6
        var report = Report(
            model: "\(Swift.type(of: model))", threads: Configuration.threadCount, weightMegabytes: weights,
            loadSeconds: loadSeconds)
        switch model {
        case let writer as any CausalLanguageModel: try measure(writer, &report)
        case let encoder as BERT: measure(SentenceEmbedder(encoder), &report)
        default: throw ValidationError("\(folder) holds a \(report.model), which is neither a language model nor a BERT")
        }
        try show(report)
    }

    private func measure(_ model: any CausalLanguageModel, _ report: inout Report) throws {
        let start = (0..<prompt).map { ($0 * 7919 + 11) % model.vocabulary }
        let options = GenerationOptions(maximumTokens: tokens, temperature: 0)
        if let problem = options.problem ?? model.problem(withPrompt: start) { throw ValidationError(problem) }
        var generator = TokenGenerator(model, prompt: start, options: options)
        var times: [Double] = []
        var began = Date()
        while generator.next() != nil {
            times.append(Date().timeIntervalSince(began))
            if times.count == 1 { report.coldFirstTokenSeconds = ProcessAge.seconds }
            began = Date()
        }
        report.firstTokenSeconds = times.first
        report.decodeSeconds = times.count > 1 ? middle(Array(times.dropFirst())) : nil
        report.cacheMegabytes = Double(generator.cache.byteCount) / 1e6
        // Before the prefill, whose logits and features are no part of generation.
        note(&report)
        let length = min(512, model.context)
        let ids = Tensor(integers: 0..<model.vocabulary, shape: [1, length])
        var cache = model.makeCache(capacity: length)
        report.prefillSeconds = middle(
            (0..<repeats).map { _ in
                cache.truncate(to: 0)
                return seconds { model.evaluating { Workloads.use(model(ids, cache: &cache, lastOnly: true)) } }
            })
    }

    private func measure(_ model: SentenceEmbedder, _ report: inout Report) {
        let ids = Tensor(integers: 0..<model.encoder.configuration.vocabulary, shape: [32, 128])
        let mask = (0..<32).flatMap { row in (0..<128).map { $0 < (row % 2 == 0 ? 128 : 64) } }
        let padding = Tensor(mask, shape: [32, 128])
        withoutGrad {
            // In turns, so that both see the same machine; the first of each warms up.
            var plain: [Double] = [], padded: [Double] = []
            for _ in 0...repeats {
                plain.append(seconds { Workloads.use(model(ids)) })
                padded.append(seconds { Workloads.use(model(ids, paddingMask: padding)) })
            }
            report.sentencesSeconds = middle(Array(plain.dropFirst()))
            report.paddedSentencesSeconds = middle(Array(padded.dropFirst()))
        }
        note(&report)
    }

    private func note(_ report: inout Report) {
        report.residentMegabytes = ResidentMemory.megabytes
        report.residentOverWeights = report.residentMegabytes.map { $0 / report.weightMegabytes }
    }

    /// Writes a model and measures it in a process that has not had it in memory.
    private func createAndMeasure() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try GPT(.init(vocabulary: 50257, context: 1024, width: 768, layers: 12, heads: 12)).save(folder: folder)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = CommandLine.arguments.dropFirst().filter { $0 != "--create" }
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw ExitCode(process.terminationStatus) }
    }

    private func seconds(_ body: () -> Void) -> Double {
        let began = Date()
        body()
        return Date().timeIntervalSince(began)
    }
}

/// The middle one of `values`, or the mean of the middle two.
func middle(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

/// Prints `report` as JSON.
func show(_ report: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
}

/// How long this process has been running, as Linux counts it, in hundredths of a second.
enum ProcessAge {
    static var seconds: Double? {
        guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let uptime = try? String(contentsOfFile: "/proc/uptime", encoding: .utf8).split(separator: " ").first.flatMap({
                Double($0)
            }), let afterName = stat.lastIndex(of: ")")
        else { return nil }
        // Field 22 of proc(5), the start in ticks since the system's; the name in parentheses is field 2.
        let fields = stat[stat.index(after: afterName)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        return uptime - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}

extension DType: ExpressibleByArgument {}
