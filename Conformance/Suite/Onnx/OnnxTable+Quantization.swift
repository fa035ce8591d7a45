import Tapestry

extension OnnxTable {
    static let quantization: [String: OnnxOperator] = [
        "QuantizeLinear": { call in
            let x = try call.x(0), scale = try call.x(1)
            let named = try call.int("output_dtype", or: 0), target = try integer(call, zero: 2, named: named)
            let (s, zero) = try aligned(call, x, scale, try call.optional(2))
            return .tensor(quantized(x, s, zero, target.integer).to(target.dtype), target.integer) as OnnxValue
        },
        "DequantizeLinear": { call in
            let x = try call.x(0), scale = try call.x(1), (s, zero) = try aligned(call, x, scale, try call.optional(2))
            let whole = zero.map { x.to(.int64) - $0.to(.int64) } ?? x.to(.int64)
            let named = try call.int("output_dtype", or: 0), type = named == 0 ? scale.dtype : try onnxType(named)
            return (whole.to(wide(s)) * s.to(wide(s))).to(type)
        },
        "DynamicQuantizeLinear": { call in
            let x = try call.x(), low = minimum(x.min(), 0.0), high = maximum(x.max(), 0.0)
            let scale = (high - low) / 255, zero = round(-low / scale).clamped(min: 0, max: 255)
            let y = (round(x / scale) + zero).clamped(min: 0, max: 255)
            return outputs(y.to(.uint8), scale, zero.to(.uint8))
        },
        "MatMulInteger": { call in
            let a = try call.x(0), b = try call.x(1)
            // A zero point per row of the first, per column of the second.
            let left = try call.optional(2).map {
                $0.rank == 1 && $0.count > 1 ? $0.unsqueezed(-1) : $0.count == 1 ? $0.reshaped([]) : $0
            }
            return matmul(shifted(a, left), shifted(b, try call.optional(3))).to(.int32)
        },
        "ConvInteger": { call in
            let x = shifted(try call.x(0), try call.optional(2)), weight = try call.x(1)
            return try convolved(call, x, shifted(weight, try call.optional(3)?.facing(axis: 0, rank: weight.rank)), nil).to(
                .int32)
        },
        "QLinearMatMul": { call in
            let a = try call.x(0), b = try call.x(3)
            let rowScale = try call.x(1), rows = rowScale.rank == 1 && rowScale.count > 1 ? rowScale.unsqueezed(-1) : rowScale
            let sums = matmul(
                shifted(a, try call.x(2).facing(axis: Swift.max(a.rank - 2, 0), rank: a.rank)),
                shifted(b, try call.x(5)))
            let scale = rows.to(.float32) * (try call.x(4).to(.float32)) / (try call.x(6).to(.float32))
            let target = try integer(call, zero: 7, named: 0)
            return quantized(sums.to(.float32) * scale, nil, try call.x(7), target.integer).to(target.dtype)
        },
        "QLinearConv": { call in
            let x = shifted(try call.x(0), try call.x(2)), weight = try call.x(3), rank = weight.rank
            let sums = try convolved(
                call, x, shifted(weight, try call.x(5).facing(axis: 0, rank: rank)), try call.optional(8)?.to(.int64))
            let scale = try call.x(1).to(.float32).reshaped([]) * (try call.x(4).to(.float32).facing(axis: 1, rank: rank))
            let target = try integer(call, zero: 7, named: 0)
            let y = sums.to(.float32) * (scale / (try call.x(6).to(.float32).reshaped([])))
            return quantized(y, nil, try call.x(7).reshaped([]), target.integer).to(target.dtype)
        },
    ]

    /// Exact integers less their zero point.
    private static func shifted(_ x: Tensor, _ zero: Tensor?) -> Tensor {
        let wide = x.to(.int64)
        guard let zero else { return wide }
        return wide - (zero.count == 1 ? zero.reshaped([]) : zero).to(.int64)
    }

    private static func wide(_ x: Tensor) -> DType { x.dtype == .float64 ? .float64 : .float32 }

    /// round(x / scale) + zero, within the type's range; `int64`.
    private static func quantized(_ x: Tensor, _ scale: Tensor?, _ zero: Tensor?, _ type: OnnxInteger) -> Tensor {
        let x = x.dtype.isInteger ? x.to(scale?.dtype ?? .float32) : x
        let steps = round(scale.map { (x / $0.to(x.dtype)).to(.float64) } ?? x.to(.float64))
        let y = zero.map { steps + $0.to(.float64) } ?? steps
        return y.clamped(min: Double(type.lowest), max: Double(type.highest)).to(.int64)
    }

    /// The type of the zero point, else the named one, else uint8.
    private static func integer(_ call: OnnxCall, zero i: Int, named: Int) throws -> (integer: OnnxInteger, dtype: DType) {
        if case .tensor(let zero, let narrow) = call.has(i) ? call.inputs[i] : .none {
            guard let type = call.integer(i) else { throw Unsupported("\(call.op) to \(zero.dtype)") }
            return (type, narrow == nil ? zero.dtype : .int64)
        }
        if named == 0 { return (OnnxInteger.of(.uint8)!, .uint8) }
        let dtype = try onnxType(named)
        guard let type = OnnxInteger.numbered[named] ?? OnnxInteger.of(dtype) else { throw Unsupported("\(call.op) to \(dtype)") }
        return (type, dtype)
    }

    /// Scale and zero point for the whole tensor, per place of an axis, or per block of one.
    private static func aligned(_ call: OnnxCall, _ x: Tensor, _ scale: Tensor, _ zero: Tensor?) throws -> (Tensor, Tensor?) {
        let block = try call.int("block_size", or: 0)
        if scale.rank < 2 && block == 0 {
            if scale.count == 1 { return (scale.reshaped([]), zero?.reshaped([])) }
            let axis = try call.axis(1, rank: x.rank)
            return (scale.facing(axis: axis, rank: x.rank), zero?.facing(axis: axis, rank: x.rank))
        }
        let axis = try call.axis(1, rank: x.rank), size = x.shape[axis]
        let each = block > 0 ? block : size / scale.shape[axis]
        func spread(_ t: Tensor) -> Tensor { t.repeatInterleaved(each, axis: axis).narrowed(axis: axis, start: 0, length: size) }
        return (spread(scale), zero.map(spread))
    }
}
