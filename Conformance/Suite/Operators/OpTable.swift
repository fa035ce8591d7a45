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
        [elementwise, reductions, structure, model, linearAlgebra, fourier].reduce(into: [:]) { $0.merge($1, uniquingKeysWith: refuse) }

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
            // A Python number beside a tensor is weak, as a Swift number is here.
            switch (call.value(0), call.value(1, "other")) {
            case (.tensor(let a), .int(let b)): return [f(a, weak(b, beside: a))]
            case (.tensor(let a), .float(let b)): return [f(a, weak(b, beside: a))]
            case (.int, .int): throw Unsupported("two numbers")
            default: return [f(try call.tensor(0), try call.tensor(1, "other"))]
            }
        }
    }

    static func weak<S: TensorScalar>(_ number: S, beside tensor: Tensor) -> Tensor {
        Tensor(number, dtype: S.dtypeBeside(tensor.dtype))
    }

    static func scaled(_ call: GoldenCall, _ sign: Double) throws -> [Tensor] {
        try call.allow("other", "alpha")
        let a = try call.tensor(0), b = try call.tensor(1, "other")
        let alpha = try call.double(9, "alpha", or: 1)
        let factor = sign * alpha
        if factor == 1 { return [a + b] }
        if factor == -1 { return [a - b] }
        return [factor == factor.rounded() ? a + b * Int(factor) : a + b * factor]
    }
}
