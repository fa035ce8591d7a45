// Functions of two numbers beside the operators; all broadcast.

/// A float kernel of two operands.
func floatBinary(
    _ name: String, _ op: BinaryKernel, _ a: Tensor, _ b: Tensor, _ make: (_ a: Tensor, _ b: Tensor, _ out: RawTensor) -> Node
) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { floatBinary(name, op, $0[0], $0[1], make) } }
    // An integer beside a float takes the float's type; two integers become float32.
    var (a, b) = promoted(a, b)
    if !a.dtype.isFloatingPoint { (a, b) = (a.asFloatingPoint(name), b.asFloatingPoint(name)) }
    let out = binaryForward(name, op, a.raw, b.raw)
    return record(out, a, b) { make(a, b, out) }
}

final class HypotBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * saved(input) / saved(2) }
}

/// √(a² + b²) without overflow.
public func hypot(_ a: Tensor, _ b: Tensor) -> Tensor {
    floatBinary("hypot", .hypot, a, b) { a, b, out in
        let node = HypotBackward()
        node.save(a)
        node.save(b)
        node.save(output: out)
        return node
    }
}

final class FmodBackward: Node, @unchecked Sendable {
    // a - b trunc(a / b)
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        input == 0 ? g : -(g * trunc((saved(0) / saved(1)).detached()))
    }
}

/// Remainder of division rounded towards 0, with the sign of `a` (C's `fmod`). Integers by 0 give 0.
public func fmod(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { fmod($0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if a.dtype == .bool { fail("fmod", "bools have no remainder; convert with to(.int64)") }
    return record(binaryForward("fmod", .fmod, a.raw, b.raw), a, b) {
        let node = FmodBackward()
        node.save(a)
        node.save(b)
        return node
    }
}

/// Quotient rounded towards 0. Floats keep their type; no derivative but 0.
public func truncatedDivide(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { truncatedDivide($0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if a.dtype == .bool { return truncatedDivide(a.to(.int64), b.to(.int64)) }
    if a.dtype.isFloatingPoint { return trunc(a / b) }
    return Tensor(raw: binaryForward("truncatedDivide", .div, a.raw, b.raw))
}

final class CopySignBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        if input == 1 { return Tensor(zerosLike: g) }
        let a = saved(0), ratio = saved(1) / which(a .== 0, 1, a)
        return g * which(a .== 0, Tensor(zerosLike: ratio), ratio).detached()
    }
}

/// The size of `a` with the sign of `b`.
public func copySign(_ a: Tensor, _ b: Tensor) -> Tensor {
    floatBinary("copySign", .copySign, a, b) { a, _, out in
        let node = CopySignBackward()
        node.save(a)
        node.save(output: out)
        return node
    }
}

final class ZeroSlopeBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { Tensor(zerosLike: g) }
}

final class NextAfterBackward: Node, @unchecked Sendable {
    // A step beside a; b itself where both are equal.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let same = saved(0).detached() .== saved(1).detached(), zero = Tensor(zerosLike: g)
        return input == 0 ? which(same, zero, g) : which(same, g, zero)
    }
}

/// The next number of the type after `a` towards `b`; float32 and float64. The slope is 1 by `a`, where they differ.
public func nextAfter(_ a: Tensor, _ b: Tensor) -> Tensor {
    let (a, b) = promoted(a, b)
    if a.dtype != .float32 && a.dtype != .float64 { fail("nextAfter", "needs float32 or float64, not \(a.dtype)") }
    return floatBinary("nextAfter", .nextAfter, a, b) { a, b, _ in
        let node = NextAfterBackward()
        node.save(a)
        node.save(b)
        return node
    }
}

/// 0 where `x` is below 0, 1 where above, `valueAtZero` where it is 0. No derivative.
public func heaviside(_ x: Tensor, _ valueAtZero: Tensor) -> Tensor {
    checkNoGrad("heaviside", x, valueAtZero)
    let (x, y) = promoted(x, valueAtZero)
    let one = Tensor(1, dtype: x.dtype, device: x.device), zero = Tensor(0, dtype: x.dtype, device: x.device)
    let result = which(x .> zero, one, which(x .== zero, y, zero))
    return x.dtype.isFloatingPoint ? which(x.isNaN, x, result) : result
}

/// The larger value; where one is NaN, the other. Ties share the gradient.
public func fmax(_ a: Tensor, _ b: Tensor) -> Tensor { ignoringNaN(a, b, maximum) }
/// The smaller value; where one is NaN, the other. Ties share the gradient.
public func fmin(_ a: Tensor, _ b: Tensor) -> Tensor { ignoringNaN(a, b, minimum) }

private func ignoringNaN(_ a: Tensor, _ b: Tensor, _ extreme: (Tensor, Tensor) -> Tensor) -> Tensor {
    let (a, b) = promoted(a, b)
    if !a.dtype.isFloatingPoint { return extreme(a, b) }
    // PyTorch gives the whole gradient to the first where both are equal or the second is NaN.
    let first = extreme(a.detached(), b.detached()) .== a.detached()
    return which(b.isNaN .| first, a, b)
}

final class LogAddExpBackward: Node, @unchecked Sendable {
    let base2: Bool
    init(base2: Bool) {
        self.base2 = base2
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = saved(input), b = saved(1 - input)
        return g * sigmoid((a - b) * (base2 ? 0.693147180559945309417 : 1))
    }
}

/// ln(eᵃ + eᵇ), without overflow.
public func logAddExp(_ a: Tensor, _ b: Tensor) -> Tensor {
    floatBinary("logAddExp", .logAddExp, a, b) { a, b, _ in
        let node = LogAddExpBackward(base2: false)
        node.save(a)
        node.save(b)
        return node
    }
}

/// log₂(2ᵃ + 2ᵇ), without overflow.
public func logAddExp2(_ a: Tensor, _ b: Tensor) -> Tensor {
    floatBinary("logAddExp2", .logAddExp2, a, b) { a, b, _ in
        let node = LogAddExpBackward(base2: true)
        node.save(a)
        node.save(b)
        return node
    }
}

final class XLogYBackward: Node, @unchecked Sendable {
    let plusOne: Bool
    init(plusOne: Bool) {
        self.plusOne = plusOne
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), y = saved(1), d = plusOne ? y + 1 : y
        if input == 1 { return g * x / d }
        // 0 where the product was cut off at 0
        let slope = plusOne ? log1p(y) : log(y)
        return g * which((x .== 0) .& (d .<= 0), Tensor(zerosLike: slope), slope)
    }
}

/// x ln y, 0 where x is 0.
public func xlogy(_ x: Tensor, _ y: Tensor) -> Tensor {
    floatBinary("xlogy", .xlogy, x, y) { x, y, _ in
        let node = XLogYBackward(plusOne: false)
        node.save(x)
        node.save(y)
        return node
    }
}

/// x ln(1 + y), 0 where x is 0.
public func xlog1py(_ x: Tensor, _ y: Tensor) -> Tensor {
    floatBinary("xlog1py", .xlog1py, x, y) { x, y, _ in
        let node = XLogYBackward(plusOne: true)
        node.save(x)
        node.save(y)
        return node
    }
}

/// x · 2^n; integers as `x` become float32.
public func ldexp(_ x: Tensor, _ n: Tensor) -> Tensor {
    let x = x.dtype.isComplex ? x : x.asFloatingPoint("ldexp")
    return x * pow(Tensor(2, dtype: x.dtype.real == .float64 ? .float64 : .float32, device: x.device), n)
}

/// a + weight (b - a): linear interpolation, exact at both ends.
public func lerp(_ a: Tensor, _ b: Tensor, weight: Tensor) -> Tensor {
    let small = abs(weight) .< 0.5
    let d = b - a
    return which(small, a + weight * d, b - d * (1 - weight))
}

/// As `lerp` with a number as the weight.
public func lerp(_ a: Tensor, _ b: Tensor, weight: Double) -> Tensor {
    let d = b - a
    return Swift.abs(weight) < 0.5 ? a + d * weight : b - d * (1 - weight)
}

/// a + value · b · c.
public func addcmul<S: TensorScalar>(_ a: Tensor, _ b: Tensor, _ c: Tensor, value: S = 1) -> Tensor { a + b * c * value }

/// a + value · b / c.
public func addcdiv<S: TensorScalar>(_ a: Tensor, _ b: Tensor, _ c: Tensor, value: S = 1) -> Tensor { a + b / c * value }

private func integerBinary(_ name: String, _ op: BinaryKernel, _ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { integerBinary(name, op, $0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if !a.dtype.isInteger { fail(name, "needs integers, not \(a.dtype)") }
    return Tensor(raw: binaryForward(name, op, a.raw, b.raw))
}

/// Greatest common divisor of integers; never negative.
public func gcd(_ a: Tensor, _ b: Tensor) -> Tensor { integerBinary("gcd", .gcd, a, b) }
/// Least common multiple of integers; never negative, 0 if one is 0.
public func lcm(_ a: Tensor, _ b: Tensor) -> Tensor { integerBinary("lcm", .lcm, a, b) }
/// Bits moved left; 0 for a count outside the type's width.
public func leftShift(_ a: Tensor, _ b: Tensor) -> Tensor { integerBinary("leftShift", .leftShift, a, b) }
/// Bits moved right, the sign kept; a count outside the type's width leaves the sign alone.
public func rightShift(_ a: Tensor, _ b: Tensor) -> Tensor { integerBinary("rightShift", .rightShift, a, b) }
