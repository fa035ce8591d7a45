#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Opens files and folders of tensors, whatever their format.
public enum TensorArchives {
    /// Opens a file (safetensors, GGUF, npz, PyTorch's `.pt`/`.bin`, an index of shards) or a model's folder.
    ///
    /// A file's format is told by its first bytes. In a folder the first of these is taken: `model.safetensors`, its index
    /// `model.safetensors.index.json`, `pytorch_model.bin`, its index, or the one file that ends in `.safetensors`, `.gguf`, `.npz`,
    /// `.bin`, `.pt` or `.pth`. Throws ``ArchiveError``, ``FileError`` or the format's own error.
    public static func open(_ path: String) throws -> any TensorArchive {
        if isFolder(path) { return try open(try weights(in: path)) }
        if path.hasSuffix(".json") { return try ShardedTensors(index: path) }
        let file = try MappedFile(path)
        return try withExtendedLifetime(file) {
            if file.bytes.starts(with: "GGUF".utf8) { return try GGUFFile(path) }
            if file.bytes.starts(with: [0x50, 0x4B]) {
                let zip: ZipArchive
                do { zip = try ZipArchive(file) } catch let error as ZipArchive.Failure { throw ArchiveError(path, error.reason) }
                let isTorch = zip.entries.contains { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }
                return isTorch ? try TorchFile(path) : try NumpyArchive(path)
            }
            // A pickle's first opcode: refused with the reason, where a safetensors header would be a length of 2⁶³ bytes.
            if file.bytes[0] == 0x80, file.bytes.count < 8 || file.bytes[7] != 0 { return try TorchFile(path) }
            return try SafetensorsFile(path)
        }
    }

    static func isFolder(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The file of a folder that holds the weights.
    private static func weights(in folder: String) throws -> String {
        for name in [
            "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
        ] where exists("\(folder)/\(name)") { return "\(folder)/\(name)" }
        let names = try fileNames(in: folder)
        for ending in [".safetensors", ".gguf", ".npz", ".bin", ".pt", ".pth"] {
            let found = names.filter { $0.hasSuffix(ending) }
            if found.count == 1 { return "\(folder)/\(found[0])" }
            if found.count > 1 { throw ArchiveError(folder, "several files end in \(ending); name one: \(found.prefix(4))") }
        }
        throw ArchiveError(folder, "no weights in this folder (model.safetensors …)")
    }

    /// The names in a folder, sorted.
    static func fileNames(in folder: String) throws -> [String] {
        guard let directory = opendir(folder) else { throw FileError(folder, doing: "read the folder") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names.sorted()
    }
}
