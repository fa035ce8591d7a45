import Foundation
import Tapestry

/// Bits and conversions between types.
extension OnnxTable {
    static let integers: [String: OnnxOperator] = [
        "BitwiseAnd": two { $0 .& $1 }, "BitwiseOr": two { $0 .| $1 }, "BitwiseXor": two { $0 .^ $1 },
        "BitwiseNot": one { -$0 - 1 },
        "BitShift": { call in
            let x = try call.x(0), n = try call.x(1)
            let isLeft = try call.string("direction", or: "") == "LEFT"
            return isLeft ? leftShift(x, n) : rightShift(x, n)
        },
        "Cast": { call in try cast(call, try call.x(), to: try call.int("to", or: 1)) },
        "CastLike": { call in
            guard case .tensor(let like, let narrow) = call.inputs[1] else { throw Unsupported("CastLike of no tensor") }
            let x = try call.x()
            return narrow.map { .tensor($0.wrapped(cut(x)), $0) } ?? .tensor(x.to(like.dtype)) as OnnxValue
        },
        "BitCast": { call in
            let number = try call.int("to", or: 1), type = try onnxType(number), x = try call.x()
            let bytes = bytes(x, call.integer(0))
            let target = OnnxInteger.numbered[number]
            let width = target.map { $0.bits / 8 } ?? type.byteCount
            guard width > 0, x.count > 0, bytes.count == x.count * width else { throw Unsupported("BitCast between widths") }
            if let target {
                let numbers = (0..<x.count).map { i in (0..<width).reduce(0) { $0 | Int(bytes[i * width + $1]) << (8 * $1) } }
                return .tensor(target.wrapped(Tensor(numbers, shape: x.shape)), target) as OnnxValue
            }
            var result = Tensor(zeros: x.shape, dtype: type)
            result.withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
            return result
        },
    ]

    private static func cast(_ call: OnnxCall, _ x: Tensor, to number: Int) throws -> OnnxValue {
        guard let narrow = OnnxInteger.numbered[number] else { return .tensor(x.to(try onnxType(number))) }
        return .tensor(narrow.wrapped(cut(x)), narrow)
    }

    private static func cut(_ x: Tensor) -> Tensor { x.to(.int64) }

    /// The elements' bytes, little-endian, with the width of the type that they stand for.
    private static func bytes(_ x: Tensor, _ integer: OnnxInteger?) -> [UInt8] {
        if let integer, integer != OnnxInteger.of(x.dtype) {
            return x.scalars(Int.self).flatMap { n in (0..<integer.bits / 8).map { UInt8(truncatingIfNeeded: n >> (8 * $0)) } }
        }
        return x.contiguous().withUnsafeBytes { Array($0) }
    }
}
