// Signs and rounding. Rounding has derivative 0 almost everywhere, as in PyTorch.

final class AbsBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * sign(saved(0)) }
}

/// Magnitude; the slope at 0 is 0. Complex numbers give the real type. Elementwise.
public func abs(_ x: Tensor) -> Tensor {
    if x.dtype.isComplex { return complexAbs(x) }
    return unary(.abs, x, keepsIntegers: true) { x, _ in
        let node = AbsBackward()
        node.save(x)
        return node
    }
}

final class SignBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

/// -1, 0 or 1; NaN for NaN; for complex numbers z / |z| (PyTorch's `sgn`). Elementwise.
public func sign(_ x: Tensor) -> Tensor {
    if x.dtype == .bool { return x }
    if x.dtype.isComplex { return complexSign(x) }
    return unary(.sign, x, keepsIntegers: true) { _, _ in SignBackward() }
}

final class FloorBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

/// The largest integer not above. Elementwise.
public func floor(_ x: Tensor) -> Tensor {
    if !x.dtype.isDifferentiable { return x }
    return unary(.floor, x) { _, _ in FloorBackward() }
}

final class CeilBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

/// The smallest integer not below. Elementwise.
public func ceil(_ x: Tensor) -> Tensor {
    if !x.dtype.isDifferentiable { return x }
    return unary(.ceil, x) { _, _ in CeilBackward() }
}

final class RoundBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

/// The nearest integer, halves to even. Elementwise.
public func round(_ x: Tensor) -> Tensor {
    if !x.dtype.isDifferentiable { return x }
    return unary(.round, x) { _, _ in RoundBackward() }
}

final class TruncBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

/// The integer part. Elementwise.
public func trunc(_ x: Tensor) -> Tensor {
    if !x.dtype.isDifferentiable { return x }
    return unary(.trunc, x) { _, _ in TruncBackward() }
}
