import CoreTensor
import Data
import NN

/// The sizes and switches of a family of models, as Hugging Face's `config.json` gives them.
public protocol PretrainedConfiguration: Sendable, Equatable {
    /// Reads the text of a `config.json`; `path` names it in errors. Throws ``PretrainedError`` for what is missing, of another type or out
    /// of range, before anything is allocated.
    init(json: String, path: String) throws
    /// The text of a `config.json` for this configuration.
    var json: String { get }
}

extension PretrainedConfiguration {
    /// Reads a `config.json`, or the one in a model's folder.
    public init(_ path: String) throws {
        let file = path.hasSuffix(".json") ? path : "\(path)/config.json"
        let mapped = try MappedFile(file)
        if mapped.bytes.count > 16 << 20 {
            throw PretrainedError(file, "\(mapped.bytes.count) bytes are too many for a configuration")
        }
        guard let text = String(validating: mapped.bytes, as: UTF8.self) else { throw PretrainedError(file, "not UTF-8") }
        try self.init(json: text, path: file)
    }
}

/// A model whose weights are read from and written to Hugging Face's files: a folder with `config.json` and safetensors.
///
/// ```swift
/// let model = try DecoderModel.load("models/Qwen3-0.6B")
/// let logits = withoutGrad { model(ids) }              // ids [batch, sequence]
/// try model.save(folder: "fine-tuned")
/// ```
public protocol PretrainedModel: Module {
    associatedtype Configuration: PretrainedConfiguration
    /// A model of this configuration with the given weights to begin with.
    init(_ configuration: Configuration, weights: WeightInitializer)
    /// The configuration it was made with.
    var configuration: Configuration { get }
    /// The layers that a checkpoint of this configuration has at least one tensor for each of.
    static func layerCount(_ configuration: Configuration) -> Int
    /// The configuration with what only the names of the weights tell: whether a pooler is there, a head tied.
    static func fitted(_ configuration: Configuration, to names: [String]) -> Configuration
    /// A parameter's name in Hugging Face's files, for error messages and for choosing parameters; nil for what files do not have.
    func huggingFaceName(of parameter: String) -> String?
    /// Tensors named as the parameters here (weights, gradients) under Hugging Face's names and in its layouts.
    func huggingFaceTensors(_ tensors: [String: Tensor]) -> [String: Tensor]
}

/// What the families share, with types that are not public.
protocol NamedWeights: PretrainedModel {
    var weightNames: WeightNames { get }
}

extension PretrainedModel {
    /// The configuration as it is.
    public static func fitted(_ configuration: Configuration, to names: [String]) -> Configuration { configuration }

    /// A parameter's name in Hugging Face's files; nil for what files do not have.
    public func huggingFaceName(of parameter: String) -> String? {
        (self as? any NamedWeights)?.weightNames.source(of: parameter)?.names[0]
    }

    /// Tensors named as the parameters here under Hugging Face's names.
    public func huggingFaceTensors(_ tensors: [String: Tensor]) -> [String: Tensor] {
        (self as? any NamedWeights)?.weightNames.exported(tensors) ?? tensors
    }

    /// The weights under Hugging Face's names and in its layouts, detached.
    public var huggingFaceState: [String: Tensor] { huggingFaceTensors(stateDict) }

    /// Loads a model from a folder with `config.json` and weights in any format that ``TensorArchives`` opens.
    ///
    /// Weights of the right type stay in the mapped file: their pages are read as they are used, and shared between processes.
    /// - Parameter dtype: the parameters' type; nil: the file's own.
    ///
    /// The model is in evaluation mode. Throws ``PretrainedError``, or the errors of the files; nothing is allocated for sizes that the
    /// weights do not have.
    public static func load(_ folder: String, dtype: DType? = nil) throws -> Self {
        try load(Configuration(folder), from: TensorArchives.open(folder), path: folder, dtype: dtype)
    }

    /// Loads a model of this configuration from an archive; `path` names it in errors. Otherwise as ``load(_:dtype:)``.
    public static func load(
        _ configuration: Configuration, from archive: any TensorArchive, path: String, dtype: DType? = nil
    ) throws -> Self {
        try Models.requireParameters(dtype, path: path)
        let layers = layerCount(configuration)
        if layers > archive.names.count {
            throw PretrainedError(path, "the configuration has \(layers) layers, the weights only \(archive.names.count) tensors")
        }
        let loader = WeightLoader(archive, path: path)
        let model = Self(fitted(configuration, to: archive.names), weights: .placeholder(dtype: try dtype ?? loader.commonType()))
        try loader.fill(model)
        model.eval()
        return model
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if it is not there, under Hugging Face's names.
    public func save(folder: String) throws {
        try makeFolder(folder)
        try saveSafetensors(huggingFaceState, to: "\(folder)/model.safetensors", metadata: ["format": "pt"])
        var file = try AtomicFile("\(folder)/config.json")
        try Array((configuration.json + "\n").utf8).withUnsafeBytes { try file.write($0) }
        try file.commit()
    }
}
