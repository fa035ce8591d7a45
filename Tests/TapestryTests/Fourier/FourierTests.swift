import Foundation
import Tapestry
import TestSupport
import Testing

/// Transforms against the sum that defines them, and what is known about them.
@Suite struct FourierTests {
    /// By the definition, in double.
    private func reference(_ x: Tensor, inverse: Bool) -> Tensor {
        let n = x.shape.last!
        let values = x.viewAsReal.scalars(Double.self)
        var result = [Double](repeating: 0, count: 2 * n)
        for k in 0..<n {
            for j in 0..<n {
                let angle = (inverse ? 2 : -2) * Double.pi * Double(j * k % n) / Double(n)
                let (c, s) = (cos(angle), sin(angle))
                result[2 * k] += values[2 * j] * c - values[2 * j + 1] * s
                result[2 * k + 1] += values[2 * j] * s + values[2 * j + 1] * c
            }
        }
        return Tensor(result, shape: [n, 2], dtype: .float64).viewAsComplex
    }

    private func random(_ shape: [Int], _ type: DType = .float64) -> Tensor {
        Tensor(normal: shape + [2], dtype: type, generator: RandomGenerator(seed: 8)).viewAsComplex
    }

    /// Powers of two, mixed factors, primes, and primes so large that they take another way.
    @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 12, 30, 49, 64, 97, 101, 106, 128, 210, 251, 360])
    func lengths(_ n: Int) {
        let x = random([n])
        let scale = Double(n)
        for inverse in [false, true] {
            let y = inverse ? FFT.ifft(x, norm: .forward) : FFT.fft(x)
            let error = abs(y - reference(x, inverse: inverse)).max().item(Double.self)
            #expect(error < 1e-14 * scale + 1e-14, "length \(n): \(error)")
        }
        #expect(abs(FFT.ifft(FFT.fft(x)) - x).max().item(Double.self) < 1e-14 * scale + 1e-14)
        let single = FFT.fft(x.to(.complex64))
        #expect(single.dtype == .complex64)
        #expect(abs(single.to(.complex128) - FFT.fft(x)).max().item(Double.self) < 1e-6 * scale)
    }

    @Test func halves() {
        for n in [1, 2, 5, 6, 101] {
            let x = random([3, n]).real
            let whole = FFT.fft(x), half = FFT.rfft(x)
            #expect(half.shape == [3, n / 2 + 1])
            #expect(abs(half - whole[TensorIndex.ellipsis, 0..<(n / 2 + 1)]).max().item(Double.self) < 1e-12)
            #expect(abs(FFT.irfft(half, count: n) - x).max().item(Double.self) < 1e-12)
            #expect(abs(FFT.hfft(FFT.ihfft(x), count: n) - x).max().item(Double.self) < 1e-12)
        }
    }

    @Test func severalAxes() {
        let x = random([4, 3, 5])
        #expect(abs(FFT.fft2(x) - FFT.fft(FFT.fft(x), axis: 1)).max().item(Double.self) < 1e-12)
        #expect(abs(FFT.ifftn(FFT.fftn(x, norm: .ortho), norm: .ortho) - x).max().item(Double.self) < 1e-13)
        // Parseval.
        let y = FFT.fftn(x, norm: .ortho)
        #expect(Swift.abs((abs(y) * abs(y)).sum().item(Double.self) - (abs(x) * abs(x)).sum().item(Double.self)) < 1e-10)
        let r = x.real
        #expect(abs(FFT.irfftn(FFT.rfftn(r), counts: r.shape) - r).max().item(Double.self) < 1e-13)
        #expect(abs(FFT.hfftn(FFT.ihfftn(r), counts: r.shape) - r).max().item(Double.self) < 1e-13)
    }

    @Test func insideVmapAndOnThreads() {
        let x = random([6, 40])
        #expect(vmap { FFT.fft($0) }(x).isEqual(to: FFT.fft(x)))
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let many = random([300, 97])
        Configuration.threadCount = 1
        let one = FFT.fft(many)
        Configuration.threadCount = 4
        #expect(FFT.fft(many).isEqual(to: one))
    }

    @Test func frequencies() {
        #expect(FFT.fftfreq(5, spacing: 0.1).isClose(to: Tensor([0.0, 2, 4, -4, -2])))
        #expect(FFT.fftfreq(4).isClose(to: Tensor([0, 0.25, -0.5, -0.25])))
        #expect(FFT.rfftfreq(4).isClose(to: Tensor([0, 0.25, 0.5])))
        #expect(FFT.fftshift(FFT.fftfreq(4)).isClose(to: Tensor([-0.5, -0.25, 0, 0.25])))
        #expect(FFT.ifftshift(FFT.fftshift(Tensor(arange: 5))).isEqual(to: Tensor(arange: 5)))
    }

    @Test func mistakesStop() async {
        await #expect(processExitsWith: .failure) { _ = FFT.fft(Tensor(zeros: [0])) }
        await #expect(processExitsWith: .failure) { _ = FFT.rfft(FFT.fft(Tensor(zeros: [3]))) }
        await #expect(processExitsWith: .failure) { _ = FFT.fftn(Tensor(zeros: [3, 3]), axes: [0, 0]) }
        await #expect(processExitsWith: .failure) { _ = FFT.fft(Tensor(zeros: [3], dtype: .float16)) }
    }
}
