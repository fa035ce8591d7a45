import ConformanceSuite
import Foundation
import Tapestry
import Testing

@Suite struct PretrainedTests {
    /// Logits, hidden states, losses and gradients as transformers computes them from the same files.
    @Test func goldens() throws {
        let report = try ConformanceSuite.run(Goldens.manifests("hf")) { $0["kind"] as? String == "hf_forward" }
        for failure in report.failures { Issue.record("\(failure.name): \(failure.problem)") }
        #expect(report.passed >= 16 && report.unsupported == 0)
    }

    /// Models with trained weights, where `TAPESTRY_GOLDENS` has them; they are too large to be bundled.
    @Test(.enabled(if: !Goldens.manifests("models").isEmpty)) func trainedModels() throws {
        let report = try ConformanceSuite.run(Goldens.manifests("models"))
        for failure in report.failures { Issue.record("\(failure.name): \(failure.problem)") }
        #expect(report.passed > 0)
    }

    private static func models() -> [any PretrainedModel] {
        let f = ModelFixtures.self
        var tokens = f.bertConfiguration, plain = f.vitConfiguration
        tokens.architecture = "BertForTokenClassification"
        var roberta = f.bertConfiguration, distilled = f.bertConfiguration
        (roberta.family, roberta.tokenTypes, roberta.padToken) = (.roberta, 1, 1)
        (distilled.family, distilled.hasPooler, distilled.padToken) = (.distilbert, false, 2)
        (plain.labels, plain.hasPooler, plain.hasInputBias) = (nil, true, false)
        let w = f.weights(9)
        return f.decoders.map { f.decoder($0.name) } + [
            f.gpt(), f.gpt { ($0.tiesHead, $0.activation, $0.hidden, $0.scalesAttentionByLayer) = (false, .relu, 24, true) },
            BERT(f.bertConfiguration, weights: w), BERTMaskedLM(f.bertConfiguration, weights: w),
            BERTClassifier(f.bertConfiguration, weights: w), BERTClassifier(tokens, weights: w),
            ViT(f.vitConfiguration, weights: w),
            BERTMaskedLM(roberta, weights: w), BERTClassifier(roberta, weights: w), BERT(distilled, weights: w),
            BERTMaskedLM(distilled, weights: w), BERTClassifier(distilled, weights: w), ViT(plain, weights: w), f.t5(),
            f.t5 { ($0.isGated, $0.activation, $0.tiesHead, $0.scalesOutput) = (true, .geluTanh, false, false) },
        ]
    }

    /// What is written under Hugging Face's names is read back: family, configuration, every weight, mapped.
    @Test func roundTrips() throws {
        for model in Self.models() {
            try ModelFixtures.inFolder { folder in
                try model.save(folder: folder)
                let again = try Models.load(folder)
                #expect(type(of: again) == type(of: model) && !again.isTraining)
                expectEqual(model, again)
                let state = model.stateDict, other = again.stateDict
                #expect(Set(state.keys) == Set(other.keys))
                for (name, tensor) in state { #expect(other[name]?.isClose(to: tensor, rtol: 0, atol: 0) == true, "\(name)") }
            }
        }
    }

    private func expectEqual<M: PretrainedModel>(_ model: M, _ other: any PretrainedModel) {
        // A text says the same of configurations of one family.
        #expect((other as? M)?.configuration.json == model.configuration.json)
    }

    /// Weights of the file's type are views of the mapped file; others are converted.
    @Test func mapping() throws {
        try ModelFixtures.inFolder { folder in
            try ModelFixtures.decoder("llama").save(folder: folder)
            let model = try DecoderModel.load(folder)
            for (name, parameter) in model.namedParameters { #expect(parameter.value.raw.storage.owner is MappedFile, "\(name)") }
            let half = try DecoderModel.load(folder, dtype: .bfloat16)
            #expect(half.parameters.allSatisfy { $0.dtype == .bfloat16 && $0.value.raw.storage.owner == nil })
            let ids = ModelFixtures.ids([1, 9])
            withoutGrad {
                let a = model(ids), b = half(ids).to(.float32)
                #expect(b.isClose(to: a, rtol: 0.1, atol: 0.2) && !b.isClose(to: a, rtol: 1e-6, atol: 1e-6))
            }
            // Training writes to memory of its own: the file stays as it is.
            let before = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model.safetensors"))
            model.loss(ids, ids).backward()
            SGD(model.parameters, learningRate: 0.1).step()
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model.safetensors")) == before)
            // And saving over the mapped file gives a whole one.
            try model.save(folder: folder)
            #expect(try DecoderModel.load(folder)(ids).isClose(to: model(ids), rtol: 1e-6, atol: 1e-6))
        }
    }

    /// Weights in several files by an index.
    @Test func shards() throws {
        try ModelFixtures.inFolder { folder in
            let model = ModelFixtures.decoder("qwen3")
            try model.save(folder: folder)
            let state = model.huggingFaceState, names = state.keys.sorted()
            var map: [String: String] = [:]
            for (number, part) in [names[..<9], names[9...]].enumerated() {
                let file = "model-0000\(number + 1)-of-00002.safetensors"
                try saveSafetensors(Dictionary(uniqueKeysWithValues: part.map { ($0, state[$0]!) }), to: "\(folder)/\(file)")
                for name in part { map[name] = file }
            }
            try JSONSerialization.data(withJSONObject: ["weight_map": map])
                .write(to: URL(fileURLWithPath: "\(folder)/model.safetensors.index.json"))
            try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
            let ids = ModelFixtures.ids([2, 5])
            #expect(try DecoderModel.load(folder)(ids).isClose(to: model(ids), rtol: 1e-6, atol: 1e-6))
        }
    }

    /// A base model is read from a checkpoint with a head, and one with a head names what the base lacks.
    @Test func prefixes() throws {
        try ModelFixtures.inFolder { folder in
            let masked = BERTMaskedLM(ModelFixtures.bertConfiguration, weights: ModelFixtures.weights(4))
            masked.eval()
            try masked.save(folder: folder)
            let base = try BERT.load(folder)
            let ids = ModelFixtures.ids([2, 6])
            #expect(base.pooler == nil && base(ids).isClose(to: masked.encoder(ids), rtol: 1e-6, atol: 1e-6))
            try base.save(folder: folder)
            let error = #expect(throws: PretrainedError.self) { try BERTMaskedLM.load(folder) }
            #expect(error?.reason.contains("cls.predictions") == true)
        }
    }

    /// Gradients under Hugging Face's names add up to ours.
    @Test func namesOfGradients() {
        let model = ModelFixtures.gpt()
        let ids = ModelFixtures.ids([1, 5])
        model.loss(ids, ids).backward()
        let gradients = model.huggingFaceTensors(
            Dictionary(uniqueKeysWithValues: model.namedParameters.map { ($0.name, $0.parameter.grad!) }))
        #expect(gradients["transformer.h.1.attn.c_attn.weight"]?.shape == [16, 48])
        #expect(
            gradients["transformer.h.1.attn.c_attn.weight"]!.transposed().isClose(to: model.blocks[1].attention.qkv.weight.grad!))
        #expect(model.huggingFaceName(of: "blocks.0.attention.qkv.bias") == "transformer.h.0.attn.c_attn.bias")
    }
}
