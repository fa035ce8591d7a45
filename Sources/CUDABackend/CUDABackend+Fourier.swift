import CCUDA
import CoreTensor

// MARK: Discrete Fourier transforms

extension CUDABackend {
    /// A pass for each small factor of the length; a length with another factor is a convolution (Bluestein) in double.
    public func fourierTransform(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, inverse: Bool, scale: Double) {
        if out.count == 0 { return }
        var radices: [Int] = [], rest = view.n
        for factor in [8, 4, 2, 3, 5, 7, 11, 13] {
            while rest % factor == 0 {
                radices.append(factor)
                rest /= factor
            }
        }
        if rest == 1 { return passes(x, out, view, radices.isEmpty ? [1] : radices, inverse, scale) }
        if x.dtype == .complex128 { return bluestein(x, out, view, inverse, scale) }
        let wide = scratch(x.shape, .complex128), result = scratch(x.shape, .complex128)
        cast(x, to: wide)
        bluestein(wide, result, view, inverse, scale)
        cast(result, to: out)
    }

    private func passes(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, _ radices: [Int], _ inverse: Bool, _ scale: Double) {
        let name: StaticString = "fft", suffix = x.dtype.suffix
        let roots = scratch([view.n], x.dtype)
        run(KernelName("tk_fourier_roots", suffix), pieces: view.n, address(roots, name), view.n)
        // The last pass writes the result, and those before it to and fro between two places.
        let rooms = (0..<min(2, radices.count - 1)).map { _ in scratch(out.shape, x.dtype) }
        var from = x, before = 1
        for (i, radix) in radices.enumerated() {
            let isLast = i == radices.count - 1, to = isLast ? out : rooms[i % 2]
            run(
                KernelName("tk_fourier_pass", suffix), pieces: out.count, address(from, name), address(to, name),
                address(roots, name), view.outer, view.n, view.inner, radix, before, inverse ? 1 : 0, isLast ? scale : 1.0)
            from = to
            before *= radix
        }
    }

    private func bluestein(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, _ inverse: Bool, _ scale: Double) {
        let name: StaticString = "fft", n = view.n, direction = inverse ? 1 : 0
        var size = 2, radices: [Int] = []
        while size < 2 * n - 1 { size *= 2 }
        var rest = size
        while rest > 1 {
            radices.append(rest % 8 == 0 ? 8 : rest)
            rest /= radices.last!
        }
        let whole = AxisView(outer: view.outer, n: size, inner: view.inner)
        let shape = [view.outer, size, view.inner]
        let filter = scratch([size], .complex128), spectrum = scratch([size], .complex128)
        run(KernelName("tk_fourier_filter"), pieces: size, address(filter, name), n, size, direction)
        passes(filter, spectrum, AxisView(outer: 1, n: size, inner: 1), radices, false, 1)
        let spread = scratch(shape, .complex128), product = scratch(shape, .complex128)
        run(
            KernelName("tk_fourier_spread"), pieces: spread.count, address(x, name), address(spread, name), view.outer, n,
            view.inner, size, direction)
        passes(spread, product, whole, radices, false, 1)
        run(
            KernelName("tk_fourier_multiply"), pieces: product.count, address(product, name), address(spectrum, name), view.outer,
            size, view.inner)
        passes(product, spread, whole, radices, true, 1 / Double(size))
        run(
            KernelName("tk_fourier_collect"), pieces: out.count, address(spread, name), address(out, name), view.outer, n,
            view.inner, size, direction, scale)
    }
}
