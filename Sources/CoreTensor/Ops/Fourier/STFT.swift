extension FFT {
    /// The short-time Fourier transform: spectra of windows of `fftLength` places, one every `hop`. `x [..., length]` gives complex
    /// `[..., frequencies, frames]`, PyTorch's `stft` without normalisation.
    ///
    /// `window [n]`, n ≤ `fftLength`, is centred; ones by default. With `center` the signal is mirrored at both ends, so that frame `t` lies
    /// around place `t · hop`. `oneSided` (default for real signals) keeps the `fftLength / 2 + 1` frequencies that are not negative.
    /// Traps if the signal is shorter than a window.
    public static func stft(
        _ x: Tensor, fftLength: Int, hop: Int? = nil, window: Tensor? = nil, center: Bool = true, oneSided: Bool? = nil
    ) -> Tensor {
        let hop = hop ?? fftLength / 4, oneSided = oneSided ?? !x.dtype.isComplex
        let missing = fftLength - (window?.count ?? fftLength)
        if x.rank == 0 || fftLength < 1 || hop < 1 || missing < 0 || (oneSided && x.dtype.isComplex) {
            fail(
                "stft",
                "windows \(window?.shape ?? []) in \(fftLength) places every \(hop) of a \(x.dtype) signal of shape \(x.shape)")
        }
        let signal = center ? x.padded([fftLength / 2, fftLength / 2], mode: .reflect) : x
        if signal.shape.last! < fftLength { fail("stft", "a signal of shape \(x.shape) is shorter than \(fftLength) places") }
        var frames = signal.windows(axis: -1, size: fftLength, step: hop)
        if let window { frames = frames * window.padded([missing / 2, missing - missing / 2]) }
        let spectra = oneSided ? rfft(frames) : fft(frames)
        return spectra.transposed(-2, -1)
    }
}
