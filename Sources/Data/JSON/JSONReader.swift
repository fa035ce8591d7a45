/// Where and why text is not the JSON that was expected.
public struct JSONError: Error, CustomStringConvertible, Equatable {
    /// What was wrong, naming the byte.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// A strict reader of JSON (RFC 8259) over bytes. General parsers key objects by strings, which makes two names one where Unicode
/// calls them equivalent (`é` written in two ways: two tokens of a vocabulary), do not say when a name comes twice, and build
/// values before anything is checked.
package struct JSONReader {
    private let bytes: UnsafeRawBufferPointer
    /// The next byte to read.
    package private(set) var position = 0
    /// Values nested deeper than this are refused.
    package static let deepest = 64

    /// The bytes must stay in place while the reader is used.
    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var count: Int { bytes.count }

    private mutating func skipSpace() {
        while position < count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// The first byte of the next value; nil at the end.
    package mutating func peek() -> UInt8? {
        skipSpace()
        return position < count ? bytes[position] : nil
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        skipSpace()
        if position >= count || bytes[position] != UInt8(ascii: character) {
            throw JSONError("expected \(character) at byte \(position)")
        }
        position += 1
    }

    private mutating func next(is character: Unicode.Scalar) -> Bool {
        skipSpace()
        if position < count && bytes[position] == UInt8(ascii: character) {
            position += 1
            return true
        }
        return false
    }

    /// Nothing but blanks may be left.
    package mutating func end() throws {
        skipSpace()
        if position != count { throw JSONError("something follows the value at byte \(position)") }
    }

    /// An object: `member` is called after each name and must read the value. Names may come twice; the caller sees both.
    package mutating func object(_ member: (inout JSONReader, String) throws -> Void) throws {
        try expect("{")
        if next(is: "}") { return }
        repeat {
            let key = try string()
            try expect(":")
            try member(&self, key)
        } while next(is: ",")
        try expect("}")
    }

    /// An array: `element` is called for each and must read it.
    package mutating func array(_ element: (inout JSONReader) throws -> Void) throws {
        try expect("[")
        if next(is: "]") { return }
        repeat { try element(&self) } while next(is: ",")
        try expect("]")
    }

    /// Passes over a word and answers whether it was there.
    package mutating func skipWord(_ word: StaticString) -> Bool {
        skipSpace()
        let end = position + word.utf8CodeUnitCount
        guard end <= count else { return false }
        for i in 0..<word.utf8CodeUnitCount where bytes[position + i] != word.utf8Start[i] { return false }
        position = end
        return true
    }

    /// Passes over any value.
    package mutating func skipValue(depth: Int = 0) throws {
        if depth > Self.deepest { throw JSONError("values nest too deeply at byte \(position)") }
        switch peek() {
        case nil: throw JSONError("the text ends in the middle of a value")
        case UInt8(ascii: "{"): try object { reader, _ in try reader.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["): try array { try $0.skipValue(depth: depth + 1) }
        case UInt8(ascii: "\""): _ = try string()
        default:
            if skipWord("true") || skipWord("false") || skipWord("null") { return }
            _ = try number()
        }
    }

    /// A list of whole numbers from 0 on.
    package mutating func integers() throws -> [Int] {
        var list: [Int] = []
        try array { list.append(try $0.integer()) }
        return list
    }

    /// Digits alone: no sign, fraction or exponent, no leading zero, at most Int.max.
    package mutating func integer() throws -> Int {
        skipSpace()
        let start = position
        var value = 0
        while position < count, case let digit = bytes[position], (0x30...0x39).contains(digit) {
            let (tens, overflow1) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = tens.addingReportingOverflow(Int(digit - 0x30))
            if overflow1 || overflow2 { throw JSONError("a number at byte \(start) is too large") }
            value = sum
            position += 1
        }
        if position == start || (bytes[start] == 0x30 && position > start + 1) {
            throw JSONError("expected a whole number at byte \(start)")
        }
        return value
    }

    /// Any number of the grammar: whole, if it has neither fraction nor exponent and fits.
    package mutating func number() throws -> JSONValue {
        skipSpace()
        let start = position
        func fail() -> JSONError { JSONError("no value at byte \(start)") }
        func digits() throws {
            let first = position
            while position < count, (0x30...0x39).contains(bytes[position]) { position += 1 }
            if position == first { throw fail() }
        }
        if position < count, bytes[position] == UInt8(ascii: "-") { position += 1 }
        let whole = position
        try digits()
        if bytes[whole] == 0x30 && position > whole + 1 { throw fail() }
        var isWhole = true
        if position < count, bytes[position] == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            try digits()
        }
        if position < count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            position += 1
            if position < count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let integer = Int(text) { return .integer(integer) }
        guard let double = Double(text) else { throw fail() }
        return .number(double)
    }

    /// A string. Escapes must be whole: half a surrogate pair stands for no text.
    package mutating func string() throws -> String {
        skipSpace()
        let start = position
        try expect("\"")
        // Most strings have no escape: one look, one copy.
        while position < count, bytes[position] != 0x22, bytes[position] != 0x5C, bytes[position] >= 0x20 { position += 1 }
        if position < count, bytes[position] == 0x22 {
            let content = UnsafeRawBufferPointer(rebasing: bytes[(start + 1)..<position])
            position += 1
            return try text(content, at: start)
        }
        var utf8 = Array(bytes[(start + 1)..<position])
        while true {
            if position >= count { throw JSONError("a string at byte \(start) has no end") }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try utf8.withUnsafeBytes { try text($0, at: start) }
            case UInt8(ascii: "\\"): try escape(into: &utf8)
            case 0..<0x20: throw JSONError("a control character in a string at byte \(start)")
            default: utf8.append(byte)
            }
        }
    }

    private func text(_ utf8: UnsafeRawBufferPointer, at start: Int) throws -> String {
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw JSONError("a string at byte \(start) is not UTF-8")
        }
        return text
    }

    private mutating func escape(into utf8: inout [UInt8]) throws {
        if position >= count { throw JSONError("the text ends in an escape") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): utf8.append(byte)
        case UInt8(ascii: "b"): utf8.append(0x08)
        case UInt8(ascii: "f"): utf8.append(0x0C)
        case UInt8(ascii: "n"): utf8.append(0x0A)
        case UInt8(ascii: "r"): utf8.append(0x0D)
        case UInt8(ascii: "t"): utf8.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try hex()
            let half = JSONError("half a surrogate pair at byte \(position)")
            if (0xD800..<0xDC00).contains(unit) {
                guard position + 1 < count, bytes[position] == 0x5C, bytes[position + 1] == 0x75 else { throw half }
                position += 2
                let low = try hex()
                if !(0xDC00..<0xE000).contains(low) { throw half }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw half }
            utf8.append(contentsOf: UTF8.encode(scalar)!)
        default: throw JSONError("an unknown escape at byte \(position)")
        }
    }

    private mutating func hex() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw JSONError("a broken \\u escape at byte \(position)")
            }
            value = value << 4 + UInt32(digit)
            position += 1
        }
        return value
    }
}
