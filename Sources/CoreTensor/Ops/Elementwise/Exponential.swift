// Exponentials, logarithms and powers.

final class ExpBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0)) }
}

/// e^x. Elementwise.
public func exp(_ x: Tensor) -> Tensor {
    unary(.exp, x) { _, out in
        let node = ExpBackward()
        node.save(output: out)
        return node
    }
}

final class Exp2Backward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0)) * 0.693147180559945309417 }
}

/// 2^x. Elementwise.
public func exp2(_ x: Tensor) -> Tensor {
    unary(.exp2, x) { _, out in
        let node = Exp2Backward()
        node.save(output: out)
        return node
    }
}

final class Expm1Backward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0) + 1) }
}

/// e^x - 1, accurate near 0. Elementwise.
public func expm1(_ x: Tensor) -> Tensor {
    unary(.expm1, x) { _, out in
        let node = Expm1Backward()
        node.save(output: out)
        return node
    }
}

final class LogBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0)) }
}

/// Natural logarithm; -∞ at 0, NaN below. Elementwise.
public func log(_ x: Tensor) -> Tensor {
    unary(.log, x) { x, _ in
        let node = LogBackward()
        node.save(x)
        return node
    }
}

final class Log2Backward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0) * 0.693147180559945309417) }
}

/// Logarithm to base 2. Elementwise.
public func log2(_ x: Tensor) -> Tensor {
    unary(.log2, x) { x, _ in
        let node = Log2Backward()
        node.save(x)
        return node
    }
}

final class Log10Backward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0) * 2.30258509299404568402) }
}

/// Logarithm to base 10. Elementwise.
public func log10(_ x: Tensor) -> Tensor {
    unary(.log10, x) { x, _ in
        let node = Log10Backward()
        node.save(x)
        return node
    }
}

final class Log1pBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0) + 1) }
}

/// ln(1 + x), accurate near 0. Elementwise.
public func log1p(_ x: Tensor) -> Tensor {
    unary(.log1p, x) { x, _ in
        let node = Log1pBackward()
        node.save(x)
        return node
    }
}

final class SqrtBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g / conj(saved(0) * 2) }
}

/// Square root; the slope at 0 is ∞. Elementwise.
public func sqrt(_ x: Tensor) -> Tensor {
    unary(.sqrt, x) { _, out in
        let node = SqrtBackward()
        node.save(output: out)
        return node
    }
}

final class RsqrtBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0) * saved(0) * saved(0)) * -0.5 }
}

/// 1 / √x. Elementwise.
public func rsqrt(_ x: Tensor) -> Tensor {
    unary(.rsqrt, x) { _, out in
        let node = RsqrtBackward()
        node.save(output: out)
        return node
    }
}

final class SquareBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(0)) * 2 }
}

/// x². Elementwise.
public func square(_ x: Tensor) -> Tensor {
    unary(.square, x, keepsIntegers: true) { x, _ in
        let node = SquareBackward()
        node.save(x)
        return node
    }
}

final class ReciprocalBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { -(g * conj(saved(0) * saved(0))) }
}

/// 1 / x. Elementwise.
public func reciprocal(_ x: Tensor) -> Tensor {
    unary(.reciprocal, x) { _, out in
        let node = ReciprocalBackward()
        node.save(output: out)
        return node
    }
}
