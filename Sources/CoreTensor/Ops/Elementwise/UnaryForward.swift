/// One pass of a unary kernel. Integers and bools become `float32` unless the kernel keeps them.
@inline(__always)
func unary(
    _ op: UnaryKernel, _ x: Tensor, keepsIntegers: Bool = false, _ make: (_ x: Tensor, _ out: RawTensor) -> Node
) -> Tensor {
    let x = x.dtype.isFloatingPoint || (keepsIntegers && x.dtype != .bool) ? x : x.to(.float32)
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
