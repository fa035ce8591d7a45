import CoreTensor
import NN

extension DType {
    /// The format's name, and back; nil where it has none.
    var safetensorsName: String? {
        switch self {
        case .float32: "F32"
        case .float64: "F64"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int8: "I8"
        case .uint8: "U8"
        case .int32: "I32"
        case .int64: "I64"
        case .bool: "BOOL"
        case .complex64: "C64"
        case .complex128: nil
        case .float8E4M3: "F8_E4M3"
        case .float8E5M2: "F8_E5M2"
        }
    }

    static func safetensors(_ name: String) -> DType? { allCases.first { $0.safetensorsName == name } }
}

/// A safetensors file, mapped into memory: opening reads the header alone, a tensor's pages are read when it is used.
public struct SafetensorsFile: TensorArchive {
    /// The file's header, checked.
    public let header: SafetensorsHeader
    private let file: MappedFile
    private let index: [String: SafetensorsHeader.Entry]

    /// Opens and checks a file. Throws ``FileError`` or ``SafetensorsError``.
    public init(_ path: String) throws { try self.init(MappedFile(path)) }

    init(_ file: MappedFile) throws {
        self.file = file
        do { header = try SafetensorsHeader(file.bytes) } catch var error as SafetensorsError {
            error.path = file.path
            throw error
        }
        index = Dictionary(uniqueKeysWithValues: header.entries.map { ($0.name, $0) })
    }

    /// The tensors' names, in the order of their data.
    public var names: [String] { header.entries.map(\.name) }
    /// The file's free text by key (`__metadata__`); empty if it has none.
    public var metadata: [String: String] { header.metadata }

    /// A tensor of the file, seeing the mapped bytes (a copy if they are not aligned for its type).
    public func tensor(_ name: String) throws -> Tensor {
        guard let entry = index[name] else { throw SafetensorsError("there is no tensor \(name)") }
        guard let dtype = DType.safetensors(entry.type) else {
            throw SafetensorsError("\(name) has the type \(entry.type), which no tensor has")
        }
        let start = header.dataStart
        return file.tensor((start + entry.range.lowerBound)..<(start + entry.range.upperBound), entry.shape, dtype)
    }

    public func shape(of name: String) throws -> [Int] {
        guard let entry = index[name] else { throw SafetensorsError("there is no tensor \(name)") }
        return entry.shape
    }
}

/// Writes tensors as a safetensors file; the old file, if any, stays until the new one is complete.
public func saveSafetensors(_ tensors: [String: Tensor], to path: String, metadata: [String: String] = [:]) throws {
    // The reference's order: larger elements first, so that all are aligned; then by name.
    let sorted = tensors.sorted { ($1.value.dtype.byteCount, $0.key) < ($0.value.dtype.byteCount, $1.key) }
    var header = "{"
    if !metadata.isEmpty {
        header += "\"__metadata__\":{"
        header += metadata.sorted { $0.key < $1.key }.map { "\(jsonQuoted($0.key)):\(jsonQuoted($0.value))" }.joined(
            separator: ",")
        header += "}"
    }
    var offset = 0
    for (name, tensor) in sorted {
        let end = offset + tensor.count * tensor.dtype.byteCount
        if header.utf8.count > 1 { header += "," }
        guard let type = tensor.dtype.safetensorsName else {
            throw SafetensorsError("\(name) cannot be written: the format has no \(tensor.dtype)")
        }
        let shape = tensor.shape.map(String.init).joined(separator: ",")
        header +=
            "\(jsonQuoted(name)):{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}"
        offset = end
    }
    header += "}"
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    if header.utf8.count > SafetensorsHeader.largestHeader { throw SafetensorsError("a header of \(header.utf8.count) bytes") }
    var file = try AtomicFile(path)
    try withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { try file.write($0) }
    try Array(header.utf8).withUnsafeBytes { try file.write($0) }
    for (_, tensor) in sorted {
        try tensor.detached().to(device: .cpu).withUnsafeBytes { try file.write($0) }
    }
    try file.commit()
}

extension Module {
    /// Writes parameters and buffers as a safetensors file.
    public func save(_ path: String) throws { try saveSafetensors(stateDict, to: path, metadata: ["format": "pt"]) }

    /// Reads parameters and buffers from a safetensors file. Nothing changes unless everything fits.
    public func load(_ path: String, strict: Bool = true) throws {
        try loadStateDict(SafetensorsFile(path).tensors(), strict: strict)
    }
}
