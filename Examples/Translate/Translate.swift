// Teaches an encoder-decoder (T5) to rewrite dates, as people write them, in ISO 8601: a translation whose truth is known.
import ArgumentParser
import Foundation
import Tapestry

@main
struct Translate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Translate",
        abstract: "Trains a small T5 to translate dates as people write them into ISO 8601.",
        discussion:
            "\"Monday, the 3rd of March 1987\" becomes \"1987-03-03\". Accuracy is that of whole dates never seen in training.")

    @Option(help: "Training steps.")
    var steps = 800
    @Option(help: "Dates per step.")
    var batch = 64
    @Option(help: "Features per character.")
    var width = 96
    @Option(help: "Layers of the encoder and of the decoder.")
    var layers = 2
    @Option(help: "Highest learning rate.")
    var learningRate = 3e-3
    @Option(help: "Beams of the search for the answer.")
    var beams = 4
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Folder to save the model to, as Hugging Face's T5.")
    var out: String?
    @Argument(help: "Dates to translate at the end.")
    var dates = ["the 3rd of March 1987", "Dec 31, 1999", "07/04/2021", "Tuesday 19 October 2038"]

    func validate() throws {
        for (name, value) in [
            ("--steps", steps), ("--batch", batch), ("--width", width), ("--layers", layers), ("--beams", beams),
        ]
        where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        if width % 32 != 0 { throw ValidationError("--width \(width); a multiple of 32, the features of a head") }
    }

    func run() throws { _ = try trained() }

    /// The share of held-out dates that come out right, whole, at the end.
    func trained() throws -> Double {
        manualSeed(seed)
        // 0 pads and starts, 1 ends.
        let tokenizer = CharacterTokenizer(WrittenDate.alphabet)
        var sizes = T5Configuration(
            vocabulary: tokenizer.vocabularySize + 2, width: width, encoderLayers: layers, heads: width / 32, headDim: 32,
            hidden: 4 * width)
        sizes.dropout = 0
        // Where a digit stands decides what it means: distances of up to 32 characters are told apart exactly.
        sizes.distanceBuckets = 128
        let model = T5(sizes, weights: .normal(deviation: 0.05))
        func tokens(_ text: String) throws -> [Int] { try tokenizer.encode(text).map { $0 + 2 } }

        let generator = RandomGenerator(seed: seed)
        let heldOut = (0..<200).map { _ in WrittenDate(generator, isHeldOut: true) }
        let optimizer = AdamW(model.parameters, learningRate: learningRate, weightDecay: 0)
        let schedule = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: max(steps / 10, 1), steps: steps))
        print("\(model.parameterCount()) parameters; for example \"\(heldOut[0].text)\" → \(heldOut[0].iso)")

        func answer(_ text: String, beams: Int) throws -> String {
            let source = try tokens(text)
            let decoder = model.decoder(for: Tensor(source, shape: [1, source.count]))
            let options = GenerationOptions.greedy(maximumTokens: 12, stopTokens: [1])
            let found: [Int]
            if beams > 1 {
                found = beamSearch(decoder, prompt: [decoder.startToken], options: options, beams: beams)[0].tokens
            } else {
                var generator = TokenGenerator(decoder, prompt: [decoder.startToken], options: options)
                while generator.next() != nil {}
                found = generator.tokens
            }
            return try tokenizer.decode(found.filter { $0 > 1 }.map { $0 - 2 })
        }

        var accuracy = 0.0
        let began = Date()
        for step in 1...steps {
            let dates = (0..<batch).map { _ in WrittenDate(generator, isHeldOut: false) }
            let sources = try dates.map { try tokens($0.text) }, longest = sources.map(\.count).max()!
            let ids = Tensor(sources.flatMap { $0 + [Int](repeating: 0, count: longest - $0.count) }, shape: [batch, longest])
            let labels = Tensor(try dates.flatMap { try tokens($0.iso) + [1] }, shape: [batch, 11])
            let loss = model.loss(ids, labels: labels, paddingMask: ids .> 0)
            optimizer.zeroGrad()
            loss.backward()
            clipGradNorm(model.parameters, maxNorm: 1)
            optimizer.step()
            schedule.advance()
            if step % max(steps / 8, 1) == 0 || step == steps {
                let asked = step == steps ? heldOut[...] : heldOut.prefix(40)
                model.eval()
                accuracy = Double(try asked.count { try answer($0.text, beams: 1) == $0.iso }) / Double(asked.count)
                model.train()
                print(
                    String(
                        format: "step %d/%d  loss %.4f  whole dates right %.1f %%  %.0f dates/s", step, steps,
                        loss.item(Double.self),
                        100 * accuracy, Double(step * batch) / Date().timeIntervalSince(began)))
            }
        }
        model.eval()
        if let out { try model.save(folder: out) }
        for date in dates {
            if let unknown = date.unicodeScalars.first(where: { !WrittenDate.alphabet.unicodeScalars.contains($0) }) {
                print("\(date): the model never saw \(unknown)")
            } else {
                print("\(date) → \(try answer(date, beams: beams))")
            }
        }
        return accuracy
    }
}

/// A date with one of the ways in which people write it.
struct WrittenDate {
    let text: String
    let iso: String

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
    private static let weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    /// Every character of a written date or its translation.
    static let alphabet = (months + weekdays).joined() + "0123456789 ,./-stndrhofe"

    /// A random date of 1950 ..< 2050. Held-out dates and those of training have no day in common.
    init(_ generator: RandomGenerator, isHeldOut: Bool) {
        while true {
            let r = Tensor(uniform: [6], dtype: .float64, generator: generator).scalars(Double.self)
            func pick(_ index: Int, _ count: Int) -> Int { min(Int(r[index] * Double(count)), count - 1) }
            let year = 1950 + pick(0, 100), month = 1 + pick(1, 12)
            let days = [31, year % 4 == 0 ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1], day = 1 + pick(2, days)
            let isNew = ((year * 13 + month) * 37 + day) % 10 == 0
            if isNew != isHeldOut { continue }
            func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
            let name = Self.months[month - 1], short = name.prefix(3)
            let ending =
                day / 10 == 1
                ? "th" : ["th", "st", "nd", "rd"].indices.contains(day % 10) ? ["th", "st", "nd", "rd"][day % 10] : "th"
            let forms = [
                "\(day) \(name) \(year)", "\(name) \(day), \(year)", "the \(day)\(ending) of \(name) \(year)",
                "\(short) \(day), \(year)",
                "\(day) \(short) \(year)", "\(two(month))/\(two(day))/\(year)", "\(day).\(month).\(year)",
            ]
            let plain = forms[pick(3, forms.count)]
            text = r[4] < 0.2 && !plain.contains("/") && !plain.contains(".") ? "\(Self.weekdays[pick(5, 7)]) \(plain)" : plain
            iso = "\(year)-\(two(month))-\(two(day))"
            return
        }
    }
}
