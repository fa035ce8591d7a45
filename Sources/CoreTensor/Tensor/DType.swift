/// The element type of a tensor. Raw values are those of the C kernels.
public enum DType: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    case float32 = 0
    case float64, float16, bfloat16, int8, uint8, int32, int64, bool

    /// Bytes per element.
    public var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .float16, .bfloat16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// True for `float32`, `float64`, `float16` and `bfloat16`: the types that can carry gradients.
    public var isFloatingPoint: Bool { rawValue <= DType.bfloat16.rawValue }
    /// True for the signed and unsigned integers; false for `bool`.
    public var isInteger: Bool { !isFloatingPoint && self != .bool }

    /// The case's name: "float32", "bool" …
    public var description: String {
        switch self {
        case .float32: "float32"
        case .float64: "float64"
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .int8: "int8"
        case .uint8: "uint8"
        case .int32: "int32"
        case .int64: "int64"
        case .bool: "bool"
        }
    }

    @inline(__always) var code: Int32 { Int32(rawValue) }

    /// The type that an operation on `self` and `other` computes in. PyTorch's table (`torch.result_type`):
    ///
    /// | | rule |
    /// |---|---|
    /// | same type | that type |
    /// | bool with anything | the other |
    /// | integer with float | the float |
    /// | integers | the wider; `uint8` with `int8` gives `int32` (there is no int16) |
    /// | floats | the wider; `float16` with `bfloat16` gives `float32` |
    ///
    /// A Swift number beside a tensor is *weak*: it takes the tensor's type, unless it is a fraction beside integers
    /// (`float32`) or a number beside bools (`int64`, or `float32` for a fraction).
    public func promoted(with other: DType) -> DType {
        if self == other { return self }
        if self == .bool { return other }
        if other == .bool { return self }
        switch (isFloatingPoint, other.isFloatingPoint) {
        case (true, false): return self
        case (false, true): return other
        case (true, true):
            if byteCount == other.byteCount { return .float32 }
            return byteCount > other.byteCount ? self : other
        case (false, false):
            if byteCount == other.byteCount { return .int32 }
            return byteCount > other.byteCount ? self : other
        }
    }
}
