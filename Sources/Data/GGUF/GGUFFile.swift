import CoreTensor

/// A GGUF file (ggml's and llama.cpp's models, versions 2 and 3), mapped into memory: opening reads and checks the header alone, a
/// tensor's pages are read when it is used.
///
/// Quantised tensors become float32 when they are asked for. Names are the file's own; note that llama.cpp's converter stores the rows
/// of a Llama's query and key weights in another order than Hugging Face's files do.
public struct GGUFFile: TensorArchive {
    private let header: GGUFHeader
    private let file: MappedFile
    private let index: [String: GGUFHeader.Entry]

    /// Opens and checks a file. Throws ``FileError`` or ``GGUFError``.
    public init(_ path: String) throws { try self.init(MappedFile(path)) }

    init(_ file: MappedFile) throws {
        self.file = file
        do { header = try GGUFHeader(file.bytes) } catch var error as GGUFError {
            error.path = file.path
            throw error
        }
        index = Dictionary(uniqueKeysWithValues: header.entries.map { ($0.name, $0) })
    }

    /// The format's version: 2 or 3.
    public var version: Int { header.version }
    /// The tensors' names, in the file's order.
    public var names: [String] { header.entries.map(\.name) }
    /// The metadata's keys, in the file's order.
    public var metadataKeys: [String] { header.keys }

    /// A value of the metadata; nil if there is none. Throws on text that is not UTF-8.
    public func metadata(_ key: String) throws -> GGUFValue? {
        guard let (type, range) = header.values[key] else { return nil }
        var reader = GGUFReader(file.bytes, at: range.lowerBound)
        return try reader.value(type, key)
    }

    /// An array of strings of the metadata; nil if there is none of this name. Throws if it is something else.
    func strings(_ key: String) throws -> [String]? {
        guard let value = try metadata(key) else { return nil }
        guard case .array(.string, let list) = value else { throw GGUFError("\(key) is no array of strings") }
        return list.map { $0.string! }
    }

    /// An array of numbers of the metadata, read as one type; nil if there is none of this name. Throws if it is something else.
    func numbers(_ key: String) throws -> [Double]? {
        guard let value = try metadata(key) else { return nil }
        guard case .array(_, let list) = value else { throw GGUFError("\(key) is no array") }
        return try list.map { element in
            guard let number = element.double else { throw GGUFError("\(key) is no array of numbers") }
            return number
        }
    }

    private func entry(_ name: String) throws -> GGUFHeader.Entry {
        guard let entry = index[name] else { throw GGUFError("there is no tensor \(name)") }
        return entry
    }

    public func shape(of name: String) throws -> [Int] { try entry(name).shape }

    /// How a tensor is stored.
    public func storedType(of name: String) throws -> GGMLType { try entry(name).type }

    /// A tensor of the file: plain types see the mapped bytes (`i16` is widened to int32), quantised ones are computed as float32.
    public func tensor(_ name: String) throws -> Tensor {
        let entry = try entry(name)
        switch entry.type {
        case .f32: return file.tensor(entry.range, entry.shape, .float32)
        case .f16: return file.tensor(entry.range, entry.shape, .float16)
        case .bf16: return file.tensor(entry.range, entry.shape, .bfloat16)
        case .f64: return file.tensor(entry.range, entry.shape, .float64)
        case .i8: return file.tensor(entry.range, entry.shape, .int8)
        case .i32: return file.tensor(entry.range, entry.shape, .int32)
        case .i64: return file.tensor(entry.range, entry.shape, .int64)
        case .i16:
            return file.bytes.widened(entry.range, entry.shape, Int16.self)
        default:
            let layout = Layout(shape: entry.shape)
            let result = RawTensor(layout, .float32)
            let done = entry.type.dequantize(
                file.bytes.baseAddress! + entry.range.lowerBound, count: layout.count / entry.type.blockSize,
                into: result.pointer.assumingMemoryBound(to: Float.self))
            if !done { throw GGUFError("\(name) has the type \(entry.type), which cannot be read here") }
            return Tensor(raw: result)
        }
    }
}
