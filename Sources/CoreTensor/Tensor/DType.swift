/// The element type of a tensor. Raw values are those of the C kernels.
public enum DType: UInt8, Sendable, CaseIterable, LosslessStringConvertible {
    case float32 = 0
    case float64, float16, bfloat16, int8, uint8, int32, int64, bool
    /// Two `float32`, real and imaginary part.
    case complex64
    /// Two `float64`, real and imaginary part.
    case complex128
    /// 8-bit float with 4 exponent bits (OCP E4M3: no infinity, largest 448). Storage only: convert to calculate.
    case float8E4M3
    /// 8-bit float with 5 exponent bits (OCP E5M2: largest 57344). Storage only: convert to calculate.
    case float8E5M2

    /// Bytes per element.
    public var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .float16, .bfloat16: 2
        case .int8, .uint8, .bool, .float8E4M3, .float8E5M2: 1
        case .complex64: 8
        case .complex128: 16
        }
    }

    /// True for `float32`, `float64`, `float16` and `bfloat16`: the real types that are calculated with and carry gradients.
    public var isFloatingPoint: Bool { rawValue <= DType.bfloat16.rawValue }
    /// True for the signed and unsigned integers; false for `bool`.
    public var isInteger: Bool { rawValue > DType.bfloat16.rawValue && rawValue < DType.bool.rawValue }
    /// True for `complex64` and `complex128`.
    public var isComplex: Bool { self == .complex64 || self == .complex128 }
    /// True for the 8-bit floats, which are stored and converted but not calculated with.
    public var isStorageOnly: Bool { self == .float8E4M3 || self == .float8E5M2 }
    /// Whether tensors of the type can carry gradients: floats and complex numbers.
    public var isDifferentiable: Bool { isFloatingPoint || isComplex }

    /// The type of the real and imaginary parts; the type itself if it is not complex.
    public var real: DType {
        switch self {
        case .complex64: .float32
        case .complex128: .float64
        default: self
        }
    }

    /// The complex type that holds this one: `complex128` for `float64`, otherwise `complex64`.
    public var complex: DType { self == .float64 || self == .complex128 ? .complex128 : .complex64 }

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
        case .complex64: "complex64"
        case .complex128: "complex128"
        case .float8E4M3: "float8E4M3"
        case .float8E5M2: "float8E5M2"
        }
    }

    /// The type whose ``description`` this is, or nil.
    public init?(_ description: String) {
        guard let type = Self.allCases.first(where: { $0.description == description }) else { return nil }
        self = type
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
    /// | complex with a real | complex; `complex128` if either is 64 bits a part |
    ///
    /// The 8-bit floats have no rule: an operation on them stops.
    ///
    /// A Swift number beside a tensor is *weak*: it takes the tensor's type, unless it is a fraction beside integers
    /// (`float32`) or a number beside bools (`int64`, or `float32` for a fraction).
    public func promoted(with other: DType) -> DType {
        if isStorageOnly || other.isStorageOnly {
            fail("promotion", "\(self) with \(other): 8-bit floats are for storage; convert with to(.float32)")
        }
        if self == other { return self }
        if isComplex || other.isComplex {
            let wide = [self, other].contains { $0 == .complex128 || $0 == .float64 }
            return wide ? .complex128 : .complex64
        }
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
