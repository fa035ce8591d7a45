import Foundation
import Tapestry
import Testing

@Suite struct LoRATests {
    private let generator = RandomGenerator(seed: 21)
    private func model() -> GPT {
        let model = GPT(.init(vocabulary: 11, context: 8, width: 16, layers: 2, heads: 2), generator: RandomGenerator(seed: 5))
        // Frozen small embeddings would leave all logits near 0, whatever the adapters do.
        model.tokenEmbedding.weight.value = model.tokenEmbedding.weight.value * 15
        return model
    }
    private let ids = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])

    /// Attached, the output is the old one; only the factors learn, r · (in + out) of them; merged, the output is the trained one.
    @Test(arguments: [LoRAInitialization.zero, .principal]) func attachTrainMerge(_ initialization: LoRAInitialization) {
        let model = model(), before = withoutGrad { model(ids) }, weight = model.blocks[0].feedForward.expand.weight.value
        let count = model.attachLoRA(rank: 4, initialization: initialization, generator: generator) {
            $0.hasSuffix("qkv") || $0.hasSuffix("expand")
        }
        #expect(count == 4 && model.adapters.count == 4)
        #expect(withoutGrad { model(ids) }.isClose(to: before, rtol: 1e-5, atol: 1e-5))
        #expect(model.parameterCount(trainableOnly: true) == 2 * 4 * ((16 + 48) + (16 + 64)))

        let trained = model.parameters.filter(\.requiresGrad), frozen = model.parameters.filter { !$0.requiresGrad }
        let kept = frozen.map(\.value), optimizer = AdamW(trained, learningRate: 3e-2)
        var losses: [Double] = []
        for _ in 0..<80 {
            let loss = model.loss(ids, ids)
            losses.append(loss.item(Double.self))
            optimizer.zeroGrad()
            loss.backward()
            optimizer.step()
        }
        #expect(losses.last! < losses.first! * 0.9)
        #expect(zip(frozen, kept).allSatisfy { $0.value.isClose(to: $1, rtol: 0, atol: 0) && $0.grad == nil })

        let after = withoutGrad { model(ids) }
        model.mergeLoRA()
        #expect(model.adapters.isEmpty && withoutGrad { model(ids) }.isClose(to: after, rtol: 1e-5, atol: 1e-5))
        if initialization == .zero { #expect(!model.blocks[0].feedForward.expand.weight.value.isClose(to: weight)) }
    }

    /// The principal factors are the best approximation of the weight: what stays is the sum of the other singular values' squares.
    @Test func principalFactors() throws {
        let layer = Linear(10, 7, generator: generator), weight = layer.weight.value.detached()
        let holder = Sequential(layer)
        holder.attachLoRA(rank: 3, alpha: 12, initialization: .principal)
        let s = try LinearAlgebra.svdvals(weight).scalars(Double.self)
        let rest = (layer.weight.value * layer.weight.value).sum().item(Double.self)
        #expect(Swift.abs(rest - s[3...].reduce(0) { $0 + $1 * $1 }) < 1e-5)
        #expect((layer.weight.value + holder.adapters[0].adapter.update).isClose(to: weight, rtol: 1e-4, atol: 1e-5))
    }

    @Test func files() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let trained = model()
        #expect(throws: LoRAError.self) { try trained.saveLoRA(to: folder) }
        trained.attachLoRA(rank: 2, alpha: 3, generator: generator) { $0.hasSuffix("qkv") }
        for (_, adapter) in trained.adapters { adapter.loraB.value = Tensor(normal: adapter.loraB.shape, generator: generator) }
        func names(_ name: String) -> String { name.replacingOccurrences(of: "blocks.", with: "transformer.h.") }
        try trained.saveLoRA(to: folder, names: names)
        let stored = try SafetensorsFile("\(folder)/adapter_model.safetensors")
        #expect(stored.names.contains("base_model.model.transformer.h.1.attention.qkv.lora_A.weight"))
        let fresh = model()
        try fresh.loadLoRA(from: folder, names: names)
        #expect(withoutGrad { fresh(ids) }.isClose(to: withoutGrad { trained(ids) }, rtol: 0, atol: 0))
        #expect(fresh.parameterCount(trainableOnly: true) == 0)
        // Twice, under wrong names, or of another shape: refused, and nothing changes.
        let other = GPT(.init(vocabulary: 11, context: 8, width: 8, layers: 2, heads: 2))
        #expect(throws: LoRAError.self) { try fresh.loadLoRA(from: folder, names: names) }
        #expect(throws: LoRAError.self) { try other.loadLoRA(from: folder, names: names) }
        #expect(throws: LoRAError.self) { try other.loadLoRA(from: folder) }
        #expect(other.adapters.isEmpty && other.parameterCount(trainableOnly: true) == other.parameterCount())
        for text in [
            "{", "{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":1}",
            "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":1,\"use_dora\":true}",
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/adapter_config.json"))
            #expect(throws: LoRAError.self) { try other.loadLoRA(from: folder) }
        }
    }
}
