import ConformanceSuite
import Foundation
import Tapestry
import Testing

@Suite struct GGUFModelTests {
    /// What is written as GGUF is read back: the rows of Llama's queries and keys in llama.cpp's order, and back in Hugging Face's.
    @Test(arguments: ["llama", "qwen2", "qwen3"]) func roundTrips(_ name: String) throws {
        var configuration = ModelFixtures.decoders.first { $0.name == name }!.configuration
        configuration.windows = []
        let model = DecoderModel(configuration, weights: ModelFixtures.weights(12))
        model.eval()
        let ids = ModelFixtures.ids([2, 40])
        try ModelFixtures.inFolder { folder in
            let path = "\(folder)/model.gguf"
            try model.save(gguf: path)
            guard let again = try Models.load(path) as? DecoderModel else {
                Issue.record("no decoder")
                return
            }
            withoutGrad { #expect(mismatch(again(ids), model(ids), Tolerance(relative: 1e-4, absolute: 1e-4)) == nil) }
            let file = try GGUFFile(path)
            let query = try file.tensor("blk.1.attn_q.weight"), own = model.blocks[1].attention.query.weight.value
            #expect(query.isClose(to: own) == (name != "llama"))
            // The second row of a head of Llama's is the partner of the first, half a head further.
            if name == "llama" { #expect(query[1].isClose(to: own[4])) }
            // Small tensors are copied where others have to be.
            #expect(again.tokenEmbedding.weight.value.raw.storage.owner is MappedFile == (name != "llama"))
        }
    }

    /// In blocks of 8 bits logits are near, and the type asked for is had.
    @Test func quantised() throws {
        var configuration = DecoderConfiguration(
            vocabulary: 64, context: 64, width: 64, layers: 2, heads: 4, kvHeads: 2, hidden: 96)
        configuration.tiesHead = true
        let model = DecoderModel(configuration, weights: .normal(deviation: 0.1, generator: RandomGenerator(seed: 2)))
        model.eval()
        let ids = ModelFixtures.ids([1, 20])
        try ModelFixtures.inFolder { folder in
            try model.save(gguf: "\(folder)/a.gguf", type: .q8_0)
            let file = try GGUFFile("\(folder)/a.gguf")
            #expect(
                try file.storedType(of: "blk.0.ffn_up.weight") == .q8_0 && file.storedType(of: "blk.0.attn_norm.weight") == .f32)
            let again = try DecoderModel.load(gguf: "\(folder)/a.gguf")
            withoutGrad {
                let a = model(ids), b = again(ids)
                #expect(
                    abs(a - b).max().item(Double.self) < 0.05 * abs(a).max().item(Double.self)
                        && !b.isClose(to: a, rtol: 1e-6, atol: 1e-7))
            }
            let half = try DecoderModel.load(gguf: "\(folder)/a.gguf", dtype: .bfloat16)
            #expect(half.parameters.allSatisfy { $0.dtype == .bfloat16 })
        }
    }

    /// Metadata that say something wrong are refused with an error before anything is allocated.
    @Test func malformed() throws {
        let model = ModelFixtures.decoder("llama"), table = model.tokenEmbedding.weight.value
        func refused(_ change: [String: GGUFValue?], _ name: String) throws {
            var metadata: [String: GGUFValue] = [
                "general.architecture": .string("llama"), "llama.embedding_length": .uint32(16), "llama.block_count": .uint32(2),
                "llama.attention.head_count": .uint32(4), "llama.feed_forward_length": .uint32(20),
            ]
            for (key, value) in change { metadata[key] = value }
            try ModelFixtures.inFolder { folder in
                let path = "\(folder)/m.gguf"
                try saveGGUF(
                    [("token_embd.weight", table)], metadata: metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
                    to: path)
                let error = #expect(throws: PretrainedError.self) { try Models.load(path) }
                #expect(error?.reason.contains(name) == true, "\(change): \(error as Any)")
            }
        }
        try refused([:], "tensors")
        try refused(["general.architecture": nil], "architecture")
        try refused(["general.architecture": .string("mamba")], "mamba")
        try refused(["general.architecture": .uint32(7)], "architecture")
        try refused(["llama.block_count": .uint32(1_000_000_000)], "block_count")
        try refused(["llama.block_count": .string("2")], "block_count")
        try refused(["llama.attention.head_count": .uint32(0)], "head_count")
        try refused(["llama.attention.head_count": .uint32(3)], "divide")
        try refused(["llama.attention.head_count": .int32(-1)], "head_count")
        try refused(["llama.attention.head_count": .array(.uint32, [.uint32(4), .uint32(2)])], "head_count")
        try refused(["llama.attention.layer_norm_rms_epsilon": .float32(.nan)], "epsilon")
        try refused(["llama.rope.freq_base": .float32(-1)], "freq_base")
        try refused(["llama.rope.scaling.type": .string("helix")], "helix")
        try refused(["llama.embedding_length": nil], "embedding_length")
        try refused(["llama.block_count": .uint32(1)], "lack")
        try refused(["llama.block_count": .uint32(1), "llama.embedding_length": .uint32(200_000_000)], "needs")
    }
}
