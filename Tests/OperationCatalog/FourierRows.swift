import Tapestry
import TestSupport

extension OpCatalog {
    private static func row(
        _ name: String, _ shapes: [[Int]], _ call: @escaping @Sendable (Tensor) -> Tensor
    ) -> OpRow {
        OpRow(name, shapes.map { [.real($0)] }, .golden("fft.fft"), types: [.float32]) { call($0[0]) }
    }

    /// The parts of a complex result in one real one.
    private static func parts(_ z: Tensor) -> Tensor { z.viewAsReal }

    /// Pairs of the last axis as complex numbers.
    private static func pairs(_ x: Tensor) -> Tensor { x.contiguous().viewAsComplex }

    static let fourier: [OpRow] = [
        row("fft", [[5, 2], [2, 3, 2], [1, 2]]) { parts(FFT.fft(pairs($0))) },
        row("fft of reals, cut and filled", [[5], [2, 3]]) {
            concatenate([parts(FFT.fft($0, count: 3)), parts(FFT.fft($0, count: 7))], axis: -2)
        },
        row("ifft", [[4, 2], [3, 2, 2]]) { parts(FFT.ifft(pairs($0), axis: 0, norm: .ortho)) },
        row("rfft and ihfft", [[5], [2, 4]]) { concatenate([parts(FFT.rfft($0)), parts(FFT.ihfft($0))]) },
        row("irfft and hfft", [[4, 2], [2, 3, 2]]) {
            concatenate([FFT.irfft(pairs($0)), FFT.hfft(pairs($0)), FFT.irfft(pairs($0), count: 5)], axis: -1)
        },
        row("fftn", [[2, 3, 2], [2, 2, 2, 2]]) { parts(FFT.fftn(pairs($0), norm: .forward)) },
        row("rfftn and irfftn", [[2, 3], [2, 2, 4]]) {
            let z = FFT.rfftn($0, axes: [0, -1])
            return concatenate([z.real, z.imaginary, FFT.irfftn(z * z, axes: [0, -1])], axis: -1)
        },
        row("hfftn and ihfftn", [[2, 3], [3, 4]]) {
            let z = FFT.ihfftn($0)
            return concatenate([z.real, z.imaginary, FFT.hfftn(z * z)], axis: -1)
        },
        row("fftshift", [[5], [2, 3]]) { FFT.fftshift($0) * FFT.ifftshift($0, axes: [0]) },
    ]
}
