extension Tensor {
    /// A tensor of the given numbers: a scalar, an array, or arrays in arrays (`Tensor([[1, 2], [3, 4]])`). The type is that of
    /// the numbers, with `Double` giving `float32`, unless `dtype` says otherwise.
    public init<E: TensorElements>(
        _ elements: E, dtype: DType? = nil, device: Device = .cpu, requiresGrad: Bool = false
    ) {
        var list: [E.Scalar] = []
        let shape = elements.tensorShape
        list.reserveCapacity(shape.reduce(1, *))
        elements.appendScalars(to: &list)
        self.init(list, shape: shape, dtype: dtype, device: device, requiresGrad: requiresGrad)
    }

    /// A tensor of the numbers in row-major order.
    public init<S: TensorScalar>(
        _ scalars: [S], shape: Shape, dtype: DType? = nil, device: Device = .cpu, requiresGrad: Bool = false
    ) {
        let layout = Layout(shape: shape)
        if layout.count != scalars.count {
            fail("Tensor", "\(scalars.count) numbers do not fill the shape \(shape) (\(layout.count))")
        }
        let memory = RawTensor(layout, S.memoryDType)
        scalars.withUnsafeBytes { if $0.count > 0 { memory.pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
        self = Tensor(raw: memory).to(dtype ?? S.tensorDType)
        if device != .cpu { self = to(device: device) }
        if requiresGrad { self.requiresGrad = true }
    }

    /// Every element the same.
    public init<S: TensorScalar>(
        repeating value: S, shape: Shape, dtype: DType? = nil, device: Device = .cpu, requiresGrad: Bool = false
    ) {
        let dtype = dtype ?? S.tensorDType
        let out = RawTensor(shape: shape, dtype, device)
        withElement(value.asDouble, value.asInt, value.asImaginary, dtype) { out.backend.fill(out, $0) }
        self.init(raw: out)
        if requiresGrad { self.requiresGrad = true }
    }

    /// Every element 0.
    public init(zeros shape: Shape, dtype: DType = .float32, device: Device = .cpu, requiresGrad: Bool = false) {
        self.init(repeating: 0, shape: shape, dtype: dtype, device: device, requiresGrad: requiresGrad)
    }

    /// Every element 1.
    public init(ones shape: Shape, dtype: DType = .float32, device: Device = .cpu, requiresGrad: Bool = false) {
        self.init(repeating: 1, shape: shape, dtype: dtype, device: device, requiresGrad: requiresGrad)
    }

    /// Zeros with the shape, type and device of another tensor.
    public init(zerosLike other: Tensor) { self.init(zeros: other.shape, dtype: other.dtype, device: other.device) }

    /// Ones with the shape, type and device of another tensor.
    public init(onesLike other: Tensor) { self.init(ones: other.shape, dtype: other.dtype, device: other.device) }

    /// `0, 1, 2 … end - 1` as `int64`.
    public init(arange end: Int, dtype: DType = .int64, device: Device = .cpu) {
        self.init(arange: 0, to: Double(end), by: 1, dtype: dtype, device: device)
    }

    /// `start, start + step …` up to and without `end`.
    public init(arange start: Double, to end: Double, by step: Double, dtype: DType = .float32, device: Device = .cpu) {
        if step == 0 || !start.isFinite || !end.isFinite || !step.isFinite {
            fail("arange", "from \(start) to \(end) by \(step)")
        }
        let n = Swift.max(0, Int(((end - start) / step).rounded(.up)))
        let out = RawTensor(shape: [n], dtype, device)
        out.backend.arange(out, start: start, step: step)
        self.init(raw: out)
    }

    /// `count` numbers from `start` to `end`, both included, evenly spaced.
    public init(linspace start: Double, to end: Double, count: Int, dtype: DType = .float32, device: Device = .cpu) {
        if count < 0 { fail("linspace", "\(count) numbers") }
        // From both ends, so that the last is exact.
        let values = (0..<count).map { i -> Double in
            let step = count > 1 ? (end - start) / Double(count - 1) : 0
            return i < count / 2 ? start + Double(i) * step : end - Double(count - 1 - i) * step
        }
        self.init(count == 1 ? [start] : values, shape: [count], dtype: dtype, device: device)
    }

    /// The identity matrix `[n, n]`, or ones on the diagonal of `[n, columns]`.
    public init(eye n: Int, columns: Int? = nil, dtype: DType = .float32, device: Device = .cpu) {
        if n < 0 || columns ?? 0 < 0 { fail("eye", "a matrix of shape [\(n), \(columns ?? n)]") }
        self = (Tensor(arange: n, device: device).unsqueezed(1) .== Tensor(arange: columns ?? n, device: device)).to(dtype)
    }

    /// `count` powers of `base` whose exponents run evenly from `start` to `end`, both included.
    public init(logspace start: Double, to end: Double, count: Int, base: Double = 10, dtype: DType = .float32) {
        let exponents = Tensor(linspace: start, to: end, count: count, dtype: .float64)
        self = pow(Tensor(base, dtype: .float64), exponents).to(dtype)
    }

    /// One-hot rows: `labels [...]` gives `[..., classes]`.
    public init(oneHot labels: Tensor, classes: Int, dtype: DType = .float32) {
        let ids = Tensor(raw: checkedIndices("oneHot", labels, limit: classes, what: "label"))
        self = (ids.unsqueezed(-1) .== Tensor(arange: classes, device: ids.device)).to(dtype)
    }

    /// The tensor on another device: `x.to(.cuda(0))`.
    public func to(_ device: Device) -> Tensor { to(device: device) }

    /// The tensor on another device.
    public func to(device: Device) -> Tensor {
        if device == self.device { return self }
        if isBatched { return lifted { x, _ in x.to(device: device) } }
        let dense = raw.contiguous()
        let out = RawTensor(dense.layout, dtype, device)
        (device.kind == .cpu ? raw.backend : out.backend).copy(dense, to: out)
        return record(out, self) { DeviceBackward(self.device) }
    }
}

final class DeviceBackward: Node, @unchecked Sendable {
    let source: Device
    init(_ source: Device) {
        self.source = source
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.to(device: source) }
}
