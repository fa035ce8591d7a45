import CoreTensor

/// Why a file is no IDX file.
public struct IDXError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// What was wrong.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }
    init(_ path: String, _ reason: String) { (self.path, self.reason) = (path, reason) }
}

/// Reads an IDX file, the format of MNIST and its family (yann.lecun.com/exdb/mnist): the shape is the file's, the type uint8, int8,
/// int32, float32 or float64; int16 becomes int32. A gzip file is recognised by its first bytes and expanded in memory.
///
/// Throws ``FileError`` if the file cannot be read and ``IDXError`` if it is none, is cut off or has bytes left over; nothing is allocated
/// before the sizes are checked. - Parameter maxBytes: refuses larger contents (1 GiB unless told otherwise), as gzip data says nothing of its size.
public func readIDX(_ path: String, maxBytes: Int = 1 << 30) throws -> Tensor {
    let file = try MappedFile(path)
    if file.bytes.count >= 2 && file.bytes[0] == 0x1F && file.bytes[1] == 0x8B {
        do {
            // The header, at most 4 + 4 · 16 bytes, says how much there should be.
            let start = try Inflate.bytes(file.bytes, .gzip, limit: 68, isPrefix: true)
            let header = try start.withUnsafeBytes { try IDXHeader($0, path, maxBytes) }
            let content = try Inflate.bytes(file.bytes, .gzip, limit: header.byteCount + header.size)
            return try content.withUnsafeBytes { try parseIDX($0, path, maxBytes) }
        } catch let error as Inflate.Failure {
            throw IDXError(path, error.reason)
        }
    }
    return try parseIDX(file.bytes, path, maxBytes)
}

/// Shape and type of an IDX file, checked.
private struct IDXHeader {
    /// The tensor's type, and the bytes of an element in the file: int16 becomes int32.
    let dtype: DType, width: Int
    let shape: [Int]
    /// Bytes of the header and of the elements.
    let byteCount: Int, size: Int

    init(_ bytes: UnsafeRawBufferPointer, _ path: String, _ maxBytes: Int) throws {
        if bytes.count < 4 { throw IDXError(path, "\(bytes.count) bytes are no IDX file") }
        if bytes[0] != 0 || bytes[1] != 0 {
            throw IDXError(path, "begins with \(bytes[0]), \(bytes[1]), not with the zeros of an IDX file")
        }
        let types: [UInt8: (DType, Int)] = [
            8: (.uint8, 1), 9: (.int8, 1), 0x0B: (.int32, 2), 0x0C: (.int32, 4), 0x0D: (.float32, 4), 0x0E: (.float64, 8),
        ]
        guard let (dtype, width) = types[bytes[2]] else { throw IDXError(path, "the type code \(bytes[2]) is not known") }
        let rank = Int(bytes[3])
        if rank > 16 { throw IDXError(path, "\(rank) axes; at most 16 are read") }
        byteCount = 4 + 4 * rank
        if bytes.count < byteCount { throw IDXError(path, "the header is cut off") }
        var shape: [Int] = [], size = width
        for axis in 0..<rank {
            let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4 + 4 * axis, as: UInt32.self)))
            shape.append(length)
            let (product, overflow) = size.multipliedReportingOverflow(by: length)
            if overflow || product > maxBytes { throw IDXError(path, "the shape \(shape)… has more than \(maxBytes) bytes") }
            size = product
        }
        (self.dtype, self.width, self.shape, self.size) = (dtype, width, shape, size)
    }
}

private func parseIDX(_ bytes: UnsafeRawBufferPointer, _ path: String, _ maxBytes: Int) throws -> Tensor {
    let header = try IDXHeader(bytes, path, maxBytes), shape = header.shape, dtype = header.dtype, size = header.size
    let found = bytes.count - header.byteCount
    if found != size { throw IDXError(path, "\(found) bytes for the shape \(shape) of \(dtype), which has \(size)") }
    var tensor = Tensor(zeros: shape, dtype: dtype)
    if size == 0 { return tensor }
    let width = header.width, source = bytes.baseAddress! + header.byteCount
    tensor.withUnsafeMutableBytes { place in
        // The file has the most significant byte first.
        switch width {
        case 2:
            let wide = place.bindMemory(to: Int32.self)
            for i in wide.indices {
                wide[i] = Int32(Int16(bigEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: Int16.self)))
            }
        case 1: place.copyMemory(from: UnsafeRawBufferPointer(start: source, count: size))
        default:
            for element in stride(from: 0, to: size, by: width) {
                for byte in 0..<width {
                    place[element + byte] = source.load(fromByteOffset: element + width - 1 - byte, as: UInt8.self)
                }
            }
        }
    }
    return tensor
}

/// Writes a tensor as an IDX file, which appears whole or not at all. Traps on types that the format has not (it has uint8, int8, int32,
/// float32, float64) and on more than 255 axes; throws ``FileError`` if the file cannot be written.
public func writeIDX(_ tensor: Tensor, to path: String) throws {
    let codes: [DType: UInt8] = [.uint8: 8, .int8: 9, .int32: 0x0C, .float32: 0x0D, .float64: 0x0E]
    guard let code = codes[tensor.dtype], tensor.rank < 256, tensor.shape.allSatisfy({ $0 <= UInt32.max }) else {
        fail(
            "writeIDX",
            "a tensor of \(tensor.dtype) and shape \(tensor.shape); the format has uint8, int8, int32, float32, float64")
    }
    var bytes: [UInt8] = [0, 0, code, UInt8(tensor.rank)]
    for length in tensor.shape { withUnsafeBytes(of: UInt32(length).bigEndian) { bytes += $0 } }
    let width = tensor.dtype.byteCount
    tensor.detached().to(device: .cpu).withUnsafeBytes { source in
        if width == 1 {
            bytes += source
        } else {
            for element in stride(from: 0, to: source.count, by: width) {
                bytes += source[element..<(element + width)].reversed()
            }
        }
    }
    var file = try AtomicFile(path)
    try bytes.withUnsafeBytes { try file.write($0) }
    try file.commit()
}
