/// One pass of a unary kernel. Integers and bools become `float32` unless the kernel keeps them; complex numbers stop where the
/// function has no complex form.
@inline(__always)
func unary(
    _ op: UnaryKernel, _ x: Tensor, keepsIntegers: Bool = false, _ make: (_ x: Tensor, _ out: RawTensor) -> Node
) -> Tensor {
    if x.isBatched { return x.lifted { x, _ in unary(op, x, keepsIntegers: keepsIntegers, make) } }
    if !x.dtype.isFloatingPoint { return unaryOther(op, x, keepsIntegers, make) }
    return unaryPass(op, x, make)
}

@inline(never)
private func unaryOther(
    _ op: UnaryKernel, _ x: Tensor, _ keepsIntegers: Bool, _ make: (_ x: Tensor, _ out: RawTensor) -> Node
) -> Tensor {
    if x.dtype.isComplex ? !op.takesComplex : x.dtype.isStorageOnly {
        fail("\(op)", "\(x.dtype) numbers have no such function; convert with to(_:)")
    }
    return unaryPass(op, x.dtype.isComplex || (keepsIntegers && x.dtype != .bool) ? x : x.to(.float32), make)
}

@inline(__always)
private func unaryPass(_ op: UnaryKernel, _ x: Tensor, _ make: (_ x: Tensor, _ out: RawTensor) -> Node) -> Tensor {
    let dense = x.raw.contiguous()
    let out = RawTensor(dense.layout, dense.dtype, dense.device)
    out.backend.unary(op, dense, out)
    return record(out, x) { make(x, out) }
}

final class NegBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { -g }
}

extension Tensor {
    /// Elementwise negative.
    public static prefix func - (x: Tensor) -> Tensor {
        if x.dtype == .bool { fail("negate", "bools have no negative; use .!") }
        return unary(.neg, x, keepsIntegers: true) { _, _ in NegBackward() }
    }
}
