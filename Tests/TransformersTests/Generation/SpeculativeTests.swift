import Tapestry
import Testing

@testable import Transformers

@Suite struct SpeculativeTests {
    /// 10⁵ tokens by the rule are distributed as the target's, whatever the draft; some are taken over, some not.
    @Test(arguments: [0.0, 0.5, 3]) func rulePreservesTheDistribution(_ difference: Double) {
        let generator = RandomGenerator(seed: 11), size = 12
        let a = Tensor(normal: [size], dtype: .float64, generator: generator)
        let b = a + Tensor(normal: [size], dtype: .float64, generator: generator) * difference
        let p = softmax(a).scalars(Double.self), q = softmax(b).scalars(Double.self)
        let u = Tensor(uniform: [100_000, 3], dtype: .float64, generator: generator).scalars(Double.self)
        var counts = [Double](repeating: 0, count: size), accepted = 0
        for i in stride(from: 0, to: u.count, by: 3) {
            var token = SpeculativeSampling.draw(q, u: u[i])
            if SpeculativeSampling.accepts(p: p[token], q: q[token], u: u[i + 1]) {
                accepted += 1
            } else {
                token = SpeculativeSampling.draw(SpeculativeSampling.residual(p, q), u: u[i + 2])
            }
            counts[token] += 1
        }
        #expect(chiSquared(counts, p) < 31.3, "beyond the 99.9 % point of eleven degrees of freedom")
        // The rate is 1 - the total variation distance.
        let rate = 1 - zip(p, q).reduce(0) { $0 + Swift.abs($1.0 - $1.1) } / 2
        #expect(Swift.abs(Double(accepted) / 1e5 - rate) < 0.01)
        if difference == 0 { #expect(accepted == 100_000) }
    }

    /// Whole sequences of a target with a different draft: pairs of tokens are distributed as the target's own.
    @Test func sequencesAreTheTargets() {
        let target = TableModel(vocabulary: 4, seed: 1, sharpness: 1), draft = TableModel(vocabulary: 4, seed: 2, sharpness: 1)
        var counts = [Double](repeating: 0, count: 16), accepted = 0
        for seed in 0..<3000 {
            var tokens = SpeculativeGenerator(
                target: target, draft: draft, prompt: [3],
                options: GenerationOptions(maximumTokens: 2, temperature: 1, seed: UInt64(seed)), ahead: 3)
            let ids = tokens.all().map(\.id)
            counts[ids[0] * 4 + ids[1]] += 1
            accepted += tokens.statistics.accepted
        }
        let table = exp(target.table).scalars(Double.self)
        let p = (0..<16).map { table[12 + $0 / 4] * table[$0] }
        #expect(chiSquared(counts, p) < 37.7, "beyond the 99.9 % point of fifteen degrees of freedom")
        #expect(accepted > 300 && accepted < 2900)
    }

    /// Greedy choice: token for token the target's own, for any draft and any number of tokens ahead.
    @Test(arguments: [1, 2, 4, 7]) func greedyIsTheTargets(_ ahead: Int) {
        func model(_ layers: Int, _ seed: UInt64) -> GPT {
            let model = GPT(
                .init(vocabulary: 13, context: 40, width: 16, layers: layers, heads: 2), generator: RandomGenerator(seed: seed))
            for parameter in model.parameters where parameter.shape.count == 2 { parameter.value = parameter.value * 8 }
            return model
        }
        let target = model(3, 1), options = GenerationOptions.greedy(maximumTokens: 50)
        let alone = Array(TokenGenerator(target, prompt: [1, 2, 3], options: options)).map(\.id)
        for draft in [model(1, 2), target] {
            var tokens = SpeculativeGenerator(target: target, draft: draft, prompt: [1, 2, 3], options: options, ahead: ahead)
            #expect(tokens.all().map(\.id) == alone)
            #expect(tokens.finishReason == .length && tokens.statistics.generated == alone.count)
            if draft === target {
                #expect(tokens.statistics.acceptanceRate == 1 && tokens.statistics.tokensPerPass > Double(ahead) * 0.7)
            }
        }
        // A stop token ends it where it ends the target.
        let stopping = GenerationOptions.greedy(maximumTokens: 50, stopTokens: [alone[6]])
        var tokens = SpeculativeGenerator(target: target, draft: model(1, 2), prompt: [1, 2, 3], options: stopping, ahead: ahead)
        #expect(tokens.all().map(\.id) == Array(TokenGenerator(target, prompt: [1, 2, 3], options: stopping)).map(\.id))
        #expect(tokens.finishReason == .stop)
    }
}
