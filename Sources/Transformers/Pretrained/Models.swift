import CoreTensor
import Data
import NN

/// Opens a published model's folder whatever its family.
///
/// ```swift
/// switch try Models.load("models/some-model") {
/// case let model as any CausalLanguageModel: …
/// case let model as BERT: …
/// default: …
/// }
/// ```
public enum Models {
    /// The families, by the `model_type` of `config.json` and the class that Hugging Face has for the model.
    static func family(type: String, architecture: String) -> (any PretrainedModel.Type)? {
        switch type {
        case "gpt2": GPT.self
        case "bert", "roberta", "xlm-roberta", "camembert", "distilbert":
            if architecture.hasSuffix("ForMaskedLM") || architecture.hasSuffix("ForPreTraining") {
                BERTMaskedLM.self
            } else if architecture.hasSuffix("SequenceClassification") || architecture.hasSuffix("TokenClassification") {
                BERTClassifier.self
            } else {
                BERT.self
            }
        case "vit": ViT.self
        case "t5": T5.self
        default: DecoderConfiguration.Family(rawValue: type) == nil ? nil : DecoderModel.self
        }
    }

    /// Every `model_type` that ``load(_:dtype:)`` knows.
    public static let modelTypes =
        ["gpt2", "bert", "roberta", "xlm-roberta", "camembert", "distilbert", "vit", "t5"]
        + DecoderConfiguration.Family.allCases.map(\.rawValue)

    /// Loads a model from a GGUF file, or from a folder with `config.json` and weights in any format that ``TensorArchives`` opens: a ``GPT``, ``DecoderModel``, ``BERT``,
    /// ``BERTMaskedLM``, ``BERTClassifier``, ``ViT`` or ``T5``, in evaluation mode.
    /// - Parameter dtype: the parameters' type; nil: the file's own.
    ///
    /// Throws ``PretrainedError`` or the errors of the files; nothing is allocated for sizes that the weights do not have.
    public static func load(_ folder: String, dtype: DType? = nil) throws -> any PretrainedModel {
        try requireParameters(dtype, path: folder)
        if folder.hasSuffix(".gguf") { return try DecoderModel.load(gguf: folder, dtype: dtype) }
        let reader = try ConfigurationReader(file: "\(folder)/config.json")
        guard let type = try reader.optionalText("model_type") else { throw reader.error("has no model_type") }
        let architecture = try reader.texts("architectures")?.first ?? ""
        guard let family = family(type: type, architecture: architecture) else {
            throw reader.error("model_type is \(type.prefix(60)); known are \(modelTypes.joined(separator: ", "))")
        }
        return try family.load(folder, dtype: dtype)
    }

    /// Throws unless parameters can be of this type.
    static func requireParameters(_ dtype: DType?, path: String) throws {
        if let dtype, ![.float64, .float32, .float16, .bfloat16].contains(dtype) {
            throw PretrainedError(path, "cannot load weights as \(dtype); needs float64, float32, float16 or bfloat16")
        }
    }
}
