// a + b, a - b, a · b, a / b, a^b: broadcast; computed in the promoted type.

final class AddBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g }
}

final class SubBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { input == 0 ? g : -g }
}

final class MulBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * conj(saved(1 - input)) }
}

final class DivBackward: Node, @unchecked Sendable {
    // d(a/b) = da / b - (a/b) db / b
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let b = saved(1)
        return input == 0 ? g / conj(b) : -(g * conj(saved(0) / (b * b)))
    }
}

final class PowBackward: Node, @unchecked Sendable {
    // d/da = b a^(b-1), 0 where b = 0; d/db = a^b ln a, 0 where a = 0 and b >= 0 (PyTorch's subgradients)
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let a = saved(0), b = saved(1)
        if input == 0 {
            return g * conj(which(b .== 0, Tensor(zerosLike: b), b * pow(a, b - 1)))
        }
        let slope = conj(pow(a, b) * log(a))
        if a.dtype.isComplex { return g * which(a .== 0, Tensor(zerosLike: slope), slope) }
        return g * which((a .== 0) .& (b .>= 0), Tensor(zerosLike: slope), slope)
    }
}

extension Tensor {
    @inline(__always)
    private static func arithmetic(
        _ name: String, _ op: BinaryKernel, _ lhs: Tensor, _ rhs: Tensor, _ make: (Tensor, Tensor) -> Node
    ) -> Tensor {
        let dtype = lhs.physical.dtype
        if lhs.batch == nil && rhs.batch == nil && dtype == rhs.physical.dtype && dtype != .bool {
            return record(binaryForward(name, op, lhs.physical, rhs.physical), lhs, rhs) { make(lhs, rhs) }
        }
        return otherArithmetic(name, op, lhs, rhs, make)
    }

    /// Inside `vmap`, of two types, or of bools.
    @inline(never)
    private static func otherArithmetic(
        _ name: String, _ op: BinaryKernel, _ lhs: Tensor, _ rhs: Tensor, _ make: (Tensor, Tensor) -> Node
    ) -> Tensor {
        if lhs.isBatched || rhs.isBatched {
            return liftedBroadcast([lhs, rhs]) { x in
                x[0].dtype == x[1].dtype && x[0].dtype != .bool && !x[0].isBatched && !x[1].isBatched
                    ? record(binaryForward(name, op, x[0].raw, x[1].raw), x[0], x[1]) { make(x[0], x[1]) }
                    : otherArithmetic(name, op, x[0], x[1], make)
            }
        }
        let (lhs, rhs) = promoted(lhs, rhs)
        if lhs.raw.dtype == .bool { return boolArithmetic(name, op, lhs, rhs) }
        return record(binaryForward(name, op, lhs.raw, rhs.raw), lhs, rhs) { make(lhs, rhs) }
    }

    /// PyTorch's convention: on bools `+` is or, `*` is and; the others have no meaning.
    @inline(never)
    private static func boolArithmetic(_ name: String, _ op: BinaryKernel, _ a: Tensor, _ b: Tensor) -> Tensor {
        switch op {
        case .add: return a .| b
        case .mul: return a .& b
        default: fail(name, "bools have no \(name); convert one operand with to(.int64) or use .^ and .!")
        }
    }

    /// Elementwise sum, broadcast.
    public static func + (lhs: Tensor, rhs: Tensor) -> Tensor {
        arithmetic("add", .add, lhs, rhs) { _, _ in AddBackward() }
    }

    /// Elementwise difference, broadcast.
    public static func - (lhs: Tensor, rhs: Tensor) -> Tensor {
        arithmetic("subtract", .sub, lhs, rhs) { _, _ in SubBackward() }
    }

    /// Elementwise product, broadcast.
    public static func * (lhs: Tensor, rhs: Tensor) -> Tensor {
        arithmetic("multiply", .mul, lhs, rhs) { a, b in
            let node = MulBackward()
            node.save(a)
            node.save(b)
            return node
        }
    }

    /// Elementwise true quotient, broadcast; integers are divided as `float32`.
    public static func / (lhs: Tensor, rhs: Tensor) -> Tensor {
        var lhs = lhs, rhs = rhs
        if !lhs.dtype.isDifferentiable && !rhs.dtype.isDifferentiable {
            (lhs, rhs) = (lhs.to(.float32), rhs.to(.float32))
        }
        return arithmetic("divide", .div, lhs, rhs) { a, b in
            let node = DivBackward()
            node.save(a)
            node.save(b)
            return node
        }
    }

    /// As ``+`` with a number on the right, which takes the tensor's type.
    public static func + <S: TensorScalar>(lhs: Tensor, rhs: S) -> Tensor { lhs.combined(.add, rhs, +) }
    /// As ``+`` with a number on the left, which takes the tensor's type.
    public static func + <S: TensorScalar>(lhs: S, rhs: Tensor) -> Tensor { rhs.combined(.add, lhs) { $1 + $0 } }
    /// As ``-`` with a number on the right, which takes the tensor's type.
    public static func - <S: TensorScalar>(lhs: Tensor, rhs: S) -> Tensor { lhs.combined(.sub, rhs, -) }
    /// As ``-`` with a number on the left, which takes the tensor's type.
    public static func - <S: TensorScalar>(lhs: S, rhs: Tensor) -> Tensor { weakScalar(lhs, beside: rhs) - rhs }
    /// As ``*`` with a number on the right, which takes the tensor's type.
    public static func * <S: TensorScalar>(lhs: Tensor, rhs: S) -> Tensor { lhs.combined(.mul, rhs, *) }
    /// As ``*`` with a number on the left, which takes the tensor's type.
    public static func * <S: TensorScalar>(lhs: S, rhs: Tensor) -> Tensor { rhs.combined(.mul, lhs) { $1 * $0 } }
    /// As ``/`` with a number on the right, which takes the tensor's type.
    public static func / <S: TensorScalar>(lhs: Tensor, rhs: S) -> Tensor { lhs.combined(.div, rhs, /) }
    /// As ``/`` with a number on the left, which takes the tensor's type.
    public static func / <S: TensorScalar>(lhs: S, rhs: Tensor) -> Tensor { weakScalar(lhs, beside: rhs) / rhs }

    // MARK: In place where nobody else sees the storage

    /// `op` into the left operand's own storage if that cannot be noticed; otherwise as the plain operator.
    @inline(__always)
    private static func inPlace(
        _ op: BinaryKernel, _ lhs: inout Tensor, _ rhs: Tensor, _ plain: (Tensor, Tensor) -> Tensor
    ) {
        if lhs.node == nil && rhs.node == nil && lhs.dtype == rhs.dtype && lhs.dtype != .bool
            && !lhs.isBatched && !rhs.isBatched && (op != .div || lhs.dtype.isDifferentiable)
            && lhs.raw.isContiguous && lhs.raw.isUniquelyReferenced() && lhs.device == rhs.device
            && (Layout.sameShape(lhs.physical.layout, rhs.physical.layout) || broadcastShape(lhs.shape, rhs.shape) == lhs.shape)
        {
            if lhs.physical.layout === rhs.physical.layout {
                lhs.physical.backend.binary(op, lhs.physical, rhs.physical, lhs.physical)
            } else {
                lhs.raw.backend.binary(op, lhs.raw, rhs.raw.broadcast(to: lhs.shape), lhs.raw)
            }
        } else {
            lhs = plain(lhs, rhs)
        }
    }

    /// Adds `rhs`, broadcast: in place where no tape and no other tensor sees the storage.
    public static func += (lhs: inout Tensor, rhs: Tensor) { inPlace(.add, &lhs, rhs, +) }
    /// Subtracts `rhs`, broadcast: in place where no tape and no other tensor sees the storage.
    public static func -= (lhs: inout Tensor, rhs: Tensor) { inPlace(.sub, &lhs, rhs, -) }
    /// Multiplies by `rhs`, broadcast: in place where no tape and no other tensor sees the storage.
    public static func *= (lhs: inout Tensor, rhs: Tensor) { inPlace(.mul, &lhs, rhs, *) }
    /// Divides by `rhs`, broadcast (integers become `float32`): in place where no tape and no other tensor sees the storage.
    public static func /= (lhs: inout Tensor, rhs: Tensor) { inPlace(.div, &lhs, rhs, /) }
    /// As ``+=`` with a number, which takes the tensor's type.
    public static func += <S: TensorScalar>(lhs: inout Tensor, rhs: S) { lhs += weakScalar(rhs, beside: lhs) }
    /// As ``-=`` with a number, which takes the tensor's type.
    public static func -= <S: TensorScalar>(lhs: inout Tensor, rhs: S) { lhs -= weakScalar(rhs, beside: lhs) }
    /// As ``*=`` with a number, which takes the tensor's type.
    public static func *= <S: TensorScalar>(lhs: inout Tensor, rhs: S) { lhs *= weakScalar(rhs, beside: lhs) }
    /// As ``/=`` with a number, which takes the tensor's type.
    public static func /= <S: TensorScalar>(lhs: inout Tensor, rhs: S) { lhs /= weakScalar(rhs, beside: lhs) }
}

/// Elementwise power `a^b`, broadcast. Negative bases with fractional exponents give NaN.
public func pow(_ base: Tensor, _ exponent: Tensor) -> Tensor {
    if base.isBatched || exponent.isBatched { return liftedBroadcast([base, exponent]) { pow($0[0], $0[1]) } }
    let (a, b) = promoted(base, exponent)
    if a.dtype == .bool { return a .| .!b }
    return record(binaryForward("pow", .pow, a.raw, b.raw), a, b) {
        let node = PowBackward()
        node.save(a)
        node.save(b)
        return node
    }
}

/// As `pow` of two tensors with a number as the exponent, which takes the tensor's type.
public func pow<S: TensorScalar>(_ base: Tensor, _ exponent: S) -> Tensor {
    pow(base, weakScalar(exponent, beside: base))
}

/// As `pow` of two tensors with a number as the base, which takes the tensor's type.
public func pow<S: TensorScalar>(_ base: S, _ exponent: Tensor) -> Tensor {
    pow(weakScalar(base, beside: exponent), exponent)
}
