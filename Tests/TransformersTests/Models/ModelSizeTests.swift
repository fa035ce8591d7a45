import Tapestry
import Testing

/// Published numbers of parameters, without memory for them.
@Suite struct ModelSizeTests {
    private func near(_ count: Int, _ published: Double, within share: Double = 0.01) -> Bool {
        abs(Double(count) / published - 1) < share
    }

    @Test func published() {
        let none = WeightInitializer.placeholder()
        func gpt(_ width: Int, _ layers: Int, _ heads: Int, context: Int = 1024) -> Int {
            GPT(.init(vocabulary: 50_257, context: context, width: width, layers: layers, heads: heads), weights: none)
                .parameterCount()
        }
        #expect(gpt(768, 12, 12) == 124_439_808)
        #expect(gpt(1600, 48, 25) == 1_557_611_200)
        #expect(near(gpt(12_288, 96, 96, context: 2048), 175e9))
        #expect(ModelSize.blockParameters(layers: 96, width: 12_288) == 173_946_175_488)
        #expect(DecoderModel(.llama7B, weights: none).parameterCount() == 6_738_415_616)
        #expect(DecoderModel(.llama70B, weights: none).parameterCount() == 68_976_648_192)
        #expect(BERT(.base, weights: none).parameterCount() == 109_482_240)
        #expect(near(ViT(.large, weights: none).parameterCount(), 307e6, within: 0.02))
        #expect(T5(.small, weights: none).parameterCount() == 60_506_624)
    }

    /// Weights of 70 billion parameters: 280 GB in float32, 140 in bfloat16, 35 in four bits.
    @Test func memory() {
        let count = 70_000_000_000
        #expect(
            [32, 16, 8, 4].map { ModelSize.bytes(parameters: count, bits: $0) } == [280e9, 140e9, 70e9, 35e9].map { Int($0) })
        #expect(ModelSize.bytes(parameters: 3, bits: 4) == 2)
        let bert = BERT(.base, weights: .placeholder())
        #expect(
            bert.memorySummary() == "109482240 parameters: float32 437.93 MB, bfloat16 218.96 MB, int8 109.48 MB, int4 54.74 MB")
        #expect(bert.summary().contains("blocks.11.attention.qkv.weight"))
    }

    /// A placeholder takes the memory of one number.
    @Test func placeholders() {
        let model = DecoderModel(.llama7B, weights: .placeholder(dtype: .bfloat16))
        #expect(model.parameters.allSatisfy { $0.value.raw.storage.byteCount <= 64 && $0.dtype == .bfloat16 })
    }
}
