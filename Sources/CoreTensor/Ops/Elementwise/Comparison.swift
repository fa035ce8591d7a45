// Elementwise comparisons and logic: bool results, no derivative (and none is lost: bools carry none).

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence
infix operator .& : LogicalConjunctionPrecedence
infix operator .| : LogicalDisjunctionPrecedence
infix operator .^ : LogicalDisjunctionPrecedence
prefix operator .!

private func compare(_ name: String, _ op: CompareKernel, _ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched {
        return liftedBroadcast([a.detached(), b.detached()]) { compare(name, op, $0[0], $0[1]) }
    }
    let (a, b) = promoted(a.detached(), b.detached())
    if a.dtype.isStorageOnly || (a.dtype.isComplex && op != .equal && op != .notEqual) {
        fail(name, "\(a.dtype) numbers have no order; convert with to(_:)")
    }
    let device = sharedDevice(name, a.raw, b.raw)
    let shape = requireBroadcast(name, a.shape, b.shape)
    let out = RawTensor(shape: shape, .bool, device)
    out.backend.compare(op, a.raw.broadcast(to: shape), b.raw.broadcast(to: shape), out)
    return Tensor(raw: out)
}

private func logic(_ name: String, _ op: BinaryKernel, _ a: Tensor, _ b: Tensor) -> Tensor {
    if a.isBatched || b.isBatched { return liftedBroadcast([a, b]) { logic(name, op, $0[0], $0[1]) } }
    let (a, b) = promoted(a, b)
    if a.dtype != .bool && !a.dtype.isInteger { fail(name, "needs bools or integers, not \(a.dtype)") }
    return Tensor(raw: binaryForward(name, op, a.raw, b.raw))
}

extension Tensor {
    /// True where the elements are equal, broadcast; NaN equals nothing.
    public static func .== (a: Tensor, b: Tensor) -> Tensor { compare("equal", .equal, a, b) }
    /// True where the elements differ, broadcast; NaN differs from everything.
    public static func .!= (a: Tensor, b: Tensor) -> Tensor { compare("notEqual", .notEqual, a, b) }
    /// True where the left element is smaller, broadcast; false beside NaN.
    public static func .< (a: Tensor, b: Tensor) -> Tensor { compare("less", .less, a, b) }
    /// True where the left element is smaller or equal, broadcast; false beside NaN.
    public static func .<= (a: Tensor, b: Tensor) -> Tensor { compare("lessEqual", .lessEqual, a, b) }
    /// True where the left element is larger, broadcast; false beside NaN.
    public static func .> (a: Tensor, b: Tensor) -> Tensor { compare("greater", .greater, a, b) }
    /// True where the left element is larger or equal, broadcast; false beside NaN.
    public static func .>= (a: Tensor, b: Tensor) -> Tensor { compare("greaterEqual", .greaterEqual, a, b) }

    /// As ``.==`` with a number, which takes the tensor's type.
    public static func .== <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .== weakScalar(b, beside: a) }
    /// As ``.!=`` with a number, which takes the tensor's type.
    public static func .!= <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .!= weakScalar(b, beside: a) }
    /// As ``.<`` with a number, which takes the tensor's type.
    public static func .< <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .< weakScalar(b, beside: a) }
    /// As ``.<=`` with a number, which takes the tensor's type.
    public static func .<= <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .<= weakScalar(b, beside: a) }
    /// As ``.>`` with a number, which takes the tensor's type.
    public static func .> <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .> weakScalar(b, beside: a) }
    /// As ``.>=`` with a number, which takes the tensor's type.
    public static func .>= <S: TensorScalar>(a: Tensor, b: S) -> Tensor { a .>= weakScalar(b, beside: a) }

    /// And: logical on bools, bitwise on integers.
    public static func .& (a: Tensor, b: Tensor) -> Tensor { logic("and", .and, a, b) }
    /// Or: logical on bools, bitwise on integers.
    public static func .| (a: Tensor, b: Tensor) -> Tensor { logic("or", .or, a, b) }
    /// Exclusive or: logical on bools, bitwise on integers.
    public static func .^ (a: Tensor, b: Tensor) -> Tensor { logic("xor", .xor, a, b) }
    /// Not: logical on bools, of all bits on integers.
    public static prefix func .! (a: Tensor) -> Tensor {
        if a.isBatched { return a.lifted { a, _ in .!a } }
        if a.dtype != .bool && !a.dtype.isInteger { fail("not", "needs bools or integers, not \(a.dtype)") }
        let x = a.raw.contiguous()
        let out = RawTensor(x.layout, a.dtype, a.device)
        out.backend.unary(.not, x, out)
        return Tensor(raw: out)
    }

    private func classified(_ op: ClassifyKernel) -> Tensor {
        if isBatched { return lifted { x, _ in x.classified(op) } }
        if dtype.isComplex {
            let parts = detached().viewAsReal.classified(op)
            return op == .isFinite ? parts.all(-1) : parts.any(-1)
        }
        if dtype.isStorageOnly { return to(.float32).classified(op) }
        let out = RawTensor(shape: shape, .bool, device)
        if dtype.isFloatingPoint {
            out.backend.classify(op, raw.contiguous(), out)
            return Tensor(raw: out)
        }
        return Tensor(repeating: op == .isFinite, shape: shape, device: device)
    }

    /// True where an element is NaN.
    public var isNaN: Tensor { classified(.isNaN) }
    /// True where an element is infinite.
    public var isInfinite: Tensor { classified(.isInf) }
    /// True where an element is neither infinite nor NaN.
    public var isFinite: Tensor { classified(.isFinite) }
}

final class WhichBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let zero = Tensor(zerosLike: g)
        return input == 0 ? which(saved(0), g, zero) : which(saved(0), zero, g)
    }
}

/// `a` where the condition holds, `b` elsewhere, all three broadcast (PyTorch's and NumPy's `where`, a Swift keyword).
public func which(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
    if condition.dtype != .bool { fail("which", "the condition must be bool, not \(condition.dtype)") }
    if condition.isBatched || a.isBatched || b.isBatched {
        return liftedBroadcast([condition, a, b]) { which($0[0], $0[1], $0[2]) }
    }
    let (a, b) = promoted(a, b)
    let shape = requireBroadcast("which", requireBroadcast("which", a.shape, b.shape), condition.shape)
    let out = RawTensor(shape: shape, a.dtype, sharedDevice("which", condition.raw, a.raw, b.raw))
    out.backend.select(
        condition.raw.broadcast(to: shape), a.raw.broadcast(to: shape), b.raw.broadcast(to: shape), out)
    return record(out, a, b) {
        let node = WhichBackward()
        node.save(condition)
        return node
    }
}

/// `a` where the condition holds, elsewhere the number `b`, which takes the type of `a`.
public func which<S: TensorScalar>(_ condition: Tensor, _ a: Tensor, _ b: S) -> Tensor {
    which(condition, a, weakScalar(b, beside: a))
}

/// The number `a`, which takes the type of `b`, where the condition holds, elsewhere `b`.
public func which<S: TensorScalar>(_ condition: Tensor, _ a: S, _ b: Tensor) -> Tensor {
    which(condition, weakScalar(a, beside: b), b)
}

extension Tensor {
    /// `value` where the mask holds, the element itself elsewhere, broadcast together. The type stays this tensor's.
    public func maskedFill<S: TensorScalar>(_ mask: Tensor, _ value: S) -> Tensor {
        let value = Tensor(raw: scalarRaw(value.asDouble, value.asInt, value.asImaginary, dtype, device))
        return which(mask, value, self)
    }
}
