// The error function.

final class ErfBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * exp(-(saved(0) * saved(0))) * 1.12837916709551257390 }
}

/// 2/√π ∫₀ˣ e^(-t²) dt. Elementwise.
public func erf(_ x: Tensor) -> Tensor {
    unary(.erf, x) { x, _ in
        let node = ErfBackward()
        node.save(x)
        return node
    }
}

final class ErfcBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * exp(-(saved(0) * saved(0))) * -1.12837916709551257390 }
}

/// 1 - erf(x), accurate for large x. Elementwise.
public func erfc(_ x: Tensor) -> Tensor {
    unary(.erfc, x) { x, _ in
        let node = ErfcBackward()
        node.save(x)
        return node
    }
}
