import ComplexModule
import Tapestry

/// PyTorch's operator names, with the call that does the same here.
public enum OpTable {
    /// The call of a case: by operator and variant, or by the operator alone.
    static func function(_ item: [String: Any]) throws -> Function {
        let op = item["op"] as? String ?? "", variant = item["variant"] as? String ?? ""
        if let function = functions["\(op).\(variant)"] ?? functions[op] { return function }
        throw Unsupported("operator \(op)")
    }

    typealias Function = @Sendable (GoldenCall) throws -> [Tensor]

    /// Whether there is a call for an operator's name.
    public static func contains(_ name: String) -> Bool { functions[name] != nil }

    static let functions: [String: Function] =
        [
            elementwise, special, reductions, statistics, structure, arrangement, indexing, creation, products, model, losses,
            linearAlgebra, fourier,
            windows, images, tables, attention,
        ].reduce(into: [:]) { $0.merge($1, uniquingKeysWith: refuse) }

    @Sendable static func refuse(_ a: @escaping Function, _: @escaping Function) -> Function {
        preconditionFailure("an operator is in the table twice")
    }

    static func one(_ f: @escaping @Sendable (Tensor) -> Tensor) -> Function {
        { call in
            try call.allow()
            return [f(try call.tensor(0))]
        }
    }

    static func two(_ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> Function {
        { call in
            try call.allow("other")
            let (a, b) = try pair(call)
            return [f(a, b)]
        }
    }

    /// As ``two(_:)`` for functions that take no numbers: such a call would not compile.
    static func twoTensors(_ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> Function {
        { call in
            try call.allow("other")
            guard case .tensor(let a) = call.value(0), case .tensor(let b) = call.value(1, "other") else {
                throw GoldenError("takes tensors alone")
            }
            return [f(a, b)]
        }
    }

    static func weak<S: TensorScalar>(_ number: S, beside tensor: Tensor) -> Tensor {
        Tensor(number, dtype: S.dtypeBeside(tensor.dtype))
    }

    static func scaled(_ call: GoldenCall, _ sign: Int) throws -> [Tensor] {
        try call.allow("other", "alpha")
        let (a, b) = try pair(call)
        switch call.value(9, "alpha") {
        case .none, .int(1): return [sign == 1 ? a + b : a - b]
        case .int(let i): return [a + b * (i * sign)]
        case .bool(let flag): return [flag ? (sign == 1 ? a + b : a - b) : a + (b.dtype == .bool ? b .& .!b : b * 0)]
        case .complex(let re, let im): return [a + b * Complex(re * Double(sign), im * Double(sign))]
        default: return [a + b * (try call.double(9, "alpha", or: 1) * Double(sign))]
        }
    }
}
