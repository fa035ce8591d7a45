import CoreTensor

/// An `.npy` array of NumPy as a tensor: format versions 1 to 3, either byte order, C or Fortran order.
///
/// | in the file | here |
/// |---|---|
/// | float16, float32, float64, int8, int32, int64, uint8, bool, complex64, complex128 | the same |
/// | int16, uint16 | int32 |
/// | uint32, uint64 | int64; refused if a value is above its largest |
/// | strings, times, records, objects | refused |
///
/// Plain arrays see the mapped bytes. Bytes after the array are ignored, as by NumPy. Throws ``NumpyError`` or ``FileError``.
public func readNumpy(_ path: String) throws -> Tensor {
    let file = try MappedFile(path)
    do { return try NumpyArray.tensor(file.bytes, mapped: file) } catch let error as NumpyError {
        throw NumpyError(error.reason, path: path)
    }
}

/// Writes a tensor as an `.npy` file, as NumPy does: version 1, little-endian, C order. bfloat16 and 8-bit floats have no place in the
/// format; convert them to float32 first. Throws ``NumpyError`` for these, ``FileError`` when the system refuses.
public func saveNumpy(_ tensor: Tensor, to path: String) throws {
    let header = try NumpyArray.header(tensor)
    var file = try AtomicFile(path)
    try header.withUnsafeBytes { try file.write($0) }
    try tensor.detached().to(device: .cpu).withUnsafeBytes { try file.write($0) }
    try file.commit()
}

/// An `.npz` file of NumPy: arrays by name, stored or compressed. Opening reads the directory, an array is read when it is used.
public struct NumpyArchive: TensorArchive {
    /// The arrays' names, without `.npy`.
    public let names: [String]
    private let entries: [String: ZipArchive.Entry]
    private let zip: ZipArchive
    private let file: MappedFile
    private let limit: Int

    /// Opens a file. A compressed array of more than `limit` bytes is refused when it is read: a few kilobytes can say that they are
    /// gigabytes of zeros. Throws ``FileError``, or ``NumpyError`` if it is no zip file, or one with encrypted, repeated or outside
    /// entries.
    public init(_ path: String, limit: Int = 1 << 32) throws { try self.init(MappedFile(path), limit: limit) }

    init(_ file: MappedFile, limit: Int) throws {
        self.limit = limit
        self.file = file
        let path = file.path
        do { zip = try ZipArchive(file) } catch let error as ZipArchive.Failure { throw NumpyError(error.reason, path: path) }
        var names: [String] = []
        var entries: [String: ZipArchive.Entry] = [:]
        for entry in zip.entries {
            let name = entry.name.hasSuffix(".npy") ? String(entry.name.dropLast(4)) : entry.name
            if entries.updateValue(entry, forKey: name) != nil { throw NumpyError("\(name) is there twice", path: path) }
            names.append(name)
        }
        self.names = names
        self.entries = entries
    }

    private func withEntry<T>(_ name: String, _ body: (ZipArchive.Entry) throws -> T) throws -> T {
        guard let entry = entries[name] else { throw NumpyError("there is no array \(name)", path: file.path) }
        do { return try body(entry) } catch let error as ZipArchive.Failure {
            throw NumpyError(error.reason, path: file.path)
        } catch let error
            as NumpyError
        { throw NumpyError("\(name): \(error.reason)", path: file.path) }
    }

    public func shape(of name: String) throws -> [Int] {
        try withEntry(name) { try zip.withPrefix($0, 1 << 20) { try NumpyHeader($0, total: $1).shape } }
    }

    public func tensor(_ name: String) throws -> Tensor {
        try withEntry(name) { entry in
            // What it says it is, before it is made.
            let header = try zip.withPrefix(entry, 1 << 20) { try NumpyHeader($0, total: $1) }
            if entry.isDeflated, entry.size - header.dataStart > header.count * header.kind.byteCount + 4096 {
                throw NumpyError("\(entry.size) bytes for the shape \(header.shape)")
            }
            return try zip.withBytes(entry, limit: entry.isDeflated ? limit : .max) {
                try NumpyArray.tensor($0, mapped: entry.isDeflated ? nil : file)
            }
        }
    }
}

/// Writes tensors as an `.npz` file of uncompressed arrays, in the order given. Throws as ``saveNumpy(_:to:)`` does.
public func saveNumpyArchive(_ tensors: [(name: String, tensor: Tensor)], to path: String) throws {
    if Set(tensors.map(\.name)).count != tensors.count { throw NumpyError("two arrays have the same name") }
    var zip = try ZipWriter(path)
    for (name, tensor) in tensors {
        if name.utf8.count > 60_000 || name.utf8.contains(0) || name.hasPrefix("/") || name.contains("..") {
            throw NumpyError("an array cannot have the name \(name.debugDescription.prefix(80))")
        }
        let header = try NumpyArray.header(tensor)
        try header.withUnsafeBytes { header in
            try tensor.detached().to(device: .cpu).withUnsafeBytes { try zip.add(name + ".npy", [header, $0]) }
        }
    }
    try zip.commit()
}

enum NumpyArray {
    /// The tensor of an array in memory; one that sees the bytes themselves if they are a mapped file's and plain.
    static func tensor(_ bytes: UnsafeRawBufferPointer, mapped file: MappedFile?) throws -> Tensor {
        let header = try NumpyHeader(bytes)
        let range = header.dataStart..<(header.dataStart + header.count * header.kind.byteCount)
        let stored = header.isFortran ? header.shape.reversed() : header.shape
        let tensor: Tensor
        switch header.kind {
        case .plain(let dtype):
            if let file, !header.isBigEndian || dtype.byteCount == 1 {
                let offset = bytes.baseAddress! - file.bytes.baseAddress!
                tensor = file.tensor((offset + range.lowerBound)..<(offset + range.upperBound), stored, dtype)
            } else {
                tensor = copy(bytes, range, stored, dtype, swaps: header.isBigEndian)
            }
        case .integer(let isSigned, let byteCount):
            let isBig = header.isBigEndian
            switch (isSigned, byteCount) {
            case (true, _): tensor = bytes.widened(range, stored, Int16.self, bigEndian: isBig)
            case (false, 2): tensor = bytes.widened(range, stored, UInt16.self, bigEndian: isBig)
            case (false, 4): tensor = bytes.widened(range, stored, UInt32.self, bigEndian: isBig)
            default:
                // The sign bit of int64 must be free.
                for i in stride(from: range.lowerBound + (isBig ? 0 : 7), to: range.upperBound, by: 8) where bytes[i] > 0x7F {
                    throw NumpyError("a value of uint64 above the largest int64")
                }
                tensor = bytes.widened(range, stored, UInt64.self, bigEndian: isBig)
            }
        }
        if !header.isFortran || header.shape.count < 2 { return tensor }
        return tensor.permuted(Array((0..<header.shape.count).reversed()))
    }

    private static func copy(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ shape: [Int], _ dtype: DType, swaps: Bool
    ) -> Tensor {
        let result = RawTensor(Layout(shape: shape), dtype)
        if range.count > 0 { result.pointer.copyMemory(from: bytes.baseAddress! + range.lowerBound, byteCount: range.count) }
        if swaps {
            let width = dtype.real.byteCount
            let target = UnsafeMutableRawBufferPointer(start: result.pointer, count: range.count)
            for start in stride(from: 0, to: range.count, by: width) { target[start..<(start + width)].reverse() }
        }
        if dtype == .bool {
            // Any byte other than 0 is true; in memory it must be 1.
            for i in 0..<range.count where result.pointer.load(fromByteOffset: i, as: UInt8.self) > 1 {
                result.pointer.storeBytes(of: 1, toByteOffset: i, as: UInt8.self)
            }
        }
        return Tensor(raw: result)
    }

    /// The bytes before the elements, filled up so that these are aligned to 64.
    static func header(_ tensor: Tensor) throws -> [UInt8] {
        let descr: String
        switch tensor.dtype {
        case .float16: descr = "<f2"
        case .float32: descr = "<f4"
        case .float64: descr = "<f8"
        case .int8: descr = "|i1"
        case .uint8: descr = "|u1"
        case .int32: descr = "<i4"
        case .int64: descr = "<i8"
        case .bool: descr = "|b1"
        case .complex64: descr = "<c8"
        case .complex128: descr = "<c16"
        case .bfloat16, .float8E4M3, .float8E5M2:
            throw NumpyError("the format has no \(tensor.dtype); convert with to(.float32)")
        }
        let sizes = tensor.shape.map(String.init).joined(separator: ", ") + (tensor.shape.count == 1 ? "," : "")
        var text = "{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(sizes)), }"
        // NumPy leaves room for the first axis to grow to 21 digits.
        if let first = tensor.shape.first { text += String(repeating: " ", count: max(0, 21 - String(first).count)) }
        let length = (10 + text.utf8.count + 1 + 63) / 64 * 64
        text += String(repeating: " ", count: length - 10 - text.utf8.count - 1) + "\n"
        var bytes: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0]
        withUnsafeBytes(of: UInt16(text.utf8.count).littleEndian) { bytes += $0 }
        return bytes + Array(text.utf8)
    }
}
