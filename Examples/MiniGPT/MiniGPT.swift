// Trains a character GPT on text, showing its progress, then writes some text of its own.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct MiniGPT: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "MiniGPT",
        abstract: "Trains a small character-level GPT on a text and lets it write.",
        discussion: "Interrupting (Ctrl-C) saves a checkpoint to --out; --resume continues it bit for bit.")

    @Option(help: "Text file to train on; a tenth of it is held out. Default: eight plays by Shakespeare.")
    var data: String?
    @Option(help: "Width of the model.")
    var width = 128
    @Option(help: "Number of layers.")
    var layers = 4
    @Option(help: "Attention heads; they divide the width.")
    var heads = 4
    @Option(help: "Context, in characters.")
    var context = 64
    @Option(help: "Training steps.")
    var steps = 5000
    @Option(help: "Sequences per step.")
    var batch = 16
    @Option(help: "Highest learning rate.")
    var learningRate = 3e-3
    @Option(help: "Steps of linear warm-up.")
    var warmUp = 100
    @Option(help: "Dropout probability.")
    var dropout = 0.0
    @Option(help: "Weight decay of the matrices.")
    var weightDecay = 0.1
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1337
    @Option(help: "Steps between evaluations.")
    var evaluateEvery = 500
    @Option(help: "Text to continue after training.")
    var prompt = "\n"
    @Option(help: "Sampling temperature; 0 takes the likeliest character.")
    var temperature = 0.8
    @Option(help: "Characters to write after training.")
    var length = 400
    @Option(help: "Where to train: cpu, or cuda:0 and so on.")
    var device = "cpu"
    @Option(help: "Checkpoint to write.")
    var out: String?
    @Option(help: "Checkpoint to continue.")
    var resume: String?

    /// One line and exit code 1 for whatever is wrong, options included.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            if exitCode(for: error).isSuccess || error is ExitCode { exit(withError: error) }
            let text = message(for: error).split(separator: "\n").first.map(String.init) ?? "\(error)"
            FileHandle.standardError.write(Data("MiniGPT: \(text)\n".utf8))
            exit(withError: ExitCode(1))
        }
    }

    func validate() throws {
        for (name, value) in [
            ("--width", width), ("--layers", layers), ("--heads", heads), ("--context", context), ("--batch", batch),
            ("--evaluate-every", evaluateEvery),
        ] where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        for (name, value) in [("--steps", steps), ("--warm-up", warmUp), ("--length", length)] where value < 0 {
            throw ValidationError("\(name) is \(value); it must not be negative")
        }
        if width % heads != 0 { throw ValidationError("--heads \(heads) does not divide --width \(width)") }
        if !(0..<1).contains(dropout) { throw ValidationError("--dropout is \(dropout); it must be in 0 ..< 1") }
        if !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0")
        }
        if !(temperature >= 0 && temperature.isFinite) {
            throw ValidationError("--temperature is \(temperature); it must not be negative")
        }
        if !(weightDecay >= 0 && weightDecay.isFinite) {
            throw ValidationError("--weight-decay is \(weightDecay); it must not be negative")
        }
        if prompt.isEmpty { throw ValidationError("--prompt is empty; give at least one character") }
    }

    func run() throws {
        let text = try readText(data ?? ExampleData.shakespeare)
        let tokenizer = CharacterTokenizer(text)
        let promptTokens = try tokenizer.encode(prompt)
        let tokens = try tokenizer.encode(text)
        let (training, heldOut) = Self.split(tokens)
        var batches = try TokenWindows(training, length: context, batchSize: batch, seed: seed)
        let validation = try TokenWindows(heldOut, length: context, batchSize: batch, seed: seed)
        if let out { try checkWritable(out) }
        let device = try CUDA.device(named: device)

        manualSeed(seed)
        let configuration = GPT.Configuration(
            vocabulary: tokenizer.vocabulary.count, context: context, width: width, layers: layers, heads: heads,
            dropout: dropout)
        let model = GPT(configuration).to(device)
        let optimizer = AdamW(
            ParameterGroup.decayingMatrices(of: model, weightDecay: weightDecay), learningRate: learningRate,
            betas: (0.9, 0.99))
        let scheduler = LearningRateScheduler(
            optimizer, .warmUpCosine(warmUp: min(warmUp, steps), steps: steps, minimum: learningRate / 10))
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys  // the same text in every process
        let facts = [
            "model": String(decoding: try encoder.encode(configuration), as: UTF8.self),
            "vocabulary": tokenizer.vocabularyText,
            "text": "\(tokens.count) characters, \(Self.fingerprint(text))",
            "training options": "\(steps) \(batch) \(learningRate) \(warmUp) \(weightDecay) \(seed)",
        ]
        if let resume {
            let checkpoint = try Checkpoint(resume)
            for (name, value) in facts where checkpoint.facts[name] != value {
                throw CheckpointMismatch(path: resume, fact: name)
            }
            try checkpoint.restore(model: model, optimizer: optimizer, scheduler: scheduler)
            batches.position = checkpoint.dataPosition ?? 0
            print("continuing \(resume) at step \(optimizer.stepCount)")
        }
        func save() throws {
            guard let out else { return }
            try Checkpoint(
                model: model, optimizer: optimizer, scheduler: scheduler, dataPosition: batches.position, facts: facts
            ).write(out)
            print("wrote \(out)")
        }

        print(Configuration.current)
        if device.kind == .cuda { print("\(device): \(CUDA.describe(device))") }
        print("\(model.parameterCount()) parameters, \(tokens.count) characters, \(tokenizer.vocabulary.count) different")
        let evaluation = validation.sequentialBatches().map { (inputs: $0.inputs.to(device), targets: $0.targets.to(device)) }
        let interrupt = InterruptFlag()
        var progress = Progress(steps: steps, start: optimizer.stepCount, tokensPerStep: batch * context)
        while optimizer.stepCount < steps {
            let (inputs, targets) = batches.next()
            let loss = model.loss(inputs.to(device), targets.to(device))
            optimizer.zeroGrad()
            loss.backward()
            clipGradNorm(optimizer.parameters, maxNorm: 1)
            let rate = optimizer.learningRate
            optimizer.step()
            scheduler.advance()
            let step = optimizer.stepCount
            if step % evaluateEvery == 0 || step == steps {
                progress.validation = evaluate(model, evaluation)
                progress.report(step, loss: loss.item(Double.self), rate: rate, isMilestone: true)
            } else if step % 10 == 0 {
                progress.report(step, loss: loss.item(Double.self), rate: rate, isMilestone: false)
            }
            if interrupt.isRaised {
                print("\ninterrupted at step \(step)")
                try save()
                throw ExitCode(130)
            }
        }
        try save()
        print("\n" + prompt, terminator: "")
        model.generate(promptTokens, count: length, temperature: temperature) { token in
            print((try? tokenizer.decode([token])) ?? "", terminator: "")
            fflush(nil)
        }
        print()
    }

    /// A tenth is held out: the last tenth of each twentieth, so that it is taken from all over the text and not from one play.
    private static func split(_ tokens: [Int]) -> (training: [Int], heldOut: [Int]) {
        var training: [Int] = [], heldOut: [Int] = []
        for part in 0..<20 {
            let range = (tokens.count * part / 20)..<(tokens.count * (part + 1) / 20)
            let cut = range.upperBound - range.count / 10
            training += tokens[range.lowerBound..<cut]
            heldOut += tokens[cut..<range.upperBound]
        }
        return (training, heldOut)
    }

    /// FNV-1a of the text.
    private static func fingerprint(_ text: String) -> UInt64 {
        text.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    /// Mean loss per character over the held-out text.
    private func evaluate(_ model: GPT, _ batches: [(inputs: Tensor, targets: Tensor)]) -> Double {
        model.eval()
        defer { model.train() }
        return withoutGrad {
            batches.reduce(0) { $0 + model.loss($1.inputs, $1.targets).item(Double.self) } / Double(batches.count)
        }
    }

    /// Said before training, not after.
    private func checkWritable(_ path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
            throw UnwritableOutput(path: path, reason: "is a folder")
        }
        if !FileManager.default.isWritableFile(atPath: folder) {
            throw UnwritableOutput(path: path, reason: "the folder is missing or cannot be written")
        }
    }
}

struct CheckpointMismatch: Error, CustomStringConvertible {
    let path: String, fact: String
    var description: String { "\(path) does not fit this run (\(fact)); resume with the options and data of the first run" }
}

struct UnwritableOutput: Error, CustomStringConvertible {
    let path: String, reason: String
    var description: String { "--out \(path): \(reason)" }
}
