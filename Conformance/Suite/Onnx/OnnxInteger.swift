import Tapestry

/// An integer type of ONNX that the library has no tensors of. Such values are kept exactly in `int64` and wrapped to their width
/// where they leave an operator.
struct OnnxInteger: Sendable, Equatable {
    let bits: Int
    let isSigned: Bool

    static let named: [String: OnnxInteger] = [
        "i16": .init(bits: 16, isSigned: true), "u16": .init(bits: 16, isSigned: false), "u32": .init(bits: 32, isSigned: false),
        "u64": .init(bits: 64, isSigned: false),
    ]

    /// By the number that ONNX gives a type (`TensorProto.DataType`).
    static let numbered: [Int: OnnxInteger] = [
        4: .init(bits: 16, isSigned: false), 5: .init(bits: 16, isSigned: true), 12: .init(bits: 32, isSigned: false),
        13: .init(bits: 64, isSigned: false), 21: .init(bits: 4, isSigned: false), 22: .init(bits: 4, isSigned: true),
        25: .init(bits: 2, isSigned: false), 26: .init(bits: 2, isSigned: true),
    ]

    /// Those of the library's own integers.
    static func of(_ dtype: DType) -> OnnxInteger? {
        switch dtype {
        case .int8: .init(bits: 8, isSigned: true)
        case .uint8: .init(bits: 8, isSigned: false)
        case .int32: .init(bits: 32, isSigned: true)
        case .int64: .init(bits: 64, isSigned: true)
        default: nil
        }
    }

    var lowest: Int { isSigned ? -(1 << (bits - 1)) : 0 }
    var highest: Int { bits == 64 ? Int.max : isSigned ? (1 << (bits - 1)) - 1 : (1 << bits) - 1 }

    /// `int64` numbers modulo 2 to the power of the width. 64 bits stay as they are.
    func wrapped(_ x: Tensor) -> Tensor {
        if bits == 64 { return x }
        let mask = Tensor((1 << bits) - 1, dtype: .int64)
        return isSigned ? ((x - lowest) .& mask) + lowest : x .& mask
    }
}

/// ONNX's numbers of the types that the library has.
func onnxType(_ number: Int) throws -> DType {
    let types: [Int: DType] = [
        1: .float32, 2: .uint8, 3: .int8, 6: .int32, 7: .int64, 9: .bool, 10: .float16, 11: .float64, 14: .complex64,
        15: .complex128, 16: .bfloat16, 17: .float8E4M3, 19: .float8E5M2,
    ]
    if OnnxInteger.numbered[number] != nil { return .int64 }
    guard let type = types[number] else { throw Unsupported("ONNX type number \(number)") }
    return type
}
