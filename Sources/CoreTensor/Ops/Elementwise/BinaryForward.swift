import CKernels

/// What all binary operations share: promotion, broadcasting, and one pass of a kernel.

/// The shape that two shapes broadcast to (NumPy's rule), or nil if they do not fit.
public func broadcastShape(_ a: Shape, _ b: Shape) -> Shape? {
    if a == b { return a }
    let (long, short) = a.count >= b.count ? (a, b) : (b, a)
    var result = long
    let lead = long.count - short.count
    for axis in 0..<short.count {
        let l = long[lead + axis], s = short[axis]
        if l == s || s == 1 { continue }
        if l != 1 { return nil }
        result[lead + axis] = s
    }
    return result
}

func requireBroadcast(_ operation: String, _ a: Shape, _ b: Shape) -> Shape {
    guard let shape = broadcastShape(a, b) else {
        fail(operation, "shapes \(a) and \(b) do not broadcast: axes must be equal, or 1, counted from the last")
    }
    return shape
}

/// The device that an operation runs on. While a function is recorded, numbers from outside stand beside its tensors.
func sharedDevice(_ operation: String, _ tensors: RawTensor...) -> Device {
    if let recorded = tensors.first(where: { $0.device.kind == .recording }) { return recorded.device }
    for x in tensors.dropFirst() { requireSameDevice(operation, tensors[0], x) }
    return tensors[0].device
}

@inline(__always)
func requireSameDevice(_ operation: String, _ a: RawTensor, _ b: RawTensor) {
    let device = a.storage.device, other = b.storage.device
    // While a function is recorded, numbers from outside stand beside its tensors; the recording looks at them itself.
    if device != other && device.kind != .recording && other.kind != .recording {
        fail(operation, "operands on \(a.device) and \(b.device); move one with to(device:)")
    }
}

@inline(__always)
func binaryForward(_ operation: String, _ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor) -> RawTensor {
    if a.dtype.rawValue > DType.bool.rawValue { checkKernelType(operation, op, a.dtype) }
    if Layout.sameShape(a.layout, b.layout) && a.layout.isContiguous && b.layout.isContiguous
        && a.device.kind == .cpu && b.device.kind == .cpu && !tk_profiling()
    {
        let out = RawTensor(a.layout, a.dtype)
        CPUBackend.shared.binary(op, a, b, out)
        return out
    }
    return binaryBroadcast(operation, op, a, b)
}

/// Stops where a kernel has no form for a type.
@inline(never)
func checkKernelType(_ operation: String, _ op: BinaryKernel, _ dtype: DType) {
    if dtype.isStorageOnly || (dtype.isComplex && !op.takesComplex) {
        fail(operation, "\(dtype) numbers have no such operation; convert with to(_:)")
    }
}

@inline(never)
private func binaryBroadcast(_ operation: String, _ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor) -> RawTensor {
    let device = sharedDevice(operation, a, b)
    let shape = requireBroadcast(operation, a.shape, b.shape)
    let layout = a.shape == shape && a.isContiguous ? a.layout : Layout(shape: shape)
    let out = RawTensor(layout, a.dtype, device)
    out.backend.binary(op, a.broadcast(to: shape), b.broadcast(to: shape), out)
    return out
}

/// Both operands in the type they are computed in.
@inline(__always)
func promoted(_ a: Tensor, _ b: Tensor) -> (Tensor, Tensor) {
    if a.dtype == b.dtype { return (a, b) }
    let dtype = a.dtype.promoted(with: b.dtype)
    return (a.to(dtype), b.to(dtype))
}

/// A Swift number as a scalar tensor beside `x`: weak, so it takes the type of `x` where it can.
@inline(__always)
func weakScalar<S: TensorScalar>(_ value: S, beside x: Tensor) -> Tensor {
    let dtype = S.dtypeBeside(x.dtype)
    return Tensor(raw: scalarRaw(value.asDouble, value.asInt, value.asImaginary, dtype, x.device))
}

func scalarRaw(_ value: Double, _ integer: Int, _ imaginary: Double = 0, _ dtype: DType, _ device: Device) -> RawTensor {
    let out = RawTensor(.scalar, dtype, device)
    withElement(value, integer, imaginary, dtype) { out.backend.fill(out, $0) }
    return out
}

/// Calls `body` with one element of `dtype` in memory. Traps if an integer type cannot hold the value.
func withElement<R>(
    _ value: Double, _ integer: Int, _ imaginary: Double = 0, _ dtype: DType, _ body: (UnsafeRawPointer) -> R
) -> R {
    func narrowed<T: FixedWidthInteger>(_ type: T.Type) -> T {
        guard let element = T(exactly: integer) else { fail("scalar", "\(integer) does not fit in \(dtype)") }
        return element
    }
    if imaginary != 0 && !dtype.isComplex && dtype != .bool {
        fail("scalar", "a number with an imaginary part does not fit in \(dtype)")
    }
    func call<T>(_ element: T) -> R { withUnsafeBytes(of: element) { body($0.baseAddress!) } }
    switch dtype {
    case .float32: return call(Float(value))
    case .float64: return call(value)
    case .float16: return call(HalfBits.float16(value))
    case .bfloat16: return call(HalfBits.bfloat16(value))
    case .int8: return call(narrowed(Int8.self))
    case .uint8: return call(narrowed(UInt8.self))
    case .int32: return call(narrowed(Int32.self))
    case .int64: return call(Int64(integer))
    case .bool: return call(integer != 0 || value != 0 || imaginary != 0)
    case .complex64: return call((Float(value), Float(imaginary)))
    case .complex128: return call((value, imaginary))
    case .float8E4M3, .float8E5M2: return call(HalfBits.float8(value, dtype))
    }
}
