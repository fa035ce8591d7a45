import Foundation
import Tapestry
import Testing

@Suite struct ObjectiveTests {
    /// 15 % are chosen; of those 80 % hidden, 10 % random, 10 % as they were; special tokens never.
    @Test func masking() {
        let masking = MaskedLanguageModeling(vocabulary: 1000, maskToken: 3, specialTokens: [0, 1])
        let generator = RandomGenerator(seed: 6)
        let ids = Tensor(integers: 0..<1000, shape: [100, 500], generator: generator)
        let (inputs, labels) = masking(ids, generator: generator)
        let x = ids.scalars(Int.self), y = inputs.scalars(Int.self), l = labels.scalars(Int.self)
        let chosen = l.indices.filter { l[$0] != MaskedLanguageModeling.ignoredLabel }
        #expect(Swift.abs(Double(chosen.count) / 50_000 - 0.15) < 0.006)
        #expect(chosen.allSatisfy { l[$0] == x[$0] && x[$0] > 1 })
        #expect(x.indices.allSatisfy { l[$0] != MaskedLanguageModeling.ignoredLabel || y[$0] == x[$0] })
        let n = Double(chosen.count)
        let hidden = Double(chosen.count { y[$0] == 3 && x[$0] != 3 }) / n, same = Double(chosen.count { y[$0] == x[$0] }) / n
        #expect(Swift.abs(hidden - 0.8) < 0.02 && Swift.abs(same - 0.1) < 0.015)
        // The same generator, the same choice.
        let again = masking(ids, generator: RandomGenerator(seed: 6)), twin = masking(ids, generator: RandomGenerator(seed: 6))
        #expect(again.inputs.scalars(Int.self) == twin.inputs.scalars(Int.self))
    }

    /// Uniform over V gives V; windows of any stride see every token once, and a table model needs one token of context alone.
    @Test func perplexities() {
        let uniform = TableModel(Tensor(ones: [9, 9], dtype: .float64) / 9)
        let tokens = Tensor(integers: 0..<9, shape: [101], generator: RandomGenerator(seed: 3)).scalars(Int.self)
        for (context, stride) in [(10, 10), (10, 3), (7, 1), (200, 200), (1, 1)] {
            let found = perplexity(uniform, of: tokens, context: context, stride: stride)
            #expect(found.tokens == 100 && Swift.abs(found.value - 9) < 1e-4, "\(context), \(stride)")
        }
        let table = TableModel(vocabulary: 9, seed: 8)
        let rows = table.table.scalars(Double.self)
        let expected = -(1...100).reduce(0.0) { $0 + rows[tokens[$1 - 1] * 9 + tokens[$1]] } / 100
        for (context, stride) in [(10, 10), (10, 4), (3, 2)] {
            #expect(Swift.abs(perplexity(table, of: tokens, context: context, stride: stride).loss - expected) < 1e-5)
        }
        #expect(perplexity(table, of: [4]).tokens == 0)
    }
}
