import CoreTensor

/// Why a `.pt` or `.bin` file of PyTorch was refused.
public struct TorchError: Error, CustomStringConvertible, Equatable {
    /// What was wrong.
    public let reason: String
    /// The file.
    public let path: String
    /// The path and the reason as a whole sentence.
    public var description: String { "\(path): not a readable PyTorch file: \(reason)" }
    init(_ reason: String, path: String) {
        self.reason = reason
        self.path = path
    }
}

/// The tensors of a file that `torch.save` wrote (`.pt`, `.pth`, `.bin`; the zip form, PyTorch 1.6 and later), read without running
/// anything of it: the pickle inside is interpreted by a reader that knows tensors, dictionaries, lists, numbers and strings, and
/// refuses whatever else it asks for.
///
/// Nested dictionaries and lists are named by their path, joined by points (`model.layer.weight`, `momenta.0`). Numbers and strings
/// are left out. Tensors see the mapped bytes where their layout allows; int16 is widened to int32. The old form, a tar file or bare
/// pickles, is refused.
public struct TorchFile: TensorArchive {
    /// The tensors' names, in the file's order.
    public let names: [String]
    private let tensors: [String: TorchTensor]
    private let entries: [String: ZipArchive.Entry]
    private let zip: ZipArchive
    private let file: MappedFile
    private let prefix: String

    /// Opens a file and reads its pickle. Throws ``FileError`` or ``TorchError``.
    public init(_ path: String) throws { try self.init(MappedFile(path)) }

    init(_ file: MappedFile) throws {
        self.file = file
        let path = file.path
        if file.bytes[0] == 0x80 || file.bytes.count > 262 && file.bytes[257..<262].elementsEqual("ustar".utf8) {
            throw TorchError("it has the form of PyTorch before 1.6; load and save it once with a newer one", path: path)
        }
        do {
            zip = try ZipArchive(file)
            guard let pickle = zip.entries.first(where: { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }) else {
                throw PickleReader.Failure(reason: "there is no data.pkl")
            }
            prefix = String(pickle.name.dropLast("data.pkl".utf8.count))
            entries = Dictionary(uniqueKeysWithValues: zip.entries.map { ($0.name, $0) })
            if let order = entries[prefix + "byteorder"],
                try zip.withBytes(order, limit: 64, { !$0.elementsEqual("little".utf8) })
            {
                throw PickleReader.Failure(reason: "its numbers are big-endian")
            }
            var tree = StateTree()
            // The largest models have pickles of a few megabytes.
            try zip.withBytes(pickle, limit: 1 << 28) { bytes in
                var reader = PickleReader(bytes)
                let root = try reader.read()
                try tree.collect(root, "", reader)
            }
            names = tree.names
            tensors = tree.tensors
        } catch let error as ZipArchive.Failure {
            throw TorchError(error.reason, path: path)
        } catch let error as PickleReader.Failure {
            throw TorchError(error.reason, path: path)
        }
        for name in names { try check(name, tensors[name]!) }
    }

    /// That a tensor lies within its storage, and the storage in the file.
    private func check(_ name: String, _ tensor: TorchTensor) throws {
        func refused(_ reason: String) -> TorchError { TorchError("\(name) \(reason)", path: file.path) }
        guard let entry = entries["\(prefix)data/\(tensor.storage.key)"] else {
            throw refused("has a storage that is not in the file")
        }
        let (size, overflow) = tensor.storage.count.multipliedReportingOverflow(by: tensor.storage.dtype.byteCount)
        guard !overflow, size <= entry.size else {
            throw refused("has a storage of \(tensor.storage.count) elements in \(entry.size) bytes")
        }
        guard tensor.offset >= 0, tensor.shape.count == tensor.strides.count, let count = checkedCount(tensor.shape) else {
            throw refused("has an impossible shape")
        }
        if tensor.strides.contains(where: { $0 < 0 }) { throw refused("has negative strides") }
        if count == 0 { return }
        // Expanded axes have the stride 0; what a copy would take must stay in proportion to the file.
        if count > 1 << 24 && count / 16 > tensor.storage.count {
            throw refused("expands \(tensor.storage.count) elements to \(count)")
        }
        var last = tensor.offset
        for (size, stride) in Swift.zip(tensor.shape, tensor.strides) {
            let (step, over) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, more) = last.addingReportingOverflow(step)
            if over || more { throw refused("reaches outside its storage") }
            last = sum
        }
        if last >= tensor.storage.count { throw refused("reaches outside its storage") }
    }

    private func entry(_ name: String) throws -> TorchTensor {
        guard let tensor = tensors[name] else { throw TorchError("there is no tensor \(name)", path: file.path) }
        return tensor
    }

    public func shape(of name: String) throws -> [Int] { try entry(name).shape }

    public func tensor(_ name: String) throws -> Tensor {
        let tensor = try entry(name)
        let dtype = tensor.storage.dtype.dtype
        if checkedCount(tensor.shape) == 0 { return Tensor(zeros: tensor.shape, dtype: dtype ?? .int32) }
        let entry = entries["\(prefix)data/\(tensor.storage.key)"]!
        let size = tensor.storage.count * tensor.storage.dtype.byteCount
        do {
            return try zip.withBytes(entry) { bytes in
                let range: Range<Int>
                let flat: Tensor
                if let dtype, !entry.isDeflated {
                    range = entry.range.lowerBound..<(entry.range.lowerBound + size)
                    flat = file.tensor(range, [tensor.storage.count], dtype)
                } else if let dtype {
                    let copy = RawTensor(Layout(shape: [tensor.storage.count]), dtype)
                    copy.pointer.copyMemory(from: bytes.baseAddress!, byteCount: size)
                    flat = Tensor(raw: copy)
                } else {
                    flat = bytes.widened(0..<size, [tensor.storage.count], Int16.self)
                }
                let layout = Layout(shape: tensor.shape, strides: tensor.strides)
                return Tensor(
                    raw: RawTensor(
                        storage: flat.raw.storage, layout: layout, offset: flat.raw.offset + tensor.offset, dtype: flat.dtype))
            }
        } catch let error as ZipArchive.Failure { throw TorchError(error.reason, path: file.path) }
    }
}

/// The tensors in nested dictionaries and lists.
private struct StateTree {
    var names: [String] = []
    var tensors: [String: TorchTensor] = [:]
    private var steps = 0
    private var nameBytes = 0

    mutating func collect(_ value: PickleValue, _ path: String, _ reader: PickleReader, depth: Int = 0) throws {
        steps += 1
        // A dictionary in itself, or one that is named again and again.
        if depth > 32 || steps > 4_000_000 || path.utf8.count > 4096 {
            throw PickleReader.Failure(reason: "dictionaries nest too deeply")
        }
        func name(_ part: String) -> String { path.isEmpty ? part : "\(path).\(part)" }
        switch value {
        case .tensor(let tensor):
            if tensors.updateValue(tensor, forKey: path) != nil { throw PickleReader.Failure(reason: "\(path) is there twice") }
            names.append(path)
            nameBytes += path.utf8.count
            if nameBytes > 1 << 26 { throw PickleReader.Failure(reason: "the names take too much") }
        case .dictionary(let index):
            for (key, element) in reader.dictionaries[index] {
                switch key {
                case .string(let key): try collect(element, name(key), reader, depth: depth + 1)
                case .integer(let key): try collect(element, name("\(key)"), reader, depth: depth + 1)
                default: throw PickleReader.Failure(reason: "a dictionary's key is neither text nor a number")
                }
            }
        case .list(let index):
            for (i, element) in reader.lists[index].enumerated() { try collect(element, name("\(i)"), reader, depth: depth + 1) }
        case .tuple(let elements, _):
            for (i, element) in elements.enumerated() { try collect(element, name("\(i)"), reader, depth: depth + 1) }
        default: break
        }
    }
}
