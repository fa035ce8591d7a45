import ConformanceSuite
import Tapestry
import Testing

@Suite struct RotaryTests {
    private let generator = RandomGenerator(seed: 71)
    private static let scalings: [RotaryScaling] = [
        .none, .linear(factor: 4), .dynamic(factor: 2, context: 16), .yarn(.init(factor: 4, context: 16)),
        .llama3(factor: 8, lowFrequency: 1, highFrequency: 4, context: 16),
        .longRoPE(short: [1, 1, 1, 1], long: [1, 2, 3, 4], attentionFactor: 1.2, context: 16),
    ]

    @Test func goldens() throws {
        let report = try ConformanceSuite.run(Goldens.manifests("attention"))
        #expect(report.failures.isEmpty, "\(report.failures)")
        #expect(report.passed >= 6)
    }

    /// ⟨R_m q, R_n k⟩ depends on m - n alone, in both layouts and with every scaling.
    @Test(arguments: [RotaryLayout.halfSplit, .interleaved], scalings)
    func scoresDependOnDistance(_ layout: RotaryLayout, _ scaling: RotaryScaling) {
        let rotary = RotaryEmbedding(dim: 8, scaling: scaling, layout: layout)
        let q = Tensor(normal: [1, 1, 1, 8], generator: generator), k = Tensor(normal: [1, 1, 1, 8], generator: generator)
        // The longest position is in every list, so that scalings by length agree.
        func turned(_ x: Tensor, _ position: Int) -> Tensor {
            rotary.rotation(of: [[position, 40]])(concatenate([x, x], axis: 2))[0, 0, 0]
        }
        func score(_ m: Int, _ n: Int) -> Double { (turned(q, m) * turned(k, n)).sum().item(Double.self) }
        #expect(abs(score(3, 1) - score(27, 25)) < 1e-5)
        #expect(abs(score(0, 7) - score(30, 37)) < 1e-5)
        #expect(abs(score(3, 1) - score(3, 2)) > 1e-4)
    }

    /// One layout is the other with the features in another order.
    @Test func layouts() {
        let x = Tensor(normal: [2, 3, 5, 8], generator: generator)
        let half = RotaryEmbedding(dim: 8).rotation(of: 2..<7)
        let inter = RotaryEmbedding(dim: 8, layout: .interleaved).rotation(of: 2..<7)
        // Feature 2 i of one is i of the other, 2 i + 1 is i + 4.
        func split(_ x: Tensor) -> Tensor { x.unflattened(-1, into: [4, 2]).transposed().flattened(from: 3) }
        #expect(split(inter(x)).isClose(to: half(split(x)), rtol: 1e-6, atol: 1e-6))
        #expect(!inter(x).isClose(to: half(x), rtol: 1e-2, atol: 1e-2))
    }

    /// A rotation keeps norms, and its transpose turns back: so do gradients.
    @Test(arguments: [RotaryLayout.halfSplit, .interleaved]) func gradient(_ layout: RotaryLayout) {
        let rotation = RotaryEmbedding(dim: 6, layout: layout).rotation(of: [[0, 5, 9], [2, 2, 31]], dtype: .float64)
        let x = Tensor(normal: [2, 2, 3, 8], dtype: .float64, generator: generator).asLeaf()
        let g = Tensor(normal: [2, 2, 3, 8], dtype: .float64, generator: generator)
        let y = rotation(x)
        #expect((y * y).sum(-1).isClose(to: (x * x).sum(-1), rtol: 1e-6, atol: 1e-6))
        #expect(y[0..., 0..., 0..., 6...].isClose(to: x[0..., 0..., 0..., 6...]))
        y.backward(gradient: g)
        // ⟨R x', g⟩ for another x' is ⟨x', Rᵀ g⟩.
        let other = Tensor(normal: [2, 2, 3, 8], dtype: .float64, generator: generator)
        let a = (rotation(other) * g).sum().item(Double.self), b = (other * x.grad!).sum().item(Double.self)
        #expect(abs(a - b) < 1e-9)
    }

    /// Frequencies up to the trained context are the trained ones; beyond it they are slower.
    @Test func dynamicScaling() {
        let rotary = RotaryEmbedding(dim: 8, scaling: .dynamic(factor: 2, context: 16))
        let plain = RotaryEmbedding(dim: 8).inverseFrequencies()
        #expect(rotary.inverseFrequencies(length: 16) == plain)
        let stretched = rotary.inverseFrequencies(length: 64)
        #expect(stretched[0] == 1 && zip(stretched.dropFirst(), plain.dropFirst()).allSatisfy { $0 < $1 })
    }

    /// YaRN: high frequencies stay, low ones are divided; sines are scaled by 0.1 ln s + 1.
    @Test func yarn() {
        let rotary = RotaryEmbedding(dim: 64, scaling: .yarn(.init(factor: 4, context: 2048)))
        let found = rotary.inverseFrequencies(), plain = RotaryEmbedding(dim: 64).inverseFrequencies()
        #expect(found.first == plain.first && abs(found.last! - plain.last! / 4) < 1e-12)
        #expect(abs(rotary.attentionScaling - 1.1386294361119891) < 1e-12)
    }

    @Test func bfloat16() {
        let x = Tensor(normal: [1, 2, 3, 8], generator: generator).to(.bfloat16)
        let y = RotaryEmbedding(dim: 8).rotation(of: 4..<7, dtype: .bfloat16)(x)
        #expect(y.dtype == .bfloat16)
        #expect(y.to(.float32).isClose(to: RotaryEmbedding(dim: 8).rotation(of: 4..<7)(x.to(.float32)), rtol: 0.02, atol: 0.03))
    }
}
