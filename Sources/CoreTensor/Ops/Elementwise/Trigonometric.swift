// Trigonometric and hyperbolic functions; angles in radians.

final class SinBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(cos(saved(0))) }
}

/// Sine. Elementwise.
public func sin(_ x: Tensor) -> Tensor {
    unary(.sin, x) { x, _ in
        let node = SinBackward()
        node.save(x)
        return node
    }
}

final class CosBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { -(g * conj(sin(saved(0)))) }
}

/// Cosine. Elementwise.
public func cos(_ x: Tensor) -> Tensor {
    unary(.cos, x) { x, _ in
        let node = CosBackward()
        node.save(x)
        return node
    }
}

final class TanBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0) * saved(0) + 1) }
}

/// Tangent. Elementwise.
public func tan(_ x: Tensor) -> Tensor {
    unary(.tan, x) { _, out in
        let node = TanBackward()
        node.save(output: out)
        return node
    }
}

final class AsinBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(rsqrt(1 - saved(0) * saved(0))) }
}

/// Inverse sine, in [-π/2, π/2]. Elementwise.
public func asin(_ x: Tensor) -> Tensor {
    unary(.asin, x) { x, _ in
        let node = AsinBackward()
        node.save(x)
        return node
    }
}

final class AcosBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { -(g * conj(rsqrt(1 - saved(0) * saved(0)))) }
}

/// Inverse cosine, in [0, π]. Elementwise.
public func acos(_ x: Tensor) -> Tensor {
    unary(.acos, x) { x, _ in
        let node = AcosBackward()
        node.save(x)
        return node
    }
}

final class AtanBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0) * saved(0) + 1) }
}

/// Inverse tangent, in (-π/2, π/2). Elementwise.
public func atan(_ x: Tensor) -> Tensor {
    unary(.atan, x) { x, _ in
        let node = AtanBackward()
        node.save(x)
        return node
    }
}

final class SinhBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(cosh(saved(0))) }
}

/// Hyperbolic sine. Elementwise.
public func sinh(_ x: Tensor) -> Tensor {
    unary(.sinh, x) { x, _ in
        let node = SinhBackward()
        node.save(x)
        return node
    }
}

final class CoshBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(sinh(saved(0))) }
}

/// Hyperbolic cosine. Elementwise.
public func cosh(_ x: Tensor) -> Tensor {
    unary(.cosh, x) { x, _ in
        let node = CoshBackward()
        node.save(x)
        return node
    }
}
