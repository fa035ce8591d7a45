import Foundation
import Tapestry

/// Small models of every family, with weights large enough that everything matters.
enum ModelFixtures {
    static func weights(_ seed: UInt64) -> WeightInitializer { .normal(deviation: 0.3, generator: RandomGenerator(seed: seed)) }

    /// Configurations of ``DecoderModel``, by name.
    static let decoders: [(name: String, configuration: DecoderConfiguration)] = {
        func make(_ family: DecoderConfiguration.Family, _ change: (inout DecoderConfiguration) -> Void = { _ in })
            -> DecoderConfiguration
        {
            var c = DecoderConfiguration(
                family: family, vocabulary: 31, context: 200, width: 16, layers: 2, heads: 4, kvHeads: 2, headDim: 8, hidden: 20)
            change(&c)
            return c
        }
        return [
            ("llama", make(.llama) { $0.ropeScaling = .llama3(factor: 8, lowFrequency: 1, highFrequency: 4, context: 32) }),
            ("mistral", make(.mistral) { $0.windows = [7, 7] }),
            ("qwen2", make(.qwen2) { ($0.hasInputBias, $0.windows) = (true, [nil, 5]) }),
            ("qwen3", make(.qwen3) { ($0.normalizesHeads, $0.tiesHead) = (true, true) }),
            ("gemma", make(.gemma) { ($0.tiesHead, $0.activation) = (true, .geluTanh) }),
            (
                "gemma2",
                make(.gemma2) {
                    ($0.tiesHead, $0.activation, $0.windows) = (true, .geluTanh, [6, nil])
                    ($0.attentionSoftCap, $0.logitSoftCap, $0.attentionScale) = (5, 3, 0.25)
                }
            ),
            ("phi3", make(.phi3) { ($0.rotaryDim, $0.ropeScaling) = (4, .yarn(.init(factor: 2, context: 64))) }),
        ]
    }()

    static func decoder(_ name: String, seed: UInt64 = 5) -> DecoderModel {
        let model = DecoderModel(decoders.first { $0.name == name }!.configuration, weights: weights(seed))
        model.eval()
        return model
    }

    static func gpt(_ change: (inout GPT.Configuration) -> Void = { _ in }) -> GPT {
        var c = GPT.Configuration(vocabulary: 31, context: 64, width: 16, layers: 2, heads: 4)
        change(&c)
        let model = GPT(c, weights: weights(6))
        model.eval()
        return model
    }

    static var t5Configuration: T5Configuration {
        var c = T5Configuration(vocabulary: 31, width: 16, encoderLayers: 2, heads: 4, headDim: 6, hidden: 20)
        (c.distanceBuckets, c.maximumDistance, c.dropout) = (8, 20, 0)
        return c
    }

    static func t5(_ change: (inout T5Configuration) -> Void = { _ in }) -> T5 {
        var c = t5Configuration
        change(&c)
        let model = T5(c, weights: weights(7))
        model.eval()
        return model
    }

    static var bertConfiguration: BERTConfiguration {
        var c = BERTConfiguration(vocabulary: 31, context: 24, width: 16, layers: 2, heads: 4, hidden: 20)
        (c.labels, c.dropout, c.attentionDropout) = (3, 0, 0)
        return c
    }

    static let vitConfiguration = ViTConfiguration(imageSize: 8, patch: 4, width: 16, layers: 2, heads: 4, hidden: 20, labels: 5)

    static func ids(_ shape: Shape, seed: UInt64 = 3, from: Int = 1) -> Tensor {
        Tensor(integers: from..<31, shape: shape, generator: RandomGenerator(seed: seed))
    }

    /// A folder that is removed afterwards.
    static func inFolder<R>(_ body: (String) throws -> R) throws -> R {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try body(folder)
    }
}
