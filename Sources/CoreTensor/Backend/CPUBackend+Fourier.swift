import CFFT

extension CPUBackend {
    /// By KISS FFT, in double.
    public func fourierTransform(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, inverse: Bool, scale: Double) {
        if !tk_fft_available() { fail("fft", "this build has no KISS FFT; install libkissfft-dev and build again") }
        tk_fft(
            x.dtype == .complex128, Int64(view.outer), Int64(view.n), Int64(view.inner), x.pointer, out.pointer, inverse, scale)
    }
}
