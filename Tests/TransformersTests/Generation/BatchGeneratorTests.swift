import Tapestry
import Testing

@Suite struct BatchGeneratorTests {
    private static let prompts = [[3, 1, 4, 1, 5, 9, 2, 6], [7], [2, 7, 1, 8, 2], [5, 5, 5, 5, 5, 5, 5, 5]]

    private static func alone(_ model: any CausalLanguageModel, _ options: GenerationOptions) -> [(
        tokens: [Int], end: FinishReason?
    )] {
        prompts.enumerated().map { row, prompt in
            var options = options
            options.seed += UInt64(row)
            var generator = TokenGenerator(model, prompt: prompt, options: options)
            var tokens: [Int] = []
            while let token = generator.next() { tokens.append(token.id) }
            return (tokens, generator.finishReason)
        }
    }

    private static let models = ["gpt2"] + ModelFixtures.decoders.map(\.name)
    private static func model(_ name: String) -> any BatchedLanguageModel {
        name == "gpt2" ? ModelFixtures.gpt() : ModelFixtures.decoder(name)
    }

    /// Every sequence is the one that its prompt gives alone: greedy, drawn, and with penalties and stop tokens, so that sequences end at
    /// different times.
    @Test(arguments: models) func asAlone(_ name: String) {
        let model = Self.model(name)
        var drawn = GenerationOptions(maximumTokens: 12, temperature: 0.9, topK: 9, seed: 4)
        drawn.stopTokens = [0, 1, 2, 3]
        var penalized = GenerationOptions.greedy(maximumTokens: 10)
        (penalized.repetitionPenalty, penalized.presencePenalty, penalized.noRepeatNGramSize) = (1.3, 0.5, 2)
        (penalized.prefillChunk, penalized.minimumTokens, penalized.stopTokens) = (3, 2, [4, 8, 15, 16, 23])
        for options in [.greedy(maximumTokens: 9), drawn, penalized] {
            let alone = Self.alone(model, options)
            var batch = BatchGenerator(model, prompts: Self.prompts, options: options)
            #expect(batch.rest() == alone.map(\.tokens))
            #expect(batch.finishReasons == alone.map(\.end))
        }
    }

    /// Tokens come a step at a time, of the sequences that go on.
    @Test func steps() {
        let model = ModelFixtures.gpt()
        let all = Self.alone(model, .greedy(maximumTokens: 6)).map(\.tokens)
        var batch = BatchGenerator(model, prompts: Self.prompts, options: .greedy(maximumTokens: 6, stopTokens: [all[0][2]]))
        var lengths = [0, 0, 0, 0]
        while let tokens = batch.next() {
            #expect(tokens.map(\.row) == tokens.map(\.row).sorted() && !tokens.isEmpty)
            for output in tokens {
                #expect(output.token.id == all[output.row][lengths[output.row]] && output.token.logProbability <= 0)
                lengths[output.row] += 1
            }
        }
        let ends = all.map { tokens in tokens.firstIndex(of: all[0][2]).map { $0 + 1 } ?? tokens.count }
        #expect(lengths == ends && Set(ends).count > 1 && batch.finishReasons[0] == .stop)
        #expect(
            batch.generated.map(\.count) == lengths && batch.sequences.map { Array($0.prefix(1)) } == Self.prompts.map { [$0[0]] }
        )
        var none = BatchGenerator(model, prompts: [])
        #expect(none.next() == nil)
    }

    /// A short prompt goes on to the end of the context although the padded batch is longer than that.
    @Test func toTheEndOfTheContext() {
        let model = ModelFixtures.gpt { $0.context = 12 }
        let options = GenerationOptions.greedy(maximumTokens: 100), alone = Self.alone(model, options)
        var batch = BatchGenerator(model, prompts: Self.prompts, options: options)
        #expect(batch.rest() == alone.map(\.tokens))
        #expect(batch.sequences.map(\.count) == [13, 13, 13, 13])
    }
}
