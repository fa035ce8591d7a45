import Foundation
import Tapestry

/// Small checkpoints with what Hugging Face's transformers compute from them: logits, losses, hidden states, gradients of parameters.
enum HuggingFaceRunner {
    static let tolerance = Tolerance(relative: 1e-4, absolute: 1e-4)

    /// What a model gives for a case, each part if its family has it.
    struct Outputs {
        var logits: Tensor?
        var loss: (Tensor) -> Tensor = { $0 }
        var states: [Tensor] = []
        var encoderStates: [Tensor] = []
        var features: Tensor?
        var pooled: Tensor?
    }

    @Sendable static func forward(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let folder = file.url.deletingLastPathComponent().path
        let model = try Models.load(folder)
        let named = item["inputs"] as? [String: Any] ?? [:]
        let inputs = try named.mapValues { try file.tensor($0) }
        for key in inputs.keys
        where !["input_ids", "attention_mask", "token_type_ids", "pixel_values", "decoder_input_ids"].contains(key) {
            throw Unsupported("input \(key)")
        }
        let labels = item["labels"] == nil ? nil : try file.tensor(item["labels"])
        let made = try outputs(of: model, inputs, labels)

        func check(_ key: String, _ actual: Tensor?) throws -> String? {
            guard let expected = item[key] else { return nil }
            guard let actual else { return "no \(key)" }
            return mismatch(actual, try file.tensor(expected), tolerance, anyType: true).map { "\(key): \($0)" }
        }
        func check(_ key: String, _ actual: [Tensor]) throws -> String? {
            guard let expected = item[key] as? [Any] else { return nil }
            if expected.count != actual.count { return "\(actual.count) \(key), expected \(expected.count)" }
            for (i, (x, z)) in zip(actual, expected).enumerated() {
                if let wrong = mismatch(x, try file.tensor(z), tolerance, anyType: true) { return "\(key) \(i): \(wrong)" }
            }
            return nil
        }
        if let wrong = try check("hidden_states", made.states) { return wrong }
        if let wrong = try check("encoder_hidden_states", made.encoderStates) { return wrong }
        if let wrong = try check("encoder_last_hidden_state", made.encoderStates.last) { return wrong }
        if let wrong = try check("last_hidden_state", made.features) { return wrong }
        if let wrong = try check("pooler_output", made.pooled) { return wrong }
        if let wrong = try check("logits", made.logits) { return wrong }
        guard labels != nil, let logits = made.logits else { return nil }
        let loss = made.loss(logits)
        if let wrong = try check("loss", loss) { return wrong }
        guard let expected = item["param_grads"] as? [String: Any] else { return nil }
        loss.backward()
        var gradients: [String: Tensor] = [:]
        for (name, parameter) in model.namedParameters { gradients[name] = parameter.grad }
        let found = model.huggingFaceTensors(gradients)
        for (name, value) in expected.sorted(by: { $0.key < $1.key }) {
            guard let gradient = found[fileName(name)] else { return "no gradient of \(name)" }
            if let wrong = mismatch(gradient, try file.tensor(value), tolerance, anyType: true) {
                return "gradient of \(name): \(wrong)"
            }
        }
        return nil
    }

    private static func outputs(of model: any PretrainedModel, _ inputs: [String: Tensor], _ labels: Tensor?) throws -> Outputs {
        func input(_ name: String) throws -> Tensor {
            guard let tensor = inputs[name] else { throw Unsupported("a case without \(name)") }
            return tensor
        }
        let mask = inputs["attention_mask"]
        var made = Outputs()
        func languageModel(_ logits: Tensor, _ states: [Tensor]) {
            made.logits = logits
            made.states = states
            made.features = states.last
            if let labels {
                let length = labels.shape[1] - 1
                made.loss = {
                    crossEntropy(
                        $0.narrowed(axis: 1, start: 0, length: length), labels.narrowed(axis: 1, start: 1, length: length))
                }
            }
        }
        switch model {
        case let model as GPT:
            let ids = try input("input_ids")
            languageModel(model(ids, paddingMask: mask), model.hiddenStates(ids, paddingMask: mask))
        case let model as DecoderModel:
            let ids = try input("input_ids")
            languageModel(model(ids, paddingMask: mask), model.hiddenStates(ids, paddingMask: mask))
        case let model as BERT:
            made.states = model.hiddenStates(try input("input_ids"), paddingMask: mask, types: inputs["token_type_ids"])
            made.features = made.states.last
            if model.pooler != nil { made.pooled = model.pooled(made.features!) }
        case let model as BERTMaskedLM:
            made.states = model.encoder.hiddenStates(try input("input_ids"), paddingMask: mask, types: inputs["token_type_ids"])
            made.logits = model.logits(made.states.last!)
            if let labels { made.loss = { crossEntropy($0, labels) } }
        case let model as BERTClassifier:
            let ids = try input("input_ids"), types = inputs["token_type_ids"]
            made.states = model.encoder.hiddenStates(ids, paddingMask: mask, types: types)
            made.logits = model(ids, paddingMask: mask, types: types)
            if let labels { made.loss = { classifierLoss($0, labels) } }
        case let model as ViT:
            let images = try input("pixel_values").to(model.patches.weight.dtype)
            made.states = model.hiddenStates(images)
            made.features = model.features(images)
            if model.pooler != nil { made.pooled = model.pooled(made.features!) }
            made.logits = model(images)
            if let labels { made.loss = { crossEntropy($0, labels) } }
        case let model as T5:
            made.encoderStates = model.encode(try input("input_ids"), paddingMask: mask)
            guard let targets = inputs["decoder_input_ids"] ?? labels.map(model.shifted) else { throw Unsupported("no targets") }
            made.states = model.decode(targets, memory: made.encoderStates.last!, paddingMask: mask)
            made.logits = model.logits(made.states.last!)
            if let labels { made.loss = { crossEntropy($0, labels) } }
        default: throw Unsupported("model \(type(of: model))")
        }
        return made
    }

    /// The loss that Hugging Face's classifiers take by the number of labels and their type.
    private static func classifierLoss(_ logits: Tensor, _ labels: Tensor) -> Tensor {
        if logits.shape.last == 1 {
            return mseLoss(logits.reshaped([logits.count]), labels.to(logits.dtype).reshaped([labels.count]))
        }
        if labels.dtype.isFloatingPoint { return bceWithLogits(logits, labels.to(logits.dtype)) }
        return crossEntropy(logits, labels)
    }

    /// Version 5 has other names in memory than in its files.
    private static func fileName(_ name: String) -> String {
        guard name.contains("layers."), name.hasPrefix("vit.") || name.hasPrefix("layers.") else { return name }
        var name = name
        for (new, old) in [
            ("layers.", "encoder.layer."), (".attention.q_proj.", ".attention.attention.query."),
            (".attention.k_proj.", ".attention.attention.key."), (".attention.v_proj.", ".attention.attention.value."),
            (".attention.o_proj.", ".attention.output.dense."), (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ] { name = name.replacingOccurrences(of: new, with: old) }
        return name
    }
}
