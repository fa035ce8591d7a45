// The gamma function's family.

final class LgammaBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * digamma(saved(0)) }
}

/// ln |Γ(x)|; ∞ at 0 and the negative integers. Elementwise.
public func lgamma(_ x: Tensor) -> Tensor {
    unary(.lgamma, x) { x, _ in
        let node = LgammaBackward()
        node.save(x)
        return node
    }
}

final class DigammaBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * polygamma(1, saved(0)) }
}

/// ψ(x), the derivative of ln Γ; -∞ at 0, NaN at the negative integers. Elementwise.
public func digamma(_ x: Tensor) -> Tensor {
    unary(.digamma, x) { x, _ in
        let node = DigammaBackward()
        node.save(x)
        return node
    }
}

final class PolygammaBackward: Node, @unchecked Sendable {
    let order: Int
    init(order: Int) {
        self.order = order
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * polygamma(order + 1, saved(0)) }
}

/// The `order`-th derivative of ψ: (-1)^(n+1) n! ζ(n + 1, x). Elementwise.
public func polygamma(_ order: Int, _ x: Tensor) -> Tensor {
    if order < 0 { fail("polygamma", "a derivative of order \(order)") }
    if order == 0 { return digamma(x) }
    let x = x.asFloatingPoint("polygamma")
    if x.isBatched { return x.lifted { x, _ in polygamma(order, x) } }
    let factorial = (1...order).reduce(1.0) { $0 * Double($1) } * (order % 2 == 0 ? -1 : 1)
    // In double: the factorial and ζ may each leave the range of a smaller type while their product does not. For negative
    // arguments that are no integers, ζ's series of even powers still converges.
    let wide = x.detached().to(.float64)
    let values = zeta(Tensor(Double(order + 1), dtype: .float64, device: x.device), wide) * factorial
    return record(values.to(x.dtype).raw, x) {
        let node = PolygammaBackward(order: order)
        node.save(x)
        return node
    }
}

/// ln of the multivariate gamma function Γ_p(x) = π^(p(p-1)/4) Π Γ(x - j/2), j < p. Elementwise; x > (p - 1) / 2.
public func multivariateLgamma(_ x: Tensor, dimension p: Int) -> Tensor {
    if p < 1 { fail("multivariateLgamma", "a dimension of \(p)") }
    let x = x.asFloatingPoint("multivariateLgamma")
    let terms = (0..<p).map { lgamma(x - Double($0) / 2) }
    return terms.dropFirst().reduce(terms[0], +) + Double(p * (p - 1)) / 4 * 1.14472988584940017414
}

final class ZetaBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        if input == 0 { fail("zeta", "has no derivative by its first argument; use detached()") }
        let s = saved(0), q = saved(1)
        return g * -s * zeta(s + 1, q)
    }
}

/// Hurwitz's zeta function ζ(s, q) = Σ (q + k)^-s over k ≥ 0, s > 1, broadcast; no derivative by `s`.
public func zeta(_ s: Tensor, _ q: Tensor) -> Tensor {
    floatBinary("zeta", .zeta, s, q) { s, q, _ in
        let node = ZetaBackward()
        node.save(s)
        node.save(q)
        return node
    }
}
