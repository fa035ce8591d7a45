import ComplexModule
import Tapestry

extension OpTable {
    private static let ignored = ["dtype", "device", "requires_grad", "layout", "pin_memory", "memory_format"]

    private static func filled(_ call: GoldenCall, _ shape: [Int], _ value: GoldenValue, like: DType? = nil) throws -> [Tensor] {
        let given = try type(call)
        switch value {
        case .int(let i): return [Tensor(repeating: i, shape: shape, dtype: given ?? like ?? .int64)]
        case .bool(let b): return [Tensor(repeating: b, shape: shape, dtype: given ?? like ?? .bool)]
        case .float(let f): return [Tensor(repeating: f, shape: shape, dtype: given ?? like ?? .float32)]
        case .complex(let re, let im):
            return [Tensor(repeating: Complex(re, im), shape: shape, dtype: given ?? like ?? .complex64)]
        case .tensor(let t): return [t.to(given ?? like ?? t.dtype).expanded(to: shape)]
        default: throw Unsupported("a value of this kind")
        }
    }

    private static func shape(_ call: GoldenCall, _ position: Int) throws -> [Int] {
        if call.arguments.count <= position { return [] }
        return try call.ints(position, "size")
    }

    /// A number from an argument, or from a scalar tensor.
    private static func bound(_ call: GoldenCall, _ position: Int, _ name: String) throws -> Tensor {
        switch call.value(position, name) {
        case .int(let i): return Tensor(i, dtype: .int64)
        case .bool(let b): return Tensor(b ? 1 : 0, dtype: .int64)
        case .float(let f): return Tensor(f, dtype: .float64)
        case .complex(let re, let im): return Tensor(Complex(re, im), dtype: .complex128)
        case .tensor(let t):
            if t.rank != 0 { throw GoldenError("the bound must be a scalar") }
            return t.to(t.dtype.isComplex ? .complex128 : t.dtype.isInteger ? .int64 : .float64)
        default: throw Unsupported("a bound of this kind")
        }
    }

    private static func spaced(_ call: GoldenCall, _ make: (Tensor, Tensor, Int, DType) throws -> Tensor) throws -> [Tensor] {
        try call.allow("dtype", "device", "requires_grad", "layout", "pin_memory")
        let start = try bound(call, 0, "start"), end = try bound(call, 1, "end"), n = try call.int(2, "steps")
        var type = try type(call) ?? .float32
        if !call.has("dtype") {
            if start.dtype.isComplex || end.dtype.isComplex {
                type = .complex64
            } else if [call.value(0), call.value(1)].contains(where: {
                if case .tensor(let t) = $0 { t.dtype == .float64 } else { false }
            }) {
                type = .float32
            }
        }
        return [try make(start, end, n, type)]
    }

    static let creation: [String: Function] = [
        "zeros": { try filled($0, try shape($0, 0), .int(0), like: .float32) },
        "ones": { try filled($0, try shape($0, 0), .int(1), like: .float32) },
        "full": { try filled($0, try $0.ints(0), $0.value(1, "fill_value")) },
        "empty_like": { [Tensor(zerosLike: try $0.tensor(0))] },
        "zeros_like": { call in
            let x = try call.tensor(0)
            return try filled(call, x.shape, .int(0), like: x.dtype)
        },
        "ones_like": { call in
            let x = try call.tensor(0)
            return try filled(call, x.shape, .int(1), like: x.dtype)
        },
        "full_like": { call in
            let x = try call.tensor(0)
            return try filled(call, x.shape, call.value(1, "fill_value"), like: x.dtype)
        },
        "new_zeros": { call in try filled(call, try shape(call, 1), .int(0), like: try call.tensor(0).dtype) },
        "new_ones": { call in try filled(call, try shape(call, 1), .int(1), like: try call.tensor(0).dtype) },
        "new_full": { call in try filled(call, try call.ints(1), call.value(2, "fill_value"), like: try call.tensor(0).dtype) },
        "fill": { call in
            let x = try call.tensor(0)
            if case .tensor(let t) = call.value(1, "value") { return [x * 0 + t.to(x.dtype)] }
            let value = try filled(call, x.shape, call.value(1, "value"), like: x.dtype)[0]
            // The gradient of what is written over is 0.
            return [x.requiresGrad ? which(Tensor(ones: x.shape, dtype: .bool), value, x) : value]
        },
        "scalar_tensor": { try filled($0, [], $0.value(0), like: .float32) },
        "eye": { call in
            let n = try call.int(0), m = call.arguments.count > 1 ? try call.int(1) : n
            return [Tensor(eye: n, columns: m, dtype: try type(call) ?? .float32)]
        },
        "arange": { call in
            let numbers = call.arguments
            func isInt(_ v: GoldenValue) -> Bool { if case .int = v { true } else { false } }
            let type = try type(call) ?? (numbers.allSatisfy(isInt) ? .int64 : .float32)
            let start = numbers.count > 1 ? try call.double(0, "start", or: 0) : 0
            let end = numbers.count > 1 ? try call.double(1, "end", or: 0) : try call.double(0, "end", or: 0)
            return [Tensor(arange: start, to: end, by: try call.double(2, "step", or: 1), dtype: type)]
        },
        "linspace": { call in
            try spaced(call) { start, end, n, type in
                if type.isInteger {
                    return Tensor(linspace: start.item(Double.self), to: end.item(Double.self), count: n, dtype: .float64).to(
                        type)
                }
                if type.isComplex {
                    let a = start.to(.complex128), b = end.to(.complex128)
                    return complex(
                        real: Tensor(linspace: a.real.item(Double.self), to: b.real.item(Double.self), count: n, dtype: .float64),
                        imaginary: Tensor(
                            linspace: a.imaginary.item(Double.self), to: b.imaginary.item(Double.self), count: n, dtype: .float64)
                    ).to(type)
                }
                return Tensor(linspace: start.item(Double.self), to: end.item(Double.self), count: n, dtype: type)
            }
        },
        "logspace": { call in
            let base = try call.double(3, "base", or: 10)
            return try spaced(call) { start, end, n, type in
                if type.isComplex { throw Unsupported("complex logspace") }
                return Tensor(logspace: start.item(Double.self), to: end.item(Double.self), count: n, base: base, dtype: type)
            }
        },
        "item": { [try $0.tensor(0).reshaped([])] },
        "vander": { call in
            let x = try call.tensor(0)
            let n = try call.int(1, "N", or: x.count)
            let powers = (0..<n).map { pow(x, call.bool(2, "increasing") ? $0 : n - 1 - $0) }
            return [stack(powers, axis: 1)]
        },
    ]

    /// alpha and beta of PyTorch's fused products; beta 0 leaves the first operand out, NaN and all.
    private static func fused(_ call: GoldenCall, _ product: (Tensor, Tensor) -> Tensor) throws -> [Tensor] {
        try call.allow("alpha", "beta")
        func factor(_ name: String, _ x: Tensor) throws -> Tensor? {
            switch call.value(9, name) {
            case .none, .int(1): return x
            case .int(0) where name == "beta": return nil
            case .int(let i): return x * i
            case .bool(let b): return b ? x : nil
            case .complex(let re, let im): return x * Complex(re, im)
            default:
                let f = try call.double(9, name, or: 1)
                if f == 0 && name == "beta" { return nil }
                // PyTorch cuts the factors of integers.
                return x.dtype.isInteger ? x * Int(f) : x * f
            }
        }
        let a = try call.tensor(0), p = product(try call.tensor(1), try call.tensor(2))
        let zero = Tensor(zerosLike: p)
        let first = try factor("beta", a) ?? (a.requiresGrad ? a * 0 : zero),
            second = try factor("alpha", p) ?? (p.requiresGrad ? p * 0 : zero)
        if a.dtype == .bool { return [first .| second] }
        return [first.expanded(to: p.shape) + second]
    }

    static let products: [String: Function] = [
        "addmm": { try fused($0) { matmul($0, $1) } }, "addmv": { try fused($0) { matmul($0, $1) } },
        "baddbmm": { try fused($0) { matmul($0, $1) } }, "addbmm": { try fused($0) { matmul($0, $1).sum(0).to($0.dtype) } },
        "addr": { try fused($0) { outer($0, $1) } },
        "outer": { [outer(try $0.tensor(0), try $0.tensor(1))] }, "ger": { [outer(try $0.tensor(0), try $0.tensor(1))] },
        "inner": { [inner(try $0.tensor(0), try $0.tensor(1))] }, "vdot": { [vdot(try $0.tensor(0), try $0.tensor(1))] },
        "dot": { [dot(try $0.tensor(0), try $0.tensor(1))] },
        "kron": { [kron(try $0.tensor(0), try $0.tensor(1))] },
        "tensordot": { call in
            let a = try call.tensor(0), b = try call.tensor(1)
            if case .list(let list) = call.value(2, "dims") {
                func axes(_ v: GoldenValue) throws -> [Int] {
                    guard case .list(let l) = v else {
                        if case .int(let i) = v { return [i] }
                        throw Unsupported("axes of this kind")
                    }
                    return try l.map { if case .int(let i) = $0 { return i } else { throw Unsupported("axes of this kind") } }
                }
                return [tensordot(a, b, axes: (try axes(list[0]), try axes(list[1])))]
            }
            return [tensordot(a, b, axes: try call.int(2, "dims", or: 2))]
        },
        "einsum": { [einsum($0.string(1, "equation", or: ""), $0.value(0).tensors)] },
        "cdist": { [cdist(try $0.tensor(0), try $0.tensor(1), p: try $0.double(2, "p", or: 2))] },
        "nn.functional.pdist": { [pdist(try $0.tensor(0), p: try $0.double(1, "p", or: 2))] },
        "nn.functional.cosine_similarity": { call in
            [
                cosineSimilarity(
                    try call.tensor(0), try call.tensor(1), axis: try call.int(2, "dim", or: 1),
                    epsilon: try call.double(3, "eps", or: 1e-8))
            ]
        },
        "nn.functional.pairwise_distance": { call in
            [
                pairwiseDistance(
                    try call.tensor(0), try call.tensor(1), p: try call.double(2, "p", or: 2),
                    epsilon: try call.double(3, "eps", or: 1e-6),
                    keepDims: call.bool(4, "keepdim"))
            ]
        },
        "nn.functional.normalize": { call in
            [
                normalized(
                    try call.tensor(0), p: try call.double(1, "p", or: 2), axis: try call.int(2, "dim", or: 1),
                    epsilon: try call.double(3, "eps", or: 1e-12))
            ]
        },
        "renorm": { call in
            [
                try call.tensor(0).renormalized(
                    p: try call.double(1, "p", or: 2), axis: try call.int(2, "dim"), maxNorm: try call.double(3, "maxnorm", or: 0)
                )
            ]
        },
    ]
}
