import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// The same bits for any number of threads; random numbers also for every instruction set.
@Suite(.serialized) struct DeterminismTests {
    /// A bit of everything, large enough to be split over threads.
    private func everything() -> [Tensor] {
        let generator = RandomGenerator(seed: 21)
        let x = Tensor(normal: [300, 257], generator: generator), w = Tensor(normal: [257, 200], generator: generator)
        let leaf = x.asLeaf()
        let long = Tensor(normal: [1 << 19], generator: generator)
        let y = gelu(layerNorm(leaf, weight: w[0..., 0], bias: w[0..., 1])) • w
        let loss = crossEntropy(y, Tensor(integers: 0..<200, shape: [300], generator: generator))
        loss.backward()
        let q = Tensor(normal: [2, 4, 130, 32], generator: generator).asLeaf()
        let attended = scaledDotProductAttention(q, q, q, causal: true)
        attended.sum().backward()
        return [
            y, loss, leaf.grad!, x.sum(), x.sum(0), x.mean(1), long.sum(), long.variance(), exp(long), softmax(x),
            x.cumsum(axis: 0),
            x.T • x, attended, q.grad!, dropout(x, probability: 0.5, generator: generator), x.max(0), x.to(.bfloat16),
            x.T.contiguous(),
            embedding(Tensor(integers: 0..<300, shape: [1000], generator: generator), x), x.logSumExp(0),
        ]
    }

    private func bits(_ x: Tensor) -> [UInt8] { x.detached().withUnsafeBytes { Array($0) } }

    @Test func threads() {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        Configuration.threadCount = 1
        let one = everything()
        for count in [2, 3, 4] {
            Configuration.threadCount = count
            for (index, (a, b)) in zip(one, everything()).enumerated() {
                #expect(bits(a) == bits(b), "result \(index) differs with \(count) threads")
            }
        }
    }

    @Test func instructionSets() {
        let best = tk_set_isa_level(99)
        defer { tk_set_isa_level(best) }
        func random() -> [Tensor] {
            let generator = RandomGenerator(seed: 22)
            return [
                Tensor(uniform: [10_007], generator: generator), Tensor(normal: [10_007], generator: generator),
                Tensor(uniform: [1001], dtype: .float64, generator: generator),
                Tensor(integers: 0..<1000, shape: [1001], generator: generator),
            ]
        }
        let reference = random()
        let all = everything()
        for level in 0..<best {
            tk_set_isa_level(level)
            for (a, b) in zip(reference, random()) { #expect(bits(a) == bits(b), "random numbers differ at level \(level)") }
            // Arithmetic may be contracted differently, so results agree to rounding.
            for (index, (a, b)) in zip(all, everything()).enumerated() {
                let wrong = mismatch(b, a, Tolerance(relative: 1e-3, absolute: 1e-4))
                #expect(wrong == nil, "result \(index) at level \(level): \(wrong ?? "")")
            }
        }
    }
}
