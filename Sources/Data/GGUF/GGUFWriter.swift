import CoreTensor

/// Writes tensors as a GGUF file of version 3; the old file, if any, stays until the new one is complete.
///
/// - Parameters:
///   - tensors: Names and tensors, in the order they are to lie in the file.
///   - metadata: Keys and values, in order. llama.cpp wants `general.architecture` and more of its own.
///   - type: How each tensor is stored: as `f32`, `f16`, `bf16`, `q8_0` or `q4_0` (floats; rows of quantised types are multiples of 32
///     values), or nil for the tensor's own type. Blocks are those of ggml's reference quantisation, byte by byte.
///
/// Throws ``GGUFError`` for a name, key or type that the format cannot hold, ``FileError`` when the system refuses.
public func saveGGUF(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: GGUFValue)] = [], to path: String,
    type: (_ name: String, _ tensor: Tensor) -> GGMLType? = { _, _ in nil }
) throws {
    var header = GGUFBytes()
    header.bytes += "GGUF".utf8
    header.add(UInt32(3))
    header.add(UInt64(tensors.count))
    header.add(UInt64(metadata.count))
    var alignment = 32
    if Set(metadata.map(\.key)).count != metadata.count { throw GGUFError("two values have the same key") }
    if Set(tensors.map(\.name)).count != tensors.count { throw GGUFError("two tensors have the same name") }
    for (key, value) in metadata {
        if key.isEmpty || key.utf8.count > 65535 { throw GGUFError("a key of \(key.utf8.count) bytes") }
        if key == "general.alignment" {
            guard case .uint32(let number) = value, number > 0, number & (number - 1) == 0 else {
                throw GGUFError("general.alignment is no power of two of the type uint32")
            }
            alignment = Int(number)
        }
        header.add(key)
        header.add(value.type.rawValue)
        try header.add(value)
    }
    func padding(_ count: Int) -> Int { (alignment - count % alignment) % alignment }
    var types: [GGMLType] = []
    var offset = 0
    for (name, tensor) in tensors {
        guard let stored = type(name, tensor) ?? tensor.dtype.ggmlType else {
            throw GGUFError("\(name) cannot be written: the format has no \(tensor.dtype)")
        }
        let isConverted = stored != tensor.dtype.ggmlType
        guard !isConverted || (tensor.dtype.isFloatingPoint && [.f32, .f16, .bf16, .q8_0, .q4_0].contains(stored)) else {
            throw GGUFError("\(name) of \(tensor.dtype) cannot be written as \(stored)")
        }
        let row = tensor.shape.last ?? 1
        if row % stored.blockSize != 0 {
            throw GGUFError("\(name) has rows of \(row) values, no multiple of \(stored)'s blocks of \(stored.blockSize)")
        }
        if name.isEmpty || name.utf8.count > 65535 { throw GGUFError("a tensor's name of \(name.utf8.count) bytes") }
        header.add(name)
        header.add(UInt32(tensor.shape.count))
        for size in tensor.shape.reversed() { header.add(UInt64(size)) }
        header.add(stored.rawValue)
        header.add(UInt64(offset))
        types.append(stored)
        let size = tensor.count / stored.blockSize * stored.blockByteCount
        offset += size + padding(size)
    }
    header.bytes += [UInt8](repeating: 0, count: padding(header.bytes.count))
    var file = try AtomicFile(path)
    try header.bytes.withUnsafeBytes { try file.write($0) }
    for ((_, tensor), type) in zip(tensors, types) {
        let tensor = tensor.detached().to(device: .cpu)
        var written = 0
        if let dtype = type.dtype {
            try tensor.to(dtype).withUnsafeBytes {
                written = $0.count
                try file.write($0)
            }
        } else {
            // A piece at a time, so that a large tensor is not in memory twice.
            let values = tensor.to(.float32).contiguous()
            try values.withUnsafeBytes { bytes in
                let source = bytes.bindMemory(to: Float.self)
                let blocks = source.count / type.blockSize
                for first in stride(from: 0, to: blocks, by: 1 << 15) {
                    let count = min(1 << 15, blocks - first)
                    let piece = type.quantize(
                        UnsafeBufferPointer(rebasing: source[(first * type.blockSize)..<((first + count) * type.blockSize)]))
                    written += piece.count
                    try piece.withUnsafeBytes { try file.write($0) }
                }
            }
        }
        try [UInt8](repeating: 0, count: padding(written)).withUnsafeBytes { try file.write($0) }
    }
    try file.commit()
}

extension DType {
    /// The type of GGUF files with the same elements.
    var ggmlType: GGMLType? {
        switch self {
        case .float32: .f32
        case .float64: .f64
        case .float16: .f16
        case .bfloat16: .bf16
        case .int8: .i8
        case .int32: .i32
        case .int64: .i64
        default: nil
        }
    }
}

extension GGMLType {
    /// The element type with the same elements.
    var dtype: DType? { DType.allCases.first { $0.ggmlType == self } }

    /// Blocks of `q8_0` or `q4_0`, as ggml's reference makes them.
    func quantize(_ values: UnsafeBufferPointer<Float>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count / blockSize * blockByteCount)
        for start in stride(from: 0, to: values.count, by: 32) {
            let x = values[start..<(start + 32)]
            var largest: Float = 0, signed: Float = 0
            for value in x where value.magnitude > largest { (largest, signed) = (value.magnitude, value) }
            let d = self == .q8_0 ? largest / 127 : signed / -8
            let inverse = d == 0 ? 0 : 1 / d
            let half = Half.bits(d)
            bytes.append(UInt8(half & 0xFF))
            bytes.append(UInt8(half >> 8))
            if self == .q8_0 {
                for value in x {
                    let scaled = value * inverse
                    bytes.append(UInt8(bitPattern: Int8(clamped: scaled.rounded(.toNearestOrAwayFromZero))))
                }
            } else {
                for i in start..<(start + 16) {
                    let low = Self.nibble(values[i] * inverse), high = Self.nibble(values[i + 16] * inverse)
                    bytes.append(low | high << 4)
                }
            }
        }
        return bytes
    }

    private static func nibble(_ scaled: Float) -> UInt8 {
        let shifted = scaled + 8.5
        // NaN compares false and becomes 0.
        return shifted >= 15 ? 15 : shifted > 0 ? UInt8(shifted) : 0
    }
}

extension Int8 {
    /// The nearest value; 0 for NaN.
    fileprivate init(clamped value: Float) { self = value >= 127 ? 127 : value <= -128 ? -128 : value.isNaN ? 0 : Int8(value) }
}

/// Bytes of a header being written.
private struct GGUFBytes {
    var bytes: [UInt8] = []

    mutating func add<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }

    mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    mutating func add(_ value: GGUFValue, depth: Int = 0) throws {
        switch value {
        case .uint8(let x): add(x)
        case .int8(let x): add(x)
        case .uint16(let x): add(x)
        case .int16(let x): add(x)
        case .uint32(let x): add(x)
        case .int32(let x): add(x)
        case .float32(let x): add(x.bitPattern)
        case .bool(let x): add(UInt8(x ? 1 : 0))
        case .uint64(let x): add(x)
        case .int64(let x): add(x)
        case .float64(let x): add(x.bitPattern)
        case .string(let text): add(text)
        case .array(let type, let elements):
            if elements.contains(where: { $0.type != type }) { throw GGUFError("an array of \(type) with another element") }
            if depth >= 4 { throw GGUFError("arrays nested too deeply") }
            add(type.rawValue)
            add(UInt64(elements.count))
            for element in elements { try add(element, depth: depth + 1) }
        }
    }
}
