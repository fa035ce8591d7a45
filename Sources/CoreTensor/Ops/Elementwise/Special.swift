// Special functions of statistics: error functions, normal quantiles, Bessel functions, entropy terms.

final class ErfinvBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * exp(saved(0) * saved(0)) * 0.88622692545275801365 }
}

/// The y with erf(y) = x; ±∞ at ±1, NaN beyond. Elementwise.
public func erfinv(_ x: Tensor) -> Tensor {
    unary(.erfinv, x) { _, out in
        let node = ErfinvBackward()
        node.save(output: out)
        return node
    }
}

final class ErfcxBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * (saved(0) * saved(1) * 2 - 1.12837916709551257390) }
}

/// e^(x²) erfc(x), without overflow or underflow. Elementwise.
public func erfcx(_ x: Tensor) -> Tensor {
    unary(.erfcx, x) { x, out in
        let node = ErfcxBackward()
        node.save(x)
        node.save(output: out)
        return node
    }
}

/// Φ(x), the normal distribution function. Elementwise.
public func ndtr(_ x: Tensor) -> Tensor { erfc(x.asFloatingPoint("ndtr") * -0.70710678118654752440) * 0.5 }

final class NdtriBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * exp(saved(0) * saved(0) * 0.5) * 2.50662827463100050242 }
}

/// Φ⁻¹(p), the normal quantile; ±∞ at 0 and 1, NaN beyond. Elementwise.
public func ndtri(_ p: Tensor) -> Tensor {
    unary(.ndtri, p) { _, out in
        let node = NdtriBackward()
        node.save(output: out)
        return node
    }
}

final class LogNdtrBackward: Node, @unchecked Sendable {
    // φ(x) / Φ(x) = √(2/π) / erfcx(-x / √2)
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        g * 0.79788456080286535588 / erfcx(saved(0) * -0.70710678118654752440)
    }
}

/// ln Φ(x), without underflow. Elementwise.
public func logNdtr(_ x: Tensor) -> Tensor {
    unary(.logNdtr, x) { x, _ in
        let node = LogNdtrBackward()
        node.save(x)
        return node
    }
}

final class BesselBackward: Node, @unchecked Sendable {
    let order: Int
    let scaled: Bool
    init(order: Int, scaled: Bool) {
        self.order = order
        self.scaled = scaled
        super.init()
    }
    override var name: String { "BesselI\(order)\(scaled ? "Scaled" : "")Backward" }

    // I0' = I1, I1' = I0 - I1 / x (½ at 0); the scaled ones lose sign(x) times themselves.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), y = saved(1)
        if order == 0 { return g * (scaled ? i1e(x) - sign(x) * y : i1(x)) }
        let atZero = x .== 0
        let ratio = which(atZero, 0.5, y / which(atZero, 1, x))
        return g * (scaled ? i0e(x) - ratio - sign(x) * y : i0(x) - ratio)
    }
}

private func bessel(_ op: UnaryKernel, _ x: Tensor, order: Int, scaled: Bool) -> Tensor {
    unary(op, x) { x, out in
        let node = BesselBackward(order: order, scaled: scaled)
        node.save(x)
        node.save(output: out)
        return node
    }
}

/// Modified Bessel function of the first kind, order 0. Elementwise.
public func i0(_ x: Tensor) -> Tensor { bessel(.i0, x, order: 0, scaled: false) }
/// e^-|x| times ``i0(_:)``. Elementwise.
public func i0e(_ x: Tensor) -> Tensor { bessel(.i0e, x, order: 0, scaled: true) }
/// Modified Bessel function of the first kind, order 1. Elementwise.
public func i1(_ x: Tensor) -> Tensor { bessel(.i1, x, order: 1, scaled: false) }
/// e^-|x| times ``i1(_:)``. Elementwise.
public func i1e(_ x: Tensor) -> Tensor { bessel(.i1e, x, order: 1, scaled: true) }

final class SincBackward: Node, @unchecked Sendable {
    // (cos πx - sinc x) / x, 0 at 0
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), atZero = x .== 0
        let safe = which(atZero, 1, x)
        let slope = (cos(safe * Double.pi) - sinc(safe)) / safe
        return g * conj(which(atZero, Tensor(zerosLike: slope), slope))
    }
}

/// sin(πx) / (πx), 1 at 0. Elementwise.
public func sinc(_ x: Tensor) -> Tensor {
    unary(.sinc, x) { x, _ in
        let node = SincBackward()
        node.save(x)
        return node
    }
}

/// -x ln x, 0 at 0, -∞ below. Elementwise.
public func entr(_ x: Tensor) -> Tensor {
    let x = x.asFloatingPoint("entr")
    let isPositive = x .> 0
    let safe = which(isPositive, x, 1)
    let outside = which(
        x .== 0, Tensor(zerosLike: x),
        which(x.isNaN, x.detached(), Tensor(repeating: -Double.infinity, shape: x.shape, dtype: x.dtype, device: x.device)))
    return which(isPositive, -(safe * log(safe)), outside)
}

/// ln(x / (1 - x)); with `epsilon` x is first moved into [epsilon, 1 - epsilon]. Elementwise.
public func logit(_ x: Tensor, epsilon: Double? = nil) -> Tensor {
    let x = x.asFloatingPoint("logit")
    let p = epsilon.map { x.clamped(min: $0, max: 1 - $0) } ?? x
    return log(p / (1 - p))
}
