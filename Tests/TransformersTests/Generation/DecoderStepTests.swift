import ConformanceSuite
import Tapestry
import TestSupport
import Testing

/// A position through a block as one call of the backend, against the operations one by one.
@Suite struct DecoderStepTests {
    private static let formats: [QuantizationFormat?] = [
        nil, .int8Dynamic, .int8, .int4(), .int4(groupSize: 8, hasOffsets: true),
    ]

    private func block(
        _ width: Int, heads: Int, bias: Bool = true, norm: NormPosition = .pre, approximation: GELUApproximation = .tanh,
        dtype: DType = .float32, format: QuantizationFormat? = nil
    ) -> TransformerBlock {
        let generator = RandomGenerator(seed: UInt64(width))
        let block = TransformerBlock(
            model: width, heads: heads, hidden: 3 * width + 1, norm: norm, bias: bias, approximation: approximation, dtype: dtype,
            generator: generator)
        block.eval()
        block.freeze()
        if let format { block.quantize(format) }
        return block
    }

    /// A prompt, then positions one at a time: with gradients enabled, which the backend's step does not know, and without.
    private func compare(_ block: TransformerBlock, width: Int, batch: Int, prompt: Int, dtype: DType = .float32, _ label: String)
    {
        let generator = RandomGenerator(seed: 5)
        func input(_ length: Int) -> Tensor { Tensor(normal: [batch, length, width], generator: generator).to(dtype) }
        var plain = KVCache(layers: 1), fast = plain
        if prompt > 0 {
            let x = input(prompt)
            _ = block(x, cache: &plain.layers[0])
            fast = plain
        }
        for position in 0..<20 {
            let x = input(1)
            let expected = block(x, cache: &plain.layers[0]), y = withoutGrad { block(x, cache: &fast.layers[0]) }
            #expect(y.isEqual(to: expected), "\(label), position \(prompt + position)")
        }
        #expect(fast.length == prompt + 20)
        #expect(
            fast.layers[0].keys!.isEqual(to: plain.layers[0].keys!) && fast.layers[0].values!.isEqual(to: plain.layers[0].values!)
        )
    }

    @Test(arguments: [(30, 5, 1, 0), (64, 2, 3, 7), (768, 12, 1, 30), (8, 1, 2, 1), (48, 3, 5, 2), (40, 2, 17, 0)])
    func sizes(_ size: (Int, Int, Int, Int)) {
        let (width, heads, batch, prompt) = size
        for dtype in [DType.float32, .bfloat16, .float64, .float16] {
            let block = block(width, heads: heads, bias: width != 64, approximation: width == 8 ? .none : .tanh, dtype: dtype)
            compare(block, width: width, batch: batch, prompt: prompt, dtype: dtype, "\(size) \(dtype)")
        }
    }

    @Test(arguments: formats) func quantized(_ format: QuantizationFormat?) {
        for dtype in [DType.float32, .bfloat16] {
            let block = block(96, heads: 3, dtype: dtype, format: format)
            compare(block, width: 96, batch: 2, prompt: 4, dtype: dtype, "\(String(describing: format)) \(dtype)")
        }
    }

    @Test func postNorm() { compare(block(32, heads: 4, norm: .post), width: 32, batch: 1, prompt: 2, "post") }

    /// Part of the layers in few bits; a full cache traps elsewhere, a shared one is copied.
    @Test func mixedLayersAndSharedCaches() {
        let block = block(64, heads: 4)
        block.quantize(.int8) { $0.hasSuffix("project") }
        compare(block, width: 64, batch: 1, prompt: 3, "mixed")
        let x = Tensor(normal: [1, 1, 64], generator: RandomGenerator(seed: 3))
        withoutGrad {
            var cache = KVCache(layers: 1)
            _ = block(x, cache: &cache.layers[0])
            let kept = cache, before = kept.layers[0].keys!.contiguous()
            _ = block(-x, cache: &cache.layers[0])
            #expect(kept.length == 1 && cache.length == 2)
            cache.truncate(to: 0)
            _ = block(-x, cache: &cache.layers[0])
            #expect(kept.layers[0].keys!.isEqual(to: before))
        }
    }

    /// Dropout is drawn as ever while the block trains.
    @Test func training() {
        let block = TransformerBlock(model: 16, heads: 2, dropout: 0.5, generator: RandomGenerator(seed: 2))
        let x = Tensor(ones: [1, 1, 16])
        var results: [Tensor] = []
        for _ in 0..<2 {
            var cache = KVCache(layers: 1)
            results.append(withoutGrad { block(x, cache: &cache.layers[0]) })
        }
        #expect(!results[0].isEqual(to: results[1]))
    }
}
