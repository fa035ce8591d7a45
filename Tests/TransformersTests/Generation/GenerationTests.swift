import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

@Suite struct GenerationTests {
    private static func gpt(layers: Int = 2, seed: UInt64 = 4) -> GPT {
        let model = GPT(
            .init(vocabulary: 31, context: 24, width: 16, layers: layers, heads: 2), generator: RandomGenerator(seed: seed))
        for parameter in model.parameters where parameter.shape.count == 2 { parameter.value = parameter.value * 6 }
        return model
    }

    /// Hugging Face's processors, one and several.
    @Test func processors() throws {
        let report = try ConformanceSuite.run(Goldens.manifests("sampling"))
        for failure in report.failures { Issue.record("\(failure.name): \(failure.problem)") }
        #expect(report.passed >= 25 && report.unsupported == 0)
    }

    /// Greedy tokens are the argmax of the whole sequence's logits, read in chunks or at once; each costs one position.
    @Test(arguments: [1, 2, 3, 100]) func greedy(chunk: Int) {
        let model = Self.gpt()
        var options = GenerationOptions.greedy(maximumTokens: 9)
        options.prefillChunk = chunk
        var expected = [3, 1, 4, 1, 5]
        model.eval()
        for _ in 0..<9 {
            let logits = withoutGrad { model(Tensor(expected, shape: [1, expected.count])) }
            expected.append(logits[0, expected.count - 1].argmax().item(Int.self))
        }
        model.train()
        var tokens = TokenGenerator(model, prompt: [3, 1, 4, 1, 5], options: options)
        while tokens.next() != nil {}
        #expect(tokens.tokens == expected && tokens.finishReason == .length && tokens.cache.length == 13)
        #expect(model.isTraining)

        let counting = TableModel(vocabulary: 7, seed: 1)
        _ = Array(TokenGenerator(counting, prompt: [1, 2, 3], options: .greedy(maximumTokens: 20)))
        #expect(counting.positions == 3 + 19)
    }

    /// A prompt read once continues from its cache, many times.
    @Test func sharedPrompt() {
        let model = Self.gpt(), prompt = [7, 8, 9, 10, 11]
        var first = TokenGenerator(model, prompt: prompt, options: .greedy(maximumTokens: 1))
        _ = first.next()
        for seed in 0..<3 {
            let options = GenerationOptions(maximumTokens: 6, temperature: 1.2, seed: UInt64(seed))
            var cache = first.cache
            cache.truncate(to: 4)
            let fresh = Array(TokenGenerator(model, prompt: prompt, options: options))
            let shared = Array(TokenGenerator(model, prompt: prompt, options: options, cache: cache))
            #expect(fresh.map(\.id) == shared.map(\.id))
        }
    }

    @Test func ends() async {
        let model = Self.gpt()
        var greedy = TokenGenerator(model, prompt: [1, 2], options: .greedy(maximumTokens: 8))
        let all = Array(IteratorSequence(greedy)).map(\.id)
        _ = greedy.next()
        // A stop token is given, and is the last.
        let stop = all[3], first = all.firstIndex(of: stop)!
        var stopped = TokenGenerator(model, prompt: [1, 2], options: .greedy(maximumTokens: 8, stopTokens: [stop]))
        var given: [Int] = []
        while let token = stopped.next() { given.append(token.id) }
        #expect(given == Array(all[...first]) && stopped.finishReason == .stop && stopped.next() == nil)
        // Not before the minimum.
        var options = GenerationOptions.greedy(maximumTokens: 8, stopTokens: [stop])
        options.minimumTokens = first + 2
        #expect(Array(TokenGenerator(model, prompt: [1, 2], options: options)).count >= first + 2)
        // The context is filled, and one more token comes of its last position.
        var long = TokenGenerator(model, prompt: [1, 2], options: .greedy(maximumTokens: 100))
        while long.next() != nil {}
        #expect(long.tokens.count == 25 && long.finishReason == .length)
        // Asynchronously the same tokens; nothing after cancellation.
        var streamed: [Int] = []
        for await token in generate(model, prompt: [1, 2], options: .greedy(maximumTokens: 8)) { streamed.append(token.id) }
        #expect(streamed == all)
    }

    @Test func cancellation() async {
        let task = Task {
            let model = TableModel(vocabulary: 5, seed: 2)
            var count = 0
            for await _ in generate(model, prompt: [1], options: GenerationOptions(maximumTokens: .max)) { count += 1 }
            return count
        }
        try? await Task.sleep(for: .milliseconds(30))
        task.cancel()
        #expect(await task.value < Int.max)
    }

    /// Draws follow the filtered distribution: χ² of 6,000 tokens against the table's row.
    @Test func draws() {
        let model = TableModel(vocabulary: 6, seed: 3, sharpness: 1)
        let options = GenerationOptions(maximumTokens: 1, temperature: 0.7, topK: 4, topP: 0.95)
        let generator = RandomGenerator(seed: 5)
        var counts = [Double](repeating: 0, count: 6)
        for _ in 0..<6000 {
            var tokens = TokenGenerator(model, prompt: [2], options: options, generator: generator)
            counts[tokens.next()!.id] += 1
        }
        let filters: [any LogitsProcessor] = [Temperature(0.7), TopK(4), TopP(0.95)]
        let p = softmax(filters(model.table[2].reshaped([1, 6]), after: [[2]])).scalars(Double.self)
        #expect(chiSquared(counts, p) < 16.3, "beyond the 99.9 % point of three degrees of freedom")
        #expect(zip(counts, p).allSatisfy { $1 > 0 || $0 == 0 })
    }

    /// Worked numbers: temperature on the logits (2, 1, 0.5), top-p as the smallest set, min-p, penalties.
    @Test func workedNumbers() {
        let logits = Tensor([2.0, 1, 0.5], shape: [1, 3], dtype: .float64)
        func p(_ all: [any LogitsProcessor], _ tokens: [[Int]] = [[0]]) -> [Double] {
            softmax(all(logits, after: tokens)).scalars(Double.self).map { ($0 * 1000).rounded() / 1000 }
        }
        #expect(p([]) == [0.629, 0.231, 0.14] || p([]) == [0.628, 0.231, 0.14])
        #expect(p([Temperature(0.5)]) == [0.844, 0.114, 0.042])
        #expect(p([Temperature(2)]) == [0.481, 0.292, 0.227])
        #expect(p([TopP(0.5)]) == [1, 0, 0] && p([TopP(0.63)])[2] == 0 && p([TopP(0.63)])[1] > 0)
        #expect(p([TopK(2)])[2] == 0 && p([MinP(0.3)])[2] == 0 && p([MinP(0.3)])[1] > 0)
        let penalized = [OccurrencePenalty(frequency: 0.5, presence: 1) as any LogitsProcessor](
            logits, after: [[9, 0, 0, 1].map { $0 % 3 }])
        #expect(penalized.scalars(Double.self) == [2 - 2.5, 1 - 1.5, 0.5])
        let biased = [LogitBias([2: 1, 0: -.infinity]) as any LogitsProcessor](logits, after: [[]])
        #expect(biased.scalars(Double.self) == [-.infinity, 1, 1.5])
        let banned = [BannedSequences([[1, 2], [0]]) as any LogitsProcessor]
        #expect(banned(logits, after: [[1]]).scalars(Double.self) == [-.infinity, 1, -.infinity])
        #expect(banned(logits, after: [[2]]).scalars(Double.self) == [-.infinity, 1, 0.5])
    }

    /// With as many beams as sequences, beam search finds the best of all of them.
    @Test(arguments: [0.0, 1, 2.5]) func beamsFindTheBest(_ lengthPenalty: Double) {
        let model = TableModel(vocabulary: 5, seed: 9), stop = 4, length = 4
        var best: [(tokens: [Int], score: Double)] = []
        func walk(_ tokens: [Int], _ sum: Double) {
            let made = tokens.count - 1
            if made > 0, tokens.last == stop || made == length {
                best.append((tokens, sum / pow(Double(made), lengthPenalty)))
                return
            }
            let row = model.table[tokens.last!].scalars(Double.self)
            for token in 0..<5 { walk(tokens + [token], sum + row[token]) }
        }
        walk([0], 0)
        best.sort { $0.score > $1.score }
        let found = beamSearch(
            model, prompt: [0], options: .greedy(maximumTokens: length, stopTokens: [stop]), beams: 400, returning: 3,
            lengthPenalty: lengthPenalty, stopping: .never)
        for (a, b) in zip(found, best) {
            #expect(a.tokens == b.tokens && Swift.abs(a.score - b.score) < 1e-9)
        }
        #expect(found.count == 3)
    }

    /// Beams over a model with a cache: scores are those of the sequences read from the beginning.
    @Test func beamScores() {
        let model = Self.gpt()
        let found = beamSearch(model, prompt: [5, 6, 7], options: .greedy(maximumTokens: 6), beams: 4, returning: 4)
        #expect(Set(found.map(\.tokens)).count == 4 && found.map(\.score) == found.map(\.score).sorted(by: >))
        model.eval()
        for beam in found {
            let logP = withoutGrad { logSoftmax(model(Tensor(beam.tokens, shape: [1, beam.tokens.count]))) }
            let sum = (3..<beam.tokens.count).reduce(0.0) { $0 + logP[0, $1 - 1, beam.tokens[$1]].item(Double.self) }
            #expect(Swift.abs(sum / 6 - beam.score) < 1e-4)
        }
        // A single beam is greedy choice.
        let one = beamSearch(model, prompt: [5, 6, 7], options: .greedy(maximumTokens: 6), beams: 1)
        #expect(
            one[0].tokens == [5, 6, 7]
                + Array(TokenGenerator(model, prompt: [5, 6, 7], options: .greedy(maximumTokens: 6))).map(\.id))
    }
}

/// Σ (observed - expected)² / expected over the outcomes that can occur.
func chiSquared(_ counts: [Double], _ p: [Double]) -> Double {
    let n = counts.reduce(0, +)
    return zip(counts, p).reduce(0) { $1.1 > 0 ? $0 + ($1.0 - n * $1.1) * ($1.0 - n * $1.1) / (n * $1.1) : $0 }
}
