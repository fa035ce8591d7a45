// Trains a recurrent network on the characters of a text, and lets it write as it learns.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct CharRNN: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "CharRNN",
        abstract: "Trains a character-level LSTM, GRU or plain RNN on a text, and lets it write.",
        discussion: """
            The text is read as many streams side by side; each batch goes on with the state that the one before it left. \
            Interrupting (Ctrl-C) saves a checkpoint to --folder; --resume continues it bit for bit.
            """)

    @Option(help: "lstm, gru or rnn.")
    var cell = Cell.lstm
    @Option(help: "Text file to learn from; its last tenth is held out. Default: eight plays by Shakespeare.")
    var text: String?
    @Option(help: "Training steps.")
    var steps = 1000
    @Option(help: "Streams read side by side.")
    var batch = 16
    @Option(help: "Characters through which gradients flow back.")
    var length = 64
    @Option(help: "Features per character.")
    var width = 64
    @Option(help: "Features of the state.")
    var hidden = 256
    @Option(help: "Layers.")
    var layers = 1
    @Option(help: "Dropout between layers.")
    var dropout = 0.0
    @Option(help: "Highest learning rate.")
    var learningRate = 4e-3
    @Option(help: "Steps between validations, each with a sample.")
    var evaluateEvery = 250
    @Option(help: "Text to continue in the samples.")
    var prompt = "\n"
    @Option(help: "Sampling temperature; 0 takes the likeliest character.")
    var temperature = 0.8
    @Option(help: "Characters per sample.")
    var sampleLength = 200
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Learning curve to write, as SVG.")
    var curve = "char-rnn.svg"
    @Option(help: "Folder for checkpoints.")
    var folder: String?
    @Flag(help: "Continues from the folder's last checkpoint.")
    var resume = false

    func validate() throws {
        for (name, value) in [
            ("--steps", steps), ("--batch", batch), ("--length", length), ("--width", width), ("--hidden", hidden),
            ("--layers", layers), ("--evaluate-every", evaluateEvery),
        ] where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        if sampleLength < 0 { throw ValidationError("--sample-length is \(sampleLength); it must not be negative") }
        if !(0..<1).contains(dropout) { throw ValidationError("--dropout is \(dropout); it must be in 0 ..< 1") }
        if !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0")
        }
        if !(temperature >= 0 && temperature.isFinite) {
            throw ValidationError("--temperature is \(temperature); it must not be negative")
        }
        if prompt.isEmpty { throw ValidationError("--prompt is empty; give at least one character") }
        if resume && folder == nil { throw ValidationError("--resume needs --folder") }
    }

    func run() async throws {
        let (summary, _) = try await trained(loggers: [ConsoleLogger(every: 50, counting: "characters")])
        print(String(format: "%.3f bits per character of held-out text", summary.metrics["bits"] ?? .nan))
        print("the learning curve is in \(curve)")
    }

    /// Trains; the metrics are those of the held-out text: `loss` in nats and `bits` per character.
    func trained(loggers: [any TrainingCallback]) async throws -> (TrainingSummary, CharacterModel) {
        let content = try readText(text ?? ExampleData.shakespeare)
        let tokenizer = CharacterTokenizer(content)
        let beginning = try tokenizer.encode(prompt)
        let tokens = try tokenizer.encode(content), cut = tokens.count * 9 / 10
        let training = try TokenStreams(Array(tokens[..<cut]), length: length, streams: batch)
        let heldOut = try TokenStreams(Array(tokens[cut...]), length: length, streams: batch)

        manualSeed(seed)
        let model = CharacterModel(
            cell, vocabulary: tokenizer.vocabularySize, width: width, hidden: hidden, layers: layers, streams: batch,
            dropout: dropout)
        let optimizer = Adam(model.parameters, learningRate: learningRate)
        var options = TrainingOptions(steps: steps)
        options.maxGradientNorm = 1
        options.validateEvery = evaluateEvery
        options.folder = folder
        options.resumes = resume
        var reading: CharacterState?
        let trainer = Trainer<StreamBatch>(
            model, optimizer,
            scheduler: LearningRateScheduler(
                optimizer, .warmUpCosine(warmUp: min(50, steps), steps: steps, minimum: learningRate / 20)),
            options: options,
            metrics: { batch in
                let (loss, next) = model.loss(batch, from: batch.isFirst ? nil : reading)
                reading = next
                let nats = loss.item(Double.self)
                return (["loss": nats, "bits": nats / log(2)], batch.targets.count)
            },
            loss: { (model.trainingLoss($0), $0.targets.count) })
        let samples = SamplePrinter { step in
            let generator = RandomGenerator(seed: seed).split(UInt64(step))
            let written = model.sample(after: beginning, count: sampleLength, temperature: temperature, generator: generator)
            return (try? tokenizer.decode(beginning + written)) ?? ""
        }
        // With a log, the curve of a run that is resumed begins at its beginning.
        let logFile = folder.map { "\($0)/log.csv" }
        trainer.callbacks = loggers + (logFile.map { [CSVLogger($0)] } ?? [])
        trainer.callbacks.append(LossCurve(curve, continuing: logFile, smoothing: 0.95))
        if sampleLength > 0 { trainer.callbacks.append(samples) }
        print(
            "\(cell.rawValue) with \(model.parameterCount()) parameters, \(tokens.count) characters, \(training.count) batches each time through"
        )
        let summary = try await trainer.fit(training.loader(), validation: heldOut.loader())
        return (summary, model)
    }
}

/// Lets the model write after each validation.
private final class SamplePrinter: TrainingCallback {
    private let sample: (_ step: Int) -> String
    init(_ sample: @escaping (Int) -> String) { self.sample = sample }

    func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        guard case .validation(let step, _, _, _) = event else { return }
        print("  │ " + sample(step).trimmingCharacters(in: .newlines).replacingOccurrences(of: "\n", with: "\n  │ "))
    }
}
