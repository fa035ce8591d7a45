// Inverse hyperbolic functions.

final class AsinhBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(rsqrt(saved(0) * saved(0) + 1)) }
}

/// Inverse hyperbolic sine. Elementwise.
public func asinh(_ x: Tensor) -> Tensor {
    unary(.asinh, x) { x, _ in
        let node = AsinhBackward()
        node.save(x)
        return node
    }
}

final class AcoshBackward: Node, @unchecked Sendable {
    // 1 / (√(x - 1) √(x + 1)), which is right for complex numbers too
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        return g * conj(rsqrt(x - 1) * rsqrt(x + 1))
    }
}

/// Inverse hyperbolic cosine; NaN below 1. Elementwise.
public func acosh(_ x: Tensor) -> Tensor {
    unary(.acosh, x) { x, _ in
        let node = AcoshBackward()
        node.save(x)
        return node
    }
}

final class AtanhBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(1 - saved(0) * saved(0)) }
}

/// Inverse hyperbolic tangent; ±∞ at ±1, NaN beyond. Elementwise.
public func atanh(_ x: Tensor) -> Tensor {
    unary(.atanh, x) { x, _ in
        let node = AtanhBackward()
        node.save(x)
        return node
    }
}
