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
        var parser = HeaderParser(UnsafeRawBufferPointer(rebasing: file[8..<(8 + headerLength)]))
        (entries, metadata) = try parser.parse()
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
            var count = 1
            for size in entry.shape {
                let (product, overflow) = count.multipliedReportingOverflow(by: size)
                if overflow { throw SafetensorsError("\(entry.name) has an overflowing shape \(entry.shape)") }
                count = product
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

/// A strict parser of the header's grammar: one JSON object of objects. General JSON parsers do not say when a name comes
/// twice, and build values before anything is checked.
private struct HeaderParser {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func parse() throws -> ([SafetensorsHeader.Entry], [String: String]) {
        var entries: [SafetensorsHeader.Entry] = []
        var metadata: [String: String] = [:]
        var names = Set<String>()
        if bytes.first != UInt8(ascii: "{") { throw SafetensorsError("the header does not start with {") }
        try object { parser, name in
            if !names.insert(name).inserted { throw SafetensorsError("\(name) is named twice") }
            if name == "__metadata__" {
                if parser.skipWord("null") { return }
                try parser.object { parser, key in
                    if metadata.updateValue(try parser.string(), forKey: key) != nil {
                        throw SafetensorsError("the metadata has \(key) twice")
                    }
                }
            } else {
                entries.append(try parser.entry(name))
            }
        }
        skipSpace()
        if position != bytes.count { throw SafetensorsError("something follows the header's object") }
        // Empty tensors before what starts at the same byte.
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        return (entries, metadata)
    }

    private mutating func entry(_ name: String) throws -> SafetensorsHeader.Entry {
        var type: String?
        var shape: [Int]?
        var offsets: [Int]?
        try object { parser, key in
            switch key {
            case "dtype" where type == nil: type = try parser.string()
            case "shape" where shape == nil: shape = try parser.integers()
            case "data_offsets" where offsets == nil: offsets = try parser.integers()
            case "dtype", "shape", "data_offsets": throw SafetensorsError("\(name) has \(key) twice")
            default: try parser.skipValue()
            }
        }
        guard let type, let shape, let offsets else { throw SafetensorsError("\(name) lacks dtype, shape or data_offsets") }
        if SafetensorsHeader.bits[type] == nil { throw SafetensorsError("\(name) has the unknown type \(type)") }
        if offsets.count != 2 || offsets[0] > offsets[1] { throw SafetensorsError("\(name) has the offsets \(offsets)") }
        return .init(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    // MARK: JSON, as much as the grammar needs

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        skipSpace()
        if position >= bytes.count || bytes[position] != UInt8(ascii: character) {
            throw SafetensorsError("expected \(character) at byte \(position) of the header")
        }
        position += 1
    }

    private mutating func next(is character: Unicode.Scalar) -> Bool {
        skipSpace()
        if position < bytes.count && bytes[position] == UInt8(ascii: character) {
            position += 1
            return true
        }
        return false
    }

    private mutating func object(_ member: (inout HeaderParser, String) throws -> Void) throws {
        try expect("{")
        if next(is: "}") { return }
        repeat {
            skipSpace()
            let key = try string()
            try expect(":")
            skipSpace()
            try member(&self, key)
        } while next(is: ",")
        try expect("}")
    }

    /// Passes over a word and answers whether it was there.
    mutating func skipWord(_ word: String) -> Bool {
        skipSpace()
        let end = position + word.utf8.count
        guard end <= bytes.count, bytes[position..<end].elementsEqual(word.utf8) else { return false }
        position = end
        return true
    }

    /// Passes over any value: the fields that other writers add.
    private mutating func skipValue(depth: Int = 0) throws {
        if depth > 32 { throw SafetensorsError("values nest too deeply at byte \(position) of the header") }
        skipSpace()
        if position >= bytes.count { throw SafetensorsError("the header ends in the middle of a value") }
        switch bytes[position] {
        case UInt8(ascii: "{"): try object { parser, _ in try parser.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            position += 1
            if next(is: "]") { return }
            repeat { try skipValue(depth: depth + 1) } while next(is: ",")
            try expect("]")
        case UInt8(ascii: "\""): _ = try string()
        default:
            if skipWord("true") || skipWord("false") || skipWord("null") { return }
            let start = position
            while position < bytes.count, "+-.0123456789Ee".utf8.contains(bytes[position]) { position += 1 }
            if Double(String(decoding: bytes[start..<position], as: UTF8.self)) == nil {
                throw SafetensorsError("no value at byte \(start) of the header")
            }
        }
    }

    private mutating func integers() throws -> [Int] {
        try expect("[")
        if next(is: "]") { return [] }
        var list: [Int] = []
        repeat { list.append(try integer()) } while next(is: ",")
        try expect("]")
        return list
    }

    /// Digits alone: no sign, fraction or exponent, no leading zero, at most Int.max.
    private mutating func integer() throws -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, case let digit = bytes[position], (0x30...0x39).contains(digit) {
            let (tens, overflow1) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = tens.addingReportingOverflow(Int(digit - 0x30))
            if overflow1 || overflow2 { throw SafetensorsError("a number at byte \(start) of the header is too large") }
            value = sum
            position += 1
        }
        if position == start || (bytes[start] == 0x30 && position > start + 1) {
            throw SafetensorsError("expected a whole number at byte \(start) of the header")
        }
        return value
    }

    private mutating func string() throws -> String {
        skipSpace()
        let start = position
        try expect("\"")
        var utf8: [UInt8] = []
        while true {
            if position >= bytes.count { throw SafetensorsError("a string at byte \(start) of the header has no end") }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: utf8, as: UTF8.self) else {
                    throw SafetensorsError("a string at byte \(start) of the header is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &utf8)
            case 0..<0x20: throw SafetensorsError("a control character in a string at byte \(start) of the header")
            default: utf8.append(byte)
            }
        }
    }

    private mutating func escape(into utf8: inout [UInt8]) throws {
        if position >= bytes.count { throw SafetensorsError("the header ends in an escape") }
        let byte = bytes[position]
        position += 1
        let simple: [UInt8: UInt8] = [
            0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 0x08, 0x66: 0x0C, 0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09,
        ]
        if let plain = simple[byte] {
            utf8.append(plain)
            return
        }
        if byte != UInt8(ascii: "u") { throw SafetensorsError("an unknown escape at byte \(position) of the header") }
        var unit = try hex()
        if (0xD800..<0xDC00).contains(unit) {
            guard position + 1 < bytes.count, bytes[position] == 0x5C, bytes[position + 1] == 0x75 else {
                throw SafetensorsError("half a surrogate pair at byte \(position) of the header")
            }
            position += 2
            let low = try hex()
            if !(0xDC00..<0xE000).contains(low) {
                throw SafetensorsError("half a surrogate pair at byte \(position) of the header")
            }
            unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(unit) else {
            throw SafetensorsError("half a surrogate pair at byte \(position) of the header")
        }
        utf8 += Array(String(Character(scalar)).utf8)
    }

    private mutating func hex() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw SafetensorsError("a broken \\u escape at byte \(position) of the header")
            }
            value = value << 4 + UInt32(digit)
            position += 1
        }
        return value
    }
}
