// Elementwise maximum, minimum, remainder, floor division, clamp.

final class ExtremeBackward: Node, @unchecked Sendable {
    let isMaximum: Bool
    init(isMaximum: Bool) {
        self.isMaximum = isMaximum
        super.init()
    }
    override var name: String { isMaximum ? "MaximumBackward" : "MinimumBackward" }

    // Where the operands are equal each gets half of the gradient (PyTorch's convention).
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = saved(0), b = saved(1)
        let wins = (isMaximum == (input == 0)) ? a .> b : a .< b
        return which(a .== b, g * 0.5, which(wins, g, Tensor(zerosLike: g)))
    }
}

/// Elementwise larger value, broadcast; NaN if either is NaN.
public func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { extreme("maximum", .max, a, b) }

/// Elementwise smaller value, broadcast; NaN if either is NaN.
public func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { extreme("minimum", .min, a, b) }

/// As `maximum` of two tensors with a number, which takes the tensor's type.
public func maximum<S: TensorScalar>(_ a: Tensor, _ b: S) -> Tensor { maximum(a, weakScalar(b, beside: a)) }
/// As `minimum` of two tensors with a number, which takes the tensor's type.
public func minimum<S: TensorScalar>(_ a: Tensor, _ b: S) -> Tensor { minimum(a, weakScalar(b, beside: a)) }

private func extreme(_ name: String, _ op: BinaryKernel, _ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { extreme(name, op, $0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if a.dtype == .bool { return op == .max ? a .| b : a .& b }
    return record(binaryForward(name, op, a.raw, b.raw), a, b) {
        let node = ExtremeBackward(isMaximum: op == .max)
        node.save(a)
        node.save(b)
        return node
    }
}

final class RemainderBackward: Node, @unchecked Sendable {
    // a - b floor(a / b)
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        input == 0 ? g : -(g * floor((saved(0) / saved(1)).detached()))
    }
}

/// Remainder of division rounded towards minus infinity, with the sign of `b` (Python's `%`), broadcast.
public func remainder(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { remainder($0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    return record(binaryForward("remainder", .remainder, a.raw, b.raw), a, b) {
        let node = RemainderBackward()
        node.save(a)
        node.save(b)
        return node
    }
}

/// Quotient rounded towards minus infinity, broadcast; the slope is 0.
public func floorDivide(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { floorDivide($0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if a.dtype == .bool { fail("floorDivide", "bools have no quotient; convert with to(.int64)") }
    return record(binaryForward("floorDivide", .floorDivide, a.raw, b.raw), a, b) { ZeroSlopeBackward() }
}

final class Atan2Backward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let y = saved(0), x = saved(1)
        let r2 = x * x + y * y
        return input == 0 ? g * x / r2 : -(g * y / r2)
    }
}

/// The angle of the point `(x, y)`, in radians, broadcast.
public func atan2(_ y: Tensor, _ x: Tensor) -> Tensor {
    if y.isBatched || x.isBatched { return liftedBroadcast([y, x]) { atan2($0[0], $0[1]) } }
    let (y, x) = promoted(y.asFloatingPoint("atan2"), x.asFloatingPoint("atan2"))
    return record(binaryForward("atan2", .atan2, y.raw, x.raw), y, x) {
        let node = Atan2Backward()
        node.save(y)
        node.save(x)
        return node
    }
}

final class ClampBackward: Node, @unchecked Sendable {
    let low: Double, high: Double
    init(low: Double, high: Double) {
        self.low = low
        self.high = high
        super.init()
    }
    // The gradient passes where low <= x <= high, bounds included.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        return which((x .>= low) .& (x .<= high), g, Tensor(zerosLike: g))
    }
}

extension Tensor {
    /// Every element moved into `[low, high]`; NaN stays. Integers with a fraction as a bound become `float32`.
    public func clamped(min low: Double = -.infinity, max high: Double = .infinity) -> Tensor {
        if isBatched { return lifted { x, _ in x.clamped(min: low, max: high) } }
        if dtype.isComplex || dtype.isStorageOnly { fail("clamp", "\(dtype) numbers have no order; convert with to(_:)") }
        if dtype == .bool { return to(.int64).clamped(min: low, max: high) }
        if !dtype.isFloatingPoint && [low, high].contains(where: { $0.isFinite && $0 != $0.rounded() }) {
            return to(.float32).clamped(min: low, max: high)
        }
        let x = raw.contiguous()
        let out = RawTensor(x.layout, dtype, device)
        out.backend.clamp(x, out, low: low, high: high)
        return record(out, self) {
            let node = ClampBackward(low: low, high: high)
            node.save(self)
            return node
        }
    }
}
