import CoreTensor

/// Tensors spread over several files by an index, as Hugging Face writes large models (`model.safetensors.index.json`:
/// `{"weight_map": {"tensor": "file"}}`). The files lie beside the index; all headers are checked as the set is opened.
public struct ShardedTensors: TensorArchive {
    /// The tensors' names, in the index's order.
    public let names: [String]
    /// The files' names, in the order of their first tensors.
    public let shardNames: [String]
    private let shards: [any TensorArchive]
    private let shardOf: [String: Int]
    private let path: String

    /// Opens an index and the files it names. Throws ``ArchiveError`` if it is no index, names a file outside its folder, a file or
    /// tensor that is missing, or a tensor twice; ``FileError`` or a format's error for a file.
    public init(index path: String) throws {
        self.path = path
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        var names: [String] = []
        var shardOf: [String: Int] = [:]
        var shardNames: [String] = []
        do {
            guard let map = try JSONValue(file: path)["weight_map"]?.object else { throw ArchiveError(path, "has no weight_map") }
            var numbers: [String: Int] = [:]
            for (name, value) in map.members {
                guard let shard = value.string else { throw ArchiveError(path, "the file of \(name) is not a string") }
                // A name of a file in this folder and nothing else: no way out of it.
                if shard.isEmpty || shard == "." || shard == ".."
                    || shard.utf8.contains(where: { $0 == 0x2F || $0 == 0 || $0 == 0x5C })
                    || shard.utf8.count > 255
                {
                    throw ArchiveError(path, "the file of \(name) is not a name of a file beside the index: \(shard.prefix(80))")
                }
                let number = numbers[shard] ?? shardNames.count
                if number == shardNames.count {
                    numbers[shard] = number
                    shardNames.append(shard)
                }
                if shardOf.updateValue(number, forKey: name) != nil { throw ArchiveError(path, "\(name) is named twice") }
                names.append(name)
            }
        } catch let error as JSONError {
            throw ArchiveError(path, "not a JSON index: \(error)")
        }
        if names.isEmpty { throw ArchiveError(path, "the index names no tensors") }
        var shards: [any TensorArchive] = []
        for shard in shardNames {
            // An index as a shard could name itself.
            if shard.hasSuffix(".json") { throw ArchiveError(path, "\(shard) is no file of tensors") }
            shards.append(try TensorArchives.open("\(folder)/\(shard)"))
        }
        let contents = shards.map { Set($0.names) }
        for name in names where !contents[shardOf[name]!].contains(name) {
            throw ArchiveError(path, "\(name) is not in \(shardNames[shardOf[name]!])")
        }
        self.names = names
        self.shardOf = shardOf
        self.shardNames = shardNames
        self.shards = shards
    }

    private func shard(_ name: String) throws -> any TensorArchive {
        guard let number = shardOf[name] else { throw ArchiveError(path, "there is no tensor \(name)") }
        return shards[number]
    }

    public func shape(of name: String) throws -> [Int] { try shard(name).shape(of: name) }
    public func tensor(_ name: String) throws -> Tensor { try shard(name).tensor(name) }
}
