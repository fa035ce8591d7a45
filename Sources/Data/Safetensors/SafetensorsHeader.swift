import CoreTensor

/// Why a safetensors file was refused.
public struct SafetensorsError: Error, CustomStringConvertible, Equatable {
    /// What was wrong, naming the tensor or the byte where there is one.
    public let reason: String
    /// The file, where one is known.
    public internal(set) var path: String?
    /// The path and the reason as a whole sentence.
    public var description: String { (path.map { "\($0): " } ?? "") + "not a valid safetensors file: \(reason)" }
    init(_ reason: String) { self.reason = reason }
}

/// The header of a safetensors file: where each tensor lies. Checked completely before anything is made of it.
public struct SafetensorsHeader: Sendable, Equatable {
    /// One tensor of the file.
    public struct Entry: Sendable, Equatable {
        /// The tensor's name, unique in the file.
        public let name: String
        /// The format's name of the element type: "F32", "BF16" …
        public let type: String
        /// Sizes per axis; `[]` for a scalar.
        public let shape: [Int]
        /// Bytes of the data section.
        public let range: Range<Int>
    }

    /// In the order of their data.
    public let entries: [Entry]
    /// The file's free text by key (`__metadata__`); empty if it has none.
    public let metadata: [String: String]
    /// Where the data section starts in the file.
    public let dataStart: Int

    /// The reference's limit.
    static let largestHeader = 100_000_000

    /// Bits per element of every type of the format.
    static let bits: [String: Int] = [
        "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
        "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    ]

    /// Parses and checks the header of a whole file.
    public init(_ file: UnsafeRawBufferPointer) throws {
        guard file.count >= 8 else { throw SafetensorsError("\(file.count) bytes are too short for a header") }
        let length = file.loadUnaligned(as: UInt64.self).littleEndian
        if length > UInt64(Self.largestHeader) {
            throw SafetensorsError("a header of \(length) bytes; at most \(Self.largestHeader)")
        }
        let headerLength = Int(length)
        if headerLength < 2 || headerLength > file.count - 8 {
            throw SafetensorsError("a header of \(headerLength) bytes in a file of \(file.count)")
        }
        if file[8] != UInt8(ascii: "{") { throw SafetensorsError("the header does not start with {") }
        var reader = JSONReader(UnsafeRawBufferPointer(rebasing: file[8..<(8 + headerLength)]))
        do { (entries, metadata) = try reader.safetensorsHeader() } catch let error as JSONError {
            throw SafetensorsError("in the header, \(error)")
        }
        dataStart = 8 + headerLength
        try checkLayout(file.count - dataStart)
    }

    /// Tensors fill the data section without holes or overlap, and each has the bytes its shape and type need.
    private func checkLayout(_ dataCount: Int) throws {
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                throw SafetensorsError(
                    "\(entry.name) starts at byte \(entry.range.lowerBound) where \(end) was expected (a hole or an overlap)")
            }
            guard let count = checkedCount(entry.shape) else {
                throw SafetensorsError("\(entry.name) has an overflowing shape \(entry.shape)")
            }
            let (bits, overflow) = count.multipliedReportingOverflow(by: Self.bits[entry.type]!)
            if overflow || bits % 8 != 0 || bits / 8 != entry.range.count {
                throw SafetensorsError(
                    "\(entry.name) of shape \(entry.shape) and type \(entry.type) has \(entry.range.count) bytes")
            }
            end = entry.range.upperBound
        }
        if end != dataCount { throw SafetensorsError("the tensors take \(end) bytes of \(dataCount)") }
    }
}

extension JSONReader {
    /// The header's grammar: one object of objects.
    fileprivate mutating func safetensorsHeader() throws -> ([SafetensorsHeader.Entry], [String: String]) {
        var entries: [SafetensorsHeader.Entry] = []
        var metadata: [String: String] = [:]
        var names = Set<String>()
        try object { reader, name in
            if !names.insert(name).inserted { throw SafetensorsError("\(name) is named twice") }
            if name == "__metadata__" {
                if reader.skipWord("null") { return }
                try reader.object { reader, key in
                    if metadata.updateValue(try reader.string(), forKey: key) != nil {
                        throw SafetensorsError("the metadata has \(key) twice")
                    }
                }
            } else {
                entries.append(try reader.safetensorsEntry(name))
            }
        }
        try end()
        // Empty tensors before what starts at the same byte.
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        return (entries, metadata)
    }

    private mutating func safetensorsEntry(_ name: String) throws -> SafetensorsHeader.Entry {
        var type: String?
        var shape: [Int]?
        var offsets: [Int]?
        try object { reader, key in
            switch key {
            case "dtype" where type == nil: type = try reader.string()
            case "shape" where shape == nil: shape = try reader.integers()
            case "data_offsets" where offsets == nil: offsets = try reader.integers()
            case "dtype", "shape", "data_offsets": throw SafetensorsError("\(name) has \(key) twice")
            default: try reader.skipValue()
            }
        }
        guard let type, let shape, let offsets else { throw SafetensorsError("\(name) lacks dtype, shape or data_offsets") }
        if SafetensorsHeader.bits[type] == nil { throw SafetensorsError("\(name) has the unknown type \(type)") }
        if offsets.count != 2 || offsets[0] > offsets[1] { throw SafetensorsError("\(name) has the offsets \(offsets)") }
        return .init(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }
}
