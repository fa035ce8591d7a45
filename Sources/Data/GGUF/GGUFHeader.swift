/// The header of a GGUF file (versions 2 and 3): metadata and where each tensor lies. Checked completely before anything is made of
/// it; nothing larger than a part of the file is allocated.
struct GGUFHeader: Sendable {
    struct Entry: Sendable {
        let name: String
        let type: GGMLType
        /// Sizes per axis, the last one contiguous: the file's order turned round.
        let shape: [Int]
        /// Bytes of the file.
        let range: Range<Int>
    }

    private(set) var version = 0
    /// Keys in the file's order; each value's type and bytes.
    private(set) var keys: [String] = []
    private(set) var values: [String: (type: GGUFValueType, range: Range<Int>)] = [:]
    private(set) var entries: [Entry] = []

    init(_ file: UnsafeRawBufferPointer) throws {
        var reader = GGUFReader(file)
        guard try reader.bytes(4).elementsEqual("GGUF".utf8) else { throw GGUFError("it does not start with GGUF") }
        let version = try reader.integer(UInt32.self)
        if version.byteSwapped == 2 || version.byteSwapped == 3 { throw GGUFError("its numbers are big-endian") }
        guard version == 2 || version == 3 else { throw GGUFError("version \(version) is not known here (2 and 3 are)") }
        self.version = Int(version)
        let tensorCount = try reader.integer(UInt64.self), keyCount = try reader.integer(UInt64.self)
        // The smallest entries take this much: a file cannot hold more of them.
        guard keyCount <= UInt64(reader.left / 13) else { throw GGUFError("\(keyCount) keys in \(file.count) bytes") }
        guard tensorCount <= UInt64(reader.left / 24) else { throw GGUFError("\(tensorCount) tensors in \(file.count) bytes") }
        for _ in 0..<keyCount {
            let key = try reader.name("a key")
            guard let type = GGUFValueType(rawValue: try reader.integer(UInt32.self)) else {
                throw GGUFError("\(key) has a value of an unknown type")
            }
            let start = reader.position
            try reader.skip(type, key)
            if values.updateValue((type, start..<reader.position), forKey: key) != nil {
                throw GGUFError("\(key) is there twice")
            }
            keys.append(key)
        }
        var alignment = 32
        if let value = values["general.alignment"] {
            var reader = GGUFReader(file, at: value.range.lowerBound)
            guard value.type == .uint32, case let number = Int(try reader.integer(UInt32.self)), number > 0,
                number & (number - 1) == 0
            else { throw GGUFError("general.alignment is no power of two of the type uint32") }
            alignment = number
        }
        try readEntries(Int(tensorCount), alignment, &reader)
    }

    private mutating func readEntries(_ count: Int, _ alignment: Int, _ reader: inout GGUFReader) throws {
        var names = Set<String>()
        var list: [(name: String, type: GGMLType, shape: [Int], offset: UInt64, size: Int)] = []
        for _ in 0..<count {
            let name = try reader.name("a tensor")
            if !names.insert(name).inserted { throw GGUFError("\(name) is there twice") }
            let rank = try reader.integer(UInt32.self)
            if rank > 8 { throw GGUFError("\(name) has \(rank) dimensions") }
            var shape: [Int] = []
            for _ in 0..<rank {
                guard let size = Int(exactly: try reader.integer(UInt64.self)) else {
                    throw GGUFError("\(name) has a negative size")
                }
                shape.append(size)
            }
            guard let elements = checkedCount(shape) else { throw GGUFError("\(name) has an overflowing shape") }
            let number = try reader.integer(UInt32.self)
            guard let type = GGMLType(rawValue: number) else { throw GGUFError("\(name) has the unknown type \(number)") }
            if (shape.first ?? 1) % type.blockSize != 0 {
                throw GGUFError(
                    "\(name) has rows of \(shape.first ?? 1) values, no multiple of \(type)'s blocks of \(type.blockSize)")
            }
            let (size, overflow) = (elements / type.blockSize).multipliedReportingOverflow(by: type.blockByteCount)
            if overflow { throw GGUFError("\(name) has an overflowing shape") }
            let offset = try reader.integer(UInt64.self)
            if offset % UInt64(alignment) != 0 { throw GGUFError("\(name) starts at \(offset), not aligned to \(alignment)") }
            list.append((name, type, shape.reversed(), offset, size))
        }
        // Up to here the file was read; the data follow aligned.
        let dataStart = reader.position + (alignment - reader.position % alignment) % alignment
        for item in list {
            guard item.size <= reader.count, let offset = Int(exactly: item.offset), offset <= reader.count,
                dataStart + offset + item.size <= reader.count
            else { throw GGUFError("\(item.name) reaches beyond the end of the file") }
            entries.append(
                Entry(
                    name: item.name, type: item.type, shape: item.shape,
                    range: (dataStart + offset)..<(dataStart + offset + item.size)))
        }
        let sorted = entries.filter { !$0.range.isEmpty }.sorted { $0.range.lowerBound < $1.range.lowerBound }
        for (a, b) in zip(sorted, sorted.dropFirst()) where a.range.upperBound > b.range.lowerBound {
            throw GGUFError("\(a.name) and \(b.name) overlap")
        }
    }
}

/// Reads a GGUF file's header from front to back, never beyond its end.
struct GGUFReader {
    private let file: UnsafeRawBufferPointer
    private(set) var position: Int

    /// Longest name of a key or tensor, as in the specification.
    private static let longestName = 65535
    /// Arrays in arrays deeper than this are refused.
    private static let deepest = 4

    init(_ file: UnsafeRawBufferPointer, at position: Int = 0) {
        self.file = file
        self.position = position
    }

    var count: Int { file.count }
    var left: Int { file.count - position }

    mutating func bytes(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count <= left else { throw GGUFError("it ends at byte \(file.count), in the middle of its header") }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: file[position..<(position + count)])
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        T(littleEndian: try bytes(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    /// A string's bytes.
    mutating func text() throws -> UnsafeRawBufferPointer {
        let length = try integer(UInt64.self)
        guard length <= UInt64(left) else { throw GGUFError("a string of \(length) bytes at byte \(position), beyond the file") }
        return try bytes(Int(length))
    }

    mutating func name(_ what: String) throws -> String {
        let bytes = try text()
        guard !bytes.isEmpty, bytes.count <= Self.longestName, let name = String(validating: bytes, as: UTF8.self) else {
            throw GGUFError("\(what) at byte \(position) has an empty, too long or broken name")
        }
        return name
    }

    /// Passes over a value, checking that it lies in the file.
    mutating func skip(_ type: GGUFValueType, _ key: String, depth: Int = 0) throws {
        switch type {
        case .string: _ = try text()
        case .array:
            if depth >= Self.deepest { throw GGUFError("\(key) has arrays nested too deeply") }
            let (element, count) = try arrayHead(key)
            if let size = element.byteCount {
                _ = try bytes(count * size)
            } else {
                for _ in 0..<count { try skip(element, key, depth: depth + 1) }
            }
        case .bool:
            if try integer(UInt8.self) > 1 { throw GGUFError("\(key) is a bool that is neither 0 nor 1") }
        default: _ = try bytes(type.byteCount!)
        }
    }

    /// The element type and length of an array. The length is no more than the rest of the file can hold.
    mutating func arrayHead(_ key: String) throws -> (GGUFValueType, Int) {
        guard let element = GGUFValueType(rawValue: try integer(UInt32.self)) else {
            throw GGUFError("\(key) is an array of an unknown type")
        }
        let count = try integer(UInt64.self)
        guard count <= UInt64(left / (element.byteCount ?? 8)) else {
            throw GGUFError("\(key) has \(count) elements, beyond the file")
        }
        return (element, Int(count))
    }

    mutating func value(_ type: GGUFValueType, _ key: String) throws -> GGUFValue {
        switch type {
        case .uint8: return .uint8(try integer(UInt8.self))
        case .int8: return .int8(try integer(Int8.self))
        case .uint16: return .uint16(try integer(UInt16.self))
        case .int16: return .int16(try integer(Int16.self))
        case .uint32: return .uint32(try integer(UInt32.self))
        case .int32: return .int32(try integer(Int32.self))
        case .float32: return .float32(Float(bitPattern: try integer(UInt32.self)))
        case .bool: return .bool(try integer(UInt8.self) != 0)
        case .uint64: return .uint64(try integer(UInt64.self))
        case .int64: return .int64(try integer(Int64.self))
        case .float64: return .float64(Double(bitPattern: try integer(UInt64.self)))
        case .string:
            guard let text = String(validating: try text(), as: UTF8.self) else {
                throw GGUFError("\(key) has a string that is not UTF-8")
            }
            return .string(text)
        case .array:
            let (element, count) = try arrayHead(key)
            return .array(element, try (0..<count).map { _ in try value(element, key) })
        }
    }
}
