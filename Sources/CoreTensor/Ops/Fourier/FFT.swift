/// Discrete Fourier transforms of any length, after PyTorch's `torch.fft`.
///
/// Real and integer tensors are transformed as complex ones (`float64` as `complex128`, all others as `complex64`), on the CPU computed in
/// double precision by KISS FFT, on a GPU in the type itself. `count` cuts an axis or fills it up with zeros before the transform. Gradients of every order.
public enum FFT {
    /// Where the factor 1/n of a transform and its inverse goes.
    public enum Norm: Sendable {
        /// To the inverse.
        case backward
        /// Its root to both.
        case ortho
        /// To the forward transform.
        case forward

        /// The factor of one direction of a transform of `n` points.
        func scale(_ n: Int, inverse: Bool) -> Double {
            switch self {
            case .ortho: 1 / Double(n).squareRoot()
            case .backward: inverse ? 1 / Double(n) : 1
            case .forward: inverse ? 1 : 1 / Double(n)
            }
        }
    }

    /// The transform along an axis: `X[k] = Σⱼ x[j] exp(-2πi j k / n)`. PyTorch's `torch.fft.fft`.
    public static func fft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        complexTransform("fft", x, count, axis, norm, inverse: false)
    }

    /// The inverse of ``fft(_:count:axis:norm:)``. PyTorch's `torch.fft.ifft`.
    public static func ifft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        complexTransform("ifft", x, count, axis, norm, inverse: true)
    }

    /// The first n / 2 + 1 points of the transform of a real tensor; the others are their conjugates. PyTorch's `torch.fft.rfft`.
    public static func rfft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        halfTransform("rfft", x, count, axis, norm, inverse: false)
    }

    /// The real tensor of `count` points (2 (m - 1) unless given, for m of `x`) whose ``rfft(_:count:axis:norm:)`` is `x`. PyTorch's
    /// `torch.fft.irfft`.
    public static func irfft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        realTransform("irfft", x, count, axis, norm, inverse: true)
    }

    /// The real transform of a signal whose second half is the conjugate of the first, of which `x` has the first m points; `count`
    /// as for ``irfft(_:count:axis:norm:)``. PyTorch's `torch.fft.hfft`.
    public static func hfft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        realTransform("hfft", conj(x), count, axis, norm, inverse: false)
    }

    /// The inverse of ``hfft(_:count:axis:norm:)`` for a real tensor. PyTorch's `torch.fft.ihfft`.
    public static func ihfft(_ x: Tensor, count: Int? = nil, axis: Int = -1, norm: Norm = .backward) -> Tensor {
        conj(halfTransform("ihfft", x, count, axis, norm, inverse: true))
    }

    // MARK: Along one axis

    static func complexTransform(
        _ operation: String, _ x: Tensor, _ count: Int?, _ axis: Int, _ norm: Norm, inverse: Bool
    ) -> Tensor {
        let axis = checkedAxis(operation, x, axis)
        let z = resized(operation, asComplex(operation, x), axis, count ?? x.shape[axis])
        let n = z.shape[axis]
        return dft(z, axis, inverse: inverse, scale: norm.scale(n, inverse: inverse))
    }

    /// Real to half of a spectrum. The direction decides the scale alone.
    static func halfTransform(
        _ operation: String, _ x: Tensor, _ count: Int?, _ axis: Int, _ norm: Norm, inverse: Bool
    ) -> Tensor {
        if x.dtype.isComplex { fail(operation, "needs a real tensor, not \(x.dtype); use \(inverse ? "ifft" : "fft")") }
        let axis = checkedAxis(operation, x, axis)
        let z = asComplex(operation, resized(operation, x, axis, count ?? x.shape[axis]))
        let n = z.shape[axis]
        return dft(z, axis, inverse: false, scale: norm.scale(n, inverse: inverse))
            .narrowed(axis: axis, start: 0, length: n / 2 + 1)
    }

    /// Half of a spectrum to real: the other half is its conjugate, and so the sum has no imaginary part. Always with positive
    /// exponents; the direction decides the scale.
    static func realTransform(
        _ operation: String, _ x: Tensor, _ count: Int?, _ axis: Int, _ norm: Norm, inverse: Bool
    ) -> Tensor {
        let axis = checkedAxis(operation, x, axis)
        let n = count ?? 2 * (x.shape[axis] - 1)
        if n < 1 { fail(operation, "\(n) points; needs at least 1") }
        let half = resized(operation, asComplex(operation, x), axis, n / 2 + 1)
        let rest = half.narrowed(axis: axis, start: 1, length: n - n / 2 - 1)
        let whole = concatenate([half, conj(rest).flipped(Axes([axis]))], axis: axis)
        return dft(whole, axis, inverse: true, scale: norm.scale(n, inverse: inverse)).real
    }

    static func checkedAxis(_ operation: String, _ x: Tensor, _ axis: Int) -> Int {
        if x.rank == 0 { fail(operation, "a scalar has no axis to transform") }
        return resolveAxis(operation, axis, rank: x.rank)
    }

    static func asComplex(_ operation: String, _ x: Tensor) -> Tensor {
        if x.dtype == .float16 || x.dtype == .bfloat16 {
            fail(operation, "\(x.dtype) has no complex type; convert with to(.float32)")
        }
        if x.dtype.isComplex { return x }
        let real = x.dtype == .float64 ? x : x.to(.float32)
        return complex(real: real, imaginary: Tensor(zeros: [], dtype: real.dtype, device: x.device))
    }

    /// Cut, or filled up with zeros, to `n` points.
    static func resized(_ operation: String, _ x: Tensor, _ axis: Int, _ n: Int) -> Tensor {
        if n < 1 { fail(operation, "\(n) points; needs at least 1") }
        let m = x.shape[axis]
        if n <= m { return n == m ? x : x.narrowed(axis: axis, start: 0, length: n) }
        var shape = x.shape
        shape[axis] = n - m
        return concatenate([x, Tensor(zeros: shape, dtype: x.dtype, device: x.device)], axis: axis)
    }
}

final class FFTBackward: Node, @unchecked Sendable {
    let axis: Int
    let inverse: Bool
    let scale: Double
    init(axis: Int, inverse: Bool, scale: Double) {
        self.axis = axis
        self.inverse = inverse
        self.scale = scale
        super.init()
    }
    // The adjoint of the symmetric matrix s F is s conj(F).
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { dft(g, axis, inverse: !inverse, scale: scale) }
}

/// `scale` · Σⱼ x[j] exp(∓2πi j k / n) along an axis of a complex tensor.
private func dft(_ x: Tensor, _ axis: Int, inverse: Bool, scale: Double) -> Tensor {
    if x.isBatched { return x.lifted { x, hidden in dft(x, axis + hidden, inverse: inverse, scale: scale) } }
    let dense = x.raw.contiguous()
    let out = RawTensor(shape: x.shape, x.dtype, x.device)
    out.backend.fourierTransform(dense, out, AxisView(x.shape, axis: axis), inverse: inverse, scale: scale)
    return record(out, x) { FFTBackward(axis: axis, inverse: inverse, scale: scale) }
}
