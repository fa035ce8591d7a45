import Tapestry

extension OpTable {
    static let fourier: [String: Function] = [
        "fft.fft": line(FFT.fft), "fft.ifft": line(FFT.ifft), "fft.rfft": line(FFT.rfft), "fft.irfft": line(FFT.irfft),
        "fft.hfft": line(FFT.hfft), "fft.ihfft": line(FFT.ihfft),
        "fft.fft2": plane(FFT.fftn), "fft.ifft2": plane(FFT.ifftn), "fft.rfft2": plane(FFT.rfftn),
        "fft.irfft2": plane(FFT.irfftn), "fft.hfft2": plane(FFT.hfftn), "fft.ihfft2": plane(FFT.ihfftn),
        "fft.fftn": space(FFT.fftn), "fft.ifftn": space(FFT.ifftn), "fft.rfftn": space(FFT.rfftn),
        "fft.irfftn": space(FFT.irfftn), "fft.hfftn": space(FFT.hfftn), "fft.ihfftn": space(FFT.ihfftn),
        "fft.fftshift": { [FFT.fftshift(try $0.tensor(0), axes: try $0.axes(1))] },
        "fft.ifftshift": { [FFT.ifftshift(try $0.tensor(0), axes: try $0.axes(1))] },
    ]

    private static func norm(_ call: GoldenCall) throws -> FFT.Norm {
        switch call.string(3, "norm", or: "backward") {
        case "backward": .backward
        case "ortho": .ortho
        case "forward": .forward
        case let other: throw GoldenError("norm \(other)")
        }
    }

    private static func list(_ call: GoldenCall, _ position: Int, _ name: String) throws -> [Int]? {
        switch call.value(position, name) {
        case .none: nil
        case .int(let i): [i]
        default: try call.ints(position, name)
        }
    }

    private static func line(_ f: @escaping @Sendable (Tensor, Int?, Int, FFT.Norm) -> Tensor) -> Function {
        { call in
            [f(try call.tensor(0), try list(call, 1, "n")?.first, try call.int(2, "dim", or: -1), try norm(call))]
        }
    }

    private static func plane(_ f: @escaping @Sendable (Tensor, [Int]?, [Int]?, FFT.Norm) -> Tensor) -> Function {
        { [f(try $0.tensor(0), try list($0, 1, "s"), try list($0, 2, "dim") ?? [-2, -1], try norm($0))] }
    }

    private static func space(_ f: @escaping @Sendable (Tensor, [Int]?, [Int]?, FFT.Norm) -> Tensor) -> Function {
        { [f(try $0.tensor(0), try list($0, 1, "s"), try list($0, 2, "dim"), try norm($0))] }
    }
}
