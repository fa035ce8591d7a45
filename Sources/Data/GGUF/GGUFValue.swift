/// A value of a GGUF file's metadata.
public indirect enum GGUFValue: Sendable, Equatable {
    case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32), float32(Float), bool(Bool)
    case string(String)
    case array(GGUFValueType, [GGUFValue])
    case uint64(UInt64), int64(Int64), float64(Double)

    /// The type that the file names.
    public var type: GGUFValueType {
        switch self {
        case .uint8: .uint8
        case .int8: .int8
        case .uint16: .uint16
        case .int16: .int16
        case .uint32: .uint32
        case .int32: .int32
        case .float32: .float32
        case .bool: .bool
        case .string: .string
        case .array: .array
        case .uint64: .uint64
        case .int64: .int64
        case .float64: .float64
        }
    }

    /// The value of any integer type that fits; nil for everything else.
    public var integer: Int? {
        switch self {
        case .uint8(let x): Int(x)
        case .int8(let x): Int(x)
        case .uint16(let x): Int(x)
        case .int16(let x): Int(x)
        case .uint32(let x): Int(x)
        case .int32(let x): Int(x)
        case .uint64(let x): Int(exactly: x)
        case .int64(let x): Int(x)
        default: nil
        }
    }

    /// The value of a float or an integer.
    public var double: Double? {
        switch self {
        case .float32(let x): Double(x)
        case .float64(let x): x
        default: integer.map(Double.init)
        }
    }

    /// The text of a string.
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    /// The value of a bool.
    public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
}

/// The types of a GGUF file's metadata, by the file's numbers.
public enum GGUFValueType: UInt32, Sendable {
    case uint8 = 0, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value of fixed size; nil for strings and arrays.
    var byteCount: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}

/// Why a GGUF file was refused.
public struct GGUFError: Error, CustomStringConvertible, Equatable {
    /// What was wrong, naming the key or tensor where there is one.
    public let reason: String
    /// The file, where one is known.
    public internal(set) var path: String?
    /// The path and the reason as a whole sentence.
    public var description: String { (path.map { "\($0): " } ?? "") + "not a valid GGUF file: \(reason)" }
    init(_ reason: String) { self.reason = reason }
}
