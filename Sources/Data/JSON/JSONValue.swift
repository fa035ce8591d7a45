/// A JSON value that keeps what dictionaries of strings lose: the order of names, and names that Unicode calls equivalent.
package indirect enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Parses a whole text.
    package init(_ bytes: UnsafeRawBufferPointer) throws {
        var reader = JSONReader(bytes)
        self = try reader.value()
        try reader.end()
    }

    /// Parses a whole text.
    package init(_ text: String) throws {
        self = try Array(text.utf8).withUnsafeBytes { try JSONValue($0) }
    }

    /// Parses a file. Throws ``FileError`` or ``JSONError``.
    package init(file path: String) throws {
        let file = try MappedFile(path)
        self = try withExtendedLifetime(file) { try JSONValue(file.bytes) }
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    package var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    package var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }
    package var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    package var isNull: Bool { if case .null = self { true } else { false } }
    package var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// A member of an object; nil for anything else.
    package subscript(_ name: String) -> JSONValue? { object?[name] }
}

/// The members of a JSON object, in their order.
package struct JSONObject: Sendable {
    package internal(set) var members: [(name: String, value: JSONValue)] = []

    /// The value of the last member with exactly these scalars. Linear: for objects with few members.
    package subscript(_ name: String) -> JSONValue? {
        members.last { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}

extension JSONReader {
    /// Any value as a tree.
    package mutating func value(depth: Int = 0) throws -> JSONValue {
        if depth > Self.deepest { throw JSONError("values nest too deeply at byte \(position)") }
        switch peek() {
        case nil: throw JSONError("the text ends in the middle of a value")
        case UInt8(ascii: "{"):
            var object = JSONObject()
            try self.object { object.members.append(($1, try $0.value(depth: depth + 1))) }
            return .object(object)
        case UInt8(ascii: "["):
            var values: [JSONValue] = []
            try array { values.append(try $0.value(depth: depth + 1)) }
            return .array(values)
        case UInt8(ascii: "\""): return .string(try string())
        default:
            if skipWord("true") { return .bool(true) }
            if skipWord("false") { return .bool(false) }
            if skipWord("null") { return .null }
            return try number()
        }
    }
}

/// A text as a JSON string with its quotes; everything but quotes, backslashes and control characters as it is.
package func jsonQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case _ where scalar.value < 0x20:
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
