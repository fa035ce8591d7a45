// Trains a small BERT to guess hidden characters of Shakespeare, and lets it fill gaps.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct MaskedLM: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "MaskedLM",
        abstract: "Trains a small BERT by the masked-language objective and lets it fill gaps.",
        discussion: "Eight plays by Shakespeare are in the package. A gap is written as _.")

    @Option(help: "Training steps.")
    var steps = 1200
    @Option(help: "Windows per step.")
    var batch = 16
    @Option(help: "Characters per window.")
    var context = 96
    @Option(help: "Features per character.")
    var width = 128
    @Option(help: "Layers.")
    var layers = 3
    @Option(help: "Highest learning rate.")
    var learningRate = 1e-3
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Text to learn from. Default: the plays.")
    var text: String?
    @Option(help: "Text with gaps to fill; may be given several times.")
    var fill = ["To be, or n_t to be, that is the q_estion", "My l_rd, the k_ng is come", "What sa_ you, good s_r?"]
    @Option(help: "Folder to save the model to, as Hugging Face's BERT.")
    var out: String?

    private static let gap: Unicode.Scalar = "_"

    func validate() throws {
        for (name, value) in [
            ("--steps", steps), ("--batch", batch), ("--context", context), ("--width", width), ("--layers", layers),
        ] where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        if width % 32 != 0 { throw ValidationError("--width \(width); a multiple of 32, the features of a head") }
    }

    func run() throws { _ = try trained() }

    /// The share of hidden characters of the held-out text that are guessed, at the end.
    func trained() throws -> Double {
        let content = try readText(text ?? ExampleData.shakespeare)
        let tokenizer = CharacterTokenizer(content + String(Character(Self.gap)))
        let mask = tokenizer.id(of: String(Character(Self.gap)))!
        let tokens = try tokenizer.encode(content), cut = tokens.count * 9 / 10
        var windows = try TokenWindows(Array(tokens[..<cut]), length: context, batchSize: batch, seed: seed)
        let heldOut = try TokenWindows(Array(tokens[cut...]), length: context, batchSize: batch, seed: seed)

        let generator = RandomGenerator(seed: seed)
        manualSeed(seed)
        var sizes = BERTConfiguration(
            vocabulary: tokenizer.vocabularySize, context: context, width: width, layers: layers, heads: width / 32,
            hidden: 4 * width)
        sizes.dropout = 0.05
        sizes.attentionDropout = 0
        let model = BERTMaskedLM(sizes, weights: .normal())
        let objective = MaskedLanguageModeling(vocabulary: sizes.vocabulary, maskToken: mask)
        let optimizer = AdamW(model.parameters, learningRate: learningRate, weightDecay: 0.01)
        let schedule = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: max(steps / 20, 1), steps: steps))
        print(
            "\(model.parameterCount()) parameters, \(tokens.count) characters; chance alone would guess \(percent(1 / Double(sizes.vocabulary)))"
        )

        let began = Date()
        var accuracy = 0.0
        for step in 1...steps {
            let (inputs, labels) = objective(windows.next().inputs, generator: generator)
            let loss = model.loss(inputs, labels: labels)
            optimizer.zeroGrad()
            loss.backward()
            clipGradNorm(model.parameters, maxNorm: 1)
            optimizer.step()
            schedule.advance()
            if step % max(steps / 8, 1) == 0 || step == steps {
                accuracy = guessed(model, heldOut, objective)
                let rate = Double(step * batch * context) / Date().timeIntervalSince(began)
                print(
                    String(
                        format: "step %d/%d  loss %.3f  guessed %.1f %%  %.0f characters/s", step, steps, loss.item(Double.self),
                        100 * accuracy, rate))
            }
        }
        if let out { try model.save(folder: out) }
        for line in fill { print("\(line)\n  → \(try filled(line, model, tokenizer, mask))") }
        return accuracy
    }

    /// The share of hidden characters that are guessed, over some windows of the held-out text.
    private func guessed(_ model: BERTMaskedLM, _ windows: TokenWindows, _ objective: MaskedLanguageModeling) -> Double {
        model.eval()
        defer { model.train() }
        let generator = RandomGenerator(seed: 99)
        var right = 0.0, all = 0.0
        for (inputs, _) in windows.sequentialBatches().prefix(8) {
            let (hidden, labels) = objective(inputs, generator: generator)
            let isAsked = labels .!= Double(MaskedLanguageModeling.ignoredLabel)
            let isRight = (withoutGrad { model(hidden) }.argmax(axis: -1) .== labels) .& isAsked
            right += isRight.to(.float32).sum().item(Double.self)
            all += isAsked.to(.float32).sum().item(Double.self)
        }
        return right / max(all, 1)
    }

    /// Gaps filled one after the other, the surest first.
    private func filled(_ line: String, _ model: BERTMaskedLM, _ tokenizer: CharacterTokenizer, _ mask: Int) throws -> String {
        model.eval()
        defer { model.train() }
        var ids = Array(try tokenizer.encode(line).prefix(context))
        while ids.contains(mask) {
            let probabilities = withoutGrad { softmax(model(Tensor(ids, shape: [1, ids.count]))[0]) }
            let best = probabilities.topK(2), values = best.values.scalars(Double.self), tokens = best.indices.scalars(Int.self)
            let gaps = ids.indices.filter { ids[$0] == mask }
            // The gap itself is no answer.
            func answer(_ i: Int) -> (p: Double, token: Int) {
                tokens[2 * i] == mask ? (values[2 * i + 1], tokens[2 * i + 1]) : (values[2 * i], tokens[2 * i])
            }
            let surest = gaps.max { answer($0).p < answer($1).p }!
            ids[surest] = answer(surest).token
        }
        return try tokenizer.decode(ids)
    }

    private func percent(_ x: Double) -> String { String(format: "%.1f %%", 100 * x) }
}
