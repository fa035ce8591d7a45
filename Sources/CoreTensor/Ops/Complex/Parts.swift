// Complex numbers as pairs of real ones: views in both directions, so that what is not a kernel of its own is made of real
// operations. Gradients are PyTorch's: ∂L/∂re + i ∂L/∂im, which for a holomorphic f is g · conj(f′).

final class ViewAsRealBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.viewAsComplex }
}

final class ViewAsComplexBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.viewAsReal }
}

final class ConjugateBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { conj(g) }
}

extension Tensor {
    /// A complex tensor `[...]` as its parts, `[..., 2]`: a view.
    public var viewAsReal: Tensor {
        if !dtype.isComplex { fail("viewAsReal", "needs complex numbers, not \(dtype)") }
        if isBatched { return lifted { x, _ in x.viewAsReal } }
        let layout = Layout(shape: shape + [2], strides: strides.map { $0 * 2 } + [1])
        let view = RawTensor(storage: raw.storage, layout: layout, offset: raw.offset * 2, dtype: dtype.real)
        return record(view, self) { ViewAsRealBackward() }
    }

    /// Pairs of `float32` or `float64`, `[..., 2]`, as complex numbers `[...]`: a view where the pairs lie together.
    public var viewAsComplex: Tensor {
        if (dtype != .float32 && dtype != .float64) || rank == 0 || shape[rank - 1] != 2 {
            fail("viewAsComplex", "needs float32 or float64 of shape [..., 2], not \(dtype) \(shape)")
        }
        if isBatched { return lifted { x, _ in x.viewAsComplex } }
        let fits = strides[rank - 1] == 1 && raw.offset % 2 == 0 && strides.dropLast().allSatisfy { $0 % 2 == 0 }
        let pairs = fits ? raw : raw.denseCopy()
        let layout = Layout(shape: Array(shape.dropLast()), strides: pairs.layout.strides.dropLast().map { $0 / 2 })
        let view = RawTensor(storage: pairs.storage, layout: layout, offset: pairs.offset / 2, dtype: dtype.complex)
        return record(view, self) { ViewAsComplexBackward() }
    }

    /// The real part, as a view; the tensor itself if it is real.
    public var real: Tensor { dtype.isComplex ? viewAsReal[TensorIndex.ellipsis, 0] : self }

    /// The imaginary part, as a view; zeros if the tensor is real.
    public var imaginary: Tensor { dtype.isComplex ? viewAsReal[TensorIndex.ellipsis, 1] : Tensor(zerosLike: self) }

    /// The conjugate transpose of the last two axes; the transpose of a real matrix.
    public var adjoint: Tensor { conj(transposed()) }
}

/// The complex conjugate; a real tensor itself. Elementwise.
public func conj(_ z: Tensor) -> Tensor {
    if !z.dtype.isComplex { return z }
    if z.isBatched { return z.lifted { z, _ in conj(z) } }
    let pairs = Tensor(raw: z.raw).viewAsReal * Tensor([1, -1], dtype: z.dtype.real, device: z.device)
    return record(pairs.viewAsComplex.raw, z) { ConjugateBackward() }
}

/// Complex numbers from their parts, broadcast: `float32` gives `complex64`, `float64` `complex128`.
public func complex(real: Tensor, imaginary: Tensor) -> Tensor {
    if real.dtype != imaginary.dtype || (real.dtype != .float32 && real.dtype != .float64) {
        fail("complex", "needs two parts of float32 or float64, not \(real.dtype) and \(imaginary.dtype)")
    }
    let shape = requireBroadcast("complex", real.shape, imaginary.shape)
    return stack([real.expanded(to: shape), imaginary.expanded(to: shape)], axis: -1).viewAsComplex
}

/// Complex numbers from magnitudes and angles (radians), broadcast.
public func polar(magnitude: Tensor, angle: Tensor) -> Tensor {
    complex(real: magnitude * cos(angle), imaginary: magnitude * sin(angle))
}

/// The angle of complex numbers, in (-π, π]; of real ones 0 or, below 0, π. Elementwise.
public func angle(_ z: Tensor) -> Tensor {
    if z.dtype.isComplex {
        // No slope at 0, where the angle has none.
        let re = z.real, im = z.imaginary
        let atZero = (re .== 0) .& (im .== 0)
        return which(atZero, atan2(im.detached(), re.detached()), atan2(im, which(atZero, 1, re)))
    }
    let x = z.asFloatingPoint("angle")
    let flat = which(
        x .< 0, Tensor(Double.pi, dtype: x.dtype, device: x.device), Tensor(zeros: [], dtype: x.dtype, device: x.device))
    return which(x.isNaN, x, flat) + (x.requiresGrad ? x * 0 : Tensor(zeros: [], dtype: x.dtype, device: x.device))
}

final class ComplexAbsBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * sign(saved(0)) }
}

/// |z| without overflow; the slope at 0 is 0.
func complexAbs(_ z: Tensor) -> Tensor {
    if z.isBatched { return z.lifted { z, _ in complexAbs(z) } }
    let parts = Tensor(raw: z.raw).viewAsReal
    let size = binaryForward("abs", .hypot, parts[TensorIndex.ellipsis, 0].raw, parts[TensorIndex.ellipsis, 1].raw)
    return record(size, z) {
        let node = ComplexAbsBackward()
        node.save(z)
        return node
    }
}

final class ComplexSignBackward: Node, @unchecked Sendable {
    // d(z / |z|) = (g - s Re(conj(s) g)) / |z|, 0 at 0
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let z = saved(0)
        let size = abs(z), s = sign(z)
        let slope = (g - s * (conj(s) * g).real) / which(size .== 0, 1, size)
        return which(size .== 0, Tensor(zerosLike: slope), slope)
    }
}

/// z / |z|, 0 at 0.
func complexSign(_ z: Tensor) -> Tensor {
    unary(.sign, z) { z, _ in
        let node = ComplexSignBackward()
        node.save(z)
        return node
    }
}
