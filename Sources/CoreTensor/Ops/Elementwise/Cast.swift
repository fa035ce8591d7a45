final class CastBackward: Node, @unchecked Sendable {
    let from: DType
    init(from: DType) {
        self.from = from
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.to(from) }
}

extension Tensor {
    /// The same values as another element type. Fractions are cut towards zero and saturate; integers wrap; to bool: not 0.
    /// A gradient does not pass to integers: such a result needs none, as in PyTorch. Complex numbers lose their imaginary part on
    /// the way to real types.
    public func to(_ dtype: DType) -> Tensor {
        if dtype == self.dtype { return self }
        if isBatched { return lifted { x, _ in x.to(dtype) } }
        let x = raw.contiguous()
        let out = RawTensor(x.layout, dtype, device)
        out.backend.cast(x, to: out)
        if !dtype.isDifferentiable { return Tensor(raw: out) }
        return record(out, self) { CastBackward(from: self.dtype) }
    }

    /// Itself if its type is a float, otherwise as `float32`. Stops for complex numbers, which would lose their imaginary part.
    func asFloatingPoint(_ operation: String) -> Tensor {
        if dtype.isComplex { fail(operation, "takes real numbers, not \(dtype); use real, imaginary or abs") }
        return dtype.isFloatingPoint ? self : to(.float32)
    }
}
