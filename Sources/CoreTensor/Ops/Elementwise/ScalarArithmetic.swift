// x + c, x - c, x · c, x / c for a float tensor x and a number c: without a tensor for c, and its share of the rule.

/// The gradient passes through: x + c, x - c.
final class ShiftBackward: Node, @unchecked Sendable {
    private let kernel: BinaryKernel
    init(_ kernel: BinaryKernel) {
        self.kernel = kernel
        super.init()
    }
    override var name: String { kernel == .add ? "AddBackward" : "SubBackward" }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g }
}

/// x · c, x / c.
final class ScaleBackward: Node, @unchecked Sendable {
    private let kernel: BinaryKernel
    private let factor: Double
    init(_ kernel: BinaryKernel, _ factor: Double) {
        self.kernel = kernel
        self.factor = factor
        super.init()
    }
    override var name: String { kernel == .mul ? "MulBackward" : "DivBackward" }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { kernel == .mul ? g * factor : g / factor }
}

extension Tensor {
    /// `self op value`, where `op` is one of the four; `plain` does it on tensors, the value second.
    @inline(__always)
    func combined<S: TensorScalar>(_ op: BinaryKernel, _ value: S, _ plain: (Tensor, Tensor) -> Tensor) -> Tensor {
        if physical.dtype.isFloatingPoint, physical.layout.isContiguous, batch == nil,
            S.dtypeBeside(physical.dtype) == physical.dtype
        {
            return combined(op, value.asDouble)
        }
        return plain(self, weakScalar(value, beside: self))
    }

    /// The same for dense floats outside of `vmap`; the value is rounded to their type.
    private func combined(_ op: BinaryKernel, _ value: Double) -> Tensor {
        let out = RawTensor(physical.layout, physical.dtype, physical.device)
        out.backend.binary(op, physical, scalar: value, out)
        return record(out, self) { op == .add || op == .sub ? ShiftBackward(op) : ScaleBackward(op, value) }
    }
}
