import CoreTensor
import Data
import Foundation
import NN

/// `adapter_config.json` of Hugging Face's peft, as much as describes a LoRA adapter.
public struct LoRAConfiguration: Sendable, Codable, Equatable {
    /// "LORA".
    public var peftType = "LORA"
    /// The rank of the updates.
    public var rank: Int
    /// The update is multiplied by alpha / rank.
    public var alpha: Double
    /// Of the adapters' inputs, in training.
    public var dropout: Double
    /// Names, or ends of names, of the layers.
    public var targetModules: [String]

    enum CodingKeys: String, CodingKey {
        case peftType = "peft_type"
        case rank = "r"
        case alpha = "lora_alpha"
        case dropout = "lora_dropout"
        case targetModules = "target_modules"
        case usesDoRA = "use_dora"
        case usesRankStabilization = "use_rslora"
    }

    init(rank: Int, alpha: Double, dropout: Double, targetModules: [String]) {
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targetModules = targetModules
    }

    /// Reads peft's keys; ``targetModules`` may be one string. Throws for variants that compute something else (DoRA).
    public init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        peftType = try keys.decode(String.self, forKey: .peftType)
        rank = try keys.decode(Int.self, forKey: .rank)
        alpha = try keys.decode(Double.self, forKey: .alpha)
        dropout = try keys.decodeIfPresent(Double.self, forKey: .dropout) ?? 0
        targetModules =
            (try? keys.decode([String].self, forKey: .targetModules))
            ?? (try? keys.decode(String.self, forKey: .targetModules)).map { [$0] } ?? []
        if peftType != "LORA" { throw LoRAError("an adapter of the type \(peftType), not LORA") }
        if rank < 1 || !alpha.isFinite || !(0..<1).contains(dropout) {
            throw LoRAError("rank \(rank), alpha \(alpha), dropout \(dropout)")
        }
        if try keys.decodeIfPresent(Bool.self, forKey: .usesDoRA) == true { throw LoRAError("DoRA is not supported") }
        // rsLoRA divides by √rank.
        if try keys.decodeIfPresent(Bool.self, forKey: .usesRankStabilization) == true { alpha *= Double(rank).squareRoot() }
    }

    /// Writes peft's keys.
    public func encode(to encoder: any Encoder) throws {
        var keys = encoder.container(keyedBy: CodingKeys.self)
        try keys.encode(peftType, forKey: .peftType)
        try keys.encode(rank, forKey: .rank)
        try keys.encode(alpha, forKey: .alpha)
        try keys.encode(dropout, forKey: .dropout)
        try keys.encode(targetModules, forKey: .targetModules)
    }
}

/// Why an adapter could not be saved or loaded.
public struct LoRAError: Error, CustomStringConvertible, Equatable {
    /// What was wrong.
    public let description: String
    init(_ description: String) { self.description = description }
}

extension Module {
    /// Writes the adapters as peft does: `adapter_model.safetensors` and `adapter_config.json` in `folder`, which is made if need be.
    /// - Parameter names: the name that a layer has in the file, of its name in the model; for models with Hugging Face names.
    public func saveLoRA(to folder: String, names: (String) -> String = { $0 }) throws {
        let all = adapters
        guard let first = all.first?.adapter else { throw LoRAError("the model has no adapters to save") }
        if all.contains(where: { $0.adapter.rank != first.rank || $0.adapter.alpha != first.alpha }) {
            throw LoRAError("adapters of several ranks or scales do not fit one configuration")
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var tensors: [String: Tensor] = [:]
        for (name, adapter) in all {
            tensors["base_model.model.\(names(name)).lora_A.weight"] = adapter.loraA.value.detached()
            tensors["base_model.model.\(names(name)).lora_B.weight"] = adapter.loraB.value.detached()
        }
        let configuration = LoRAConfiguration(
            rank: first.rank, alpha: first.alpha, dropout: first.dropout.probability,
            targetModules: all.map { names($0.name) }.sorted())
        try saveSafetensors(tensors, to: "\(folder)/adapter_model.safetensors", metadata: ["format": "pt"])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let json = try encoder.encode(configuration)
        var file = try AtomicFile("\(folder)/adapter_config.json")
        try json.withUnsafeBytes { try file.write($0) }
        try file.commit()
    }

    /// Attaches the adapters that peft, or ``saveLoRA(to:names:)``, wrote to `folder`, frozen or trainable. Nothing changes unless everything fits.
    /// - Parameter names: as of ``saveLoRA(to:names:)``.
    public func loadLoRA(
        from folder: String, isTrainable: Bool = false, generator: RandomGenerator = .default, names: (String) -> String = { $0 }
    ) throws {
        let path = "\(folder)/adapter_config.json"
        let configuration: LoRAConfiguration
        do {
            configuration = try JSONDecoder().decode(LoRAConfiguration.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch { throw LoRAError("\(path) is no adapter's configuration: \(error)") }
        var tensors = try SafetensorsFile("\(folder)/adapter_model.safetensors").tensors()
        var found: [String: (a: Tensor, b: Tensor)] = [:]
        for (name, module) in namedModules {
            guard let layer = module as? Linear else { continue }
            let key = "base_model.model.\(names(name))"
            guard let a = tensors.removeValue(forKey: "\(key).lora_A.weight"),
                let b = tensors.removeValue(forKey: "\(key).lora_B.weight")
            else { continue }
            let rank = configuration.rank
            if layer.replacement != nil { throw LoRAError("\(name) has an adapter or a quantised form already") }
            if a.shape != [rank, layer.weight.shape[1]] || b.shape != [layer.weight.shape[0], rank] {
                throw LoRAError(
                    "\(folder): factors \(a.shape) and \(b.shape) of rank \(rank) do not fit \(name) \(layer.weight.shape)")
            }
            found[name] = (a, b)
        }
        if let left = tensors.keys.min() { throw LoRAError("\(folder): \(left) belongs to no layer of the model") }
        if found.isEmpty { throw LoRAError("\(folder) has no adapters") }
        attachLoRA(
            rank: configuration.rank, alpha: configuration.alpha, dropout: configuration.dropout, generator: generator,
            where: { found[$0] != nil })
        for (name, adapter) in adapters {
            guard let (a, b) = found[name] else { continue }
            adapter.loraA.value = a.to(adapter.loraA.dtype).to(device: adapter.loraA.device)
            adapter.loraB.value = b.to(adapter.loraB.dtype).to(device: adapter.loraB.device)
            if !isTrainable { adapter.freeze() }
        }
    }
}
