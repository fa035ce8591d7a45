import CKernels
import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// Quantised linear layers against the definition, by the fast kernels and the plain ones.
@Suite(.serialized) struct QuantizationTests {
    private static let formats: [QuantizationFormat] = [
        .int8Dynamic, .int8, .int4(), .int4(groupSize: 64), .int4(groupSize: 32, hasOffsets: true), .int4(groupSize: 8),
    ]
    private static let sizes = [
        [1, 1, 1], [1, 33, 70], [3, 5, 31], [14, 100, 65], [15, 16, 200], [40, 64, 128], [200, 31, 33], [1, 700, 600],
    ]

    /// Each weight within half a step of its own, where the format's range holds it.
    @Test(arguments: formats) func weights(_ format: QuantizationFormat) {
        let generator = RandomGenerator(seed: 71)
        for (n, k) in [(1, 1), (5, 7), (33, 64), (70, 100)] {
            let w = Tensor(normal: [n, k], generator: generator) + 0.3
            let quantized = QuantizedWeight(w, format)
            let error = abs(quantized.dequantized - w)
            let step: Tensor
            switch format {
            case .int8Dynamic, .int8: step = abs(w).max(1, keepDims: true) / 127
            case .int4(let size, let hasOffsets):
                let groups = (k + size - 1) / size
                let steps = (0..<groups).map { g -> Tensor in
                    let part = w[0..., (g * size)..<Swift.min(k, (g + 1) * size)]
                    // Scales and offsets are rounded to 8 bits, which the ends of the range see.
                    let low = part.min(1, keepDims: true), high = part.max(1, keepDims: true)
                    let reach = maximum(abs(low), abs(high))
                    let step = hasOffsets ? (high - low) / 15 + reach / 100 : reach / 7 * 1.04
                    return step.expanded(to: part.shape)
                }
                step = concatenate(steps, axis: 1)
            }
            #expect((error .<= step * 0.5001 + 1e-6).all().item(Bool.self), "\(format) \(n) x \(k)")
        }
        let zero = QuantizedWeight(Tensor(zeros: [40, 40]), format)
        #expect(abs(zero.dequantized).max().item(Double.self) == 0)
    }

    /// The input as a dynamic layer sees it: by row, round(x / scale) + zero in 0 ... 255.
    private func quantizedRows(_ x: Tensor) -> Tensor {
        let low = minimum(x.min(-1, keepDims: true), 0), high = maximum(x.max(-1, keepDims: true), 0)
        let spread = (high - low) / 255, scale = which(spread .> 0, spread, 1)
        let zero = round(-low / scale)
        let q = (round(x * (Tensor(onesLike: scale) / scale)) + zero).clamped(min: 0, max: 255)
        return (q - zero).to(.float64) * scale.to(.float64)
    }

    private func products(_ format: QuantizationFormat, _ label: String) {
        for size in Self.sizes {
            let (m, n, k) = (size[0], size[1], size[2])
            let generator = RandomGenerator(seed: UInt64(m + n * k))
            let x = Tensor(normal: [m, k], generator: generator), bias = Tensor(normal: [n], generator: generator)
            let quantized = QuantizedWeight(Tensor(normal: [n, k], generator: generator), format)
            let w = quantized.dequantized.to(.float64)
            let seen = format == .int8Dynamic ? quantizedRows(x) : x.to(.float64)
            let exact = matmul(seen, w.T) + bias.to(.float64)
            let reach = matmul(abs(seen), abs(w.T)) + abs(bias.to(.float64))
            // Integer sums are exact; float ones of inputs rounded to bfloat16 are off by 2⁻⁸ of their terms.
            let allowed = reach * (format == .int8Dynamic ? 1e-5 : 1.0 / 128)
            let wrong = (abs(quantized.linear(x, bias: bias).to(.float64) - exact) .> allowed).any().item(Bool.self)
            #expect(!wrong, "\(label) \(format) \(size)")
        }
    }

    @Test(arguments: formats) func againstDefinition(_ format: QuantizationFormat) { products(format, "fast") }

    @Test func withoutInstructions() {
        let best = tk_set_isa_level(99)
        defer { tk_set_isa_level(best) }
        tk_set_isa_level(1)
        for format in Self.formats { products(format, "plain") }
    }

    @Test func shapesAndTypes() {
        let generator = RandomGenerator(seed: 72)
        let quantized = QuantizedWeight(Tensor(normal: [6, 8], generator: generator), .int8Dynamic)
        #expect(quantized.linear(Tensor(normal: [2, 3, 8])).shape == [2, 3, 6])
        #expect(quantized.linear(Tensor(normal: [8])).shape == [6])
        #expect(quantized.linear(Tensor(normal: [0, 8])).shape == [0, 6])
        let x = Tensor(normal: [4, 8], generator: generator).to(.bfloat16)
        #expect(quantized.linear(x).isEqual(to: quantized.linear(x.to(.float32)).to(.bfloat16)))
        let columns = Tensor(normal: [8, 4], generator: generator).T
        #expect(quantized.linear(columns).isEqual(to: quantized.linear(columns.contiguous())))
        // A row of zeros, and one far from 0.
        #expect(quantized.linear(Tensor(zeros: [1, 8])).scalars(Float.self) == [0, 0, 0, 0, 0, 0])
        let far = Tensor(repeating: 5.0, shape: [1, 8])
        let wrong = mismatch(
            quantized.linear(far), matmul(far, quantized.dequantized.T), Tolerance(relative: 1e-4, absolute: 1e-4))
        #expect(wrong == nil, "\(wrong ?? "")")
        #expect(QuantizedWeight(Tensor(normal: [768, 768]), .int4()).byteCount == 768 * 768 * 9 / 16)
    }

    @Test(arguments: formats) func threads(_ format: QuantizationFormat) {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let generator = RandomGenerator(seed: 73)
        let quantized = QuantizedWeight(Tensor(normal: [700, 600], generator: generator), format)
        let x = Tensor(normal: [300, 600], generator: generator)
        func results() -> [Tensor] { [quantized.linear(x), quantized.linear(x[0]), quantized.linear(x[..<5])] }
        Configuration.threadCount = 1
        let one = results()
        for count in [2, 3] {
            Configuration.threadCount = count
            for (a, b) in zip(one, results()) { #expect(a.isEqual(to: b), "\(format) with \(count) threads") }
        }
    }

    /// A model's layers are replaced in place, and its outputs stay near.
    @Test func modules() throws {
        let generator = RandomGenerator(seed: 74)
        let block = TransformerBlock(model: 64, heads: 4, generator: generator)
        let x = Tensor(normal: [2, 9, 64], generator: generator)
        let exact = withoutGrad { block(x) }
        #expect(block.quantize(.int8Dynamic, where: { $0.hasPrefix("feedForward") }) == 2)
        #expect(block.quantize(.int8Dynamic, releasingWeights: true) == 2)
        let near = withoutGrad { block(x) }
        let error = (square(near - exact).mean() / square(exact).mean()).item(Double.self).squareRoot()
        #expect(error > 0 && error < 0.02, "\(error)")
        let state = block.stateDict
        #expect(state["attention.qkv.replacement.panels"]?.dtype == .int8)
        let other = TransformerBlock(model: 64, heads: 4, generator: generator)
        other.quantize(.int8Dynamic)
        try other.loadStateDict(state)
        #expect(withoutGrad { other(x) }.isEqual(to: near))
    }

    /// A GPT with quantised layers and head decodes with a cache as without, and converts to bfloat16 around its scales.
    @Test func decoding() {
        let generator = RandomGenerator(seed: 75)
        let model = GPT(.init(vocabulary: 40, context: 16, width: 32, layers: 2, heads: 2), generator: generator)
        model.eval()
        model.freeze()
        let ids = Tensor(integers: 0..<40, shape: [1, 9], generator: generator)
        let exact = model(ids)
        model.quantize(.int8Dynamic, releasingWeights: true)
        model.outputHead = QuantizedLinear(weight: model.tokenEmbedding.weight.value)
        let whole = model(ids)
        let error = (square(whole - exact).mean() / square(exact).mean()).item(Double.self).squareRoot()
        #expect(error > 0 && error < 0.05, "\(error)")
        var cache = model.makeCache()
        for i in 0..<9 {
            let step = model(ids[0..., i..<(i + 1)], cache: &cache, lastOnly: true)
            let wrong = mismatch(step[0, 0], whole[0, i], Tolerance(relative: 0.02, absolute: 0.02))
            #expect(wrong == nil, "position \(i): \(wrong ?? "")")
        }
        model.convert(to: .bfloat16)
        #expect(model.parameters.allSatisfy { $0.dtype == .bfloat16 })
        let narrow = model(ids)
        #expect(narrow.dtype == .bfloat16)
        let wrong = mismatch(narrow.to(.float32), whole, Tolerance(relative: 0.1, absolute: 0.1))
        #expect(wrong == nil, "\(wrong ?? "")")
    }
}
