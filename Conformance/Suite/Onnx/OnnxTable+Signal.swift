import Tapestry

extension OnnxTable {
    static let signal: [String: OnnxOperator] = [
        "DFT": { call in
            let x = try call.x()
            // The last axis holds real and imaginary parts.
            let named = try call.opset >= 20 ? call.inputInts(2)?.first ?? -2 : call.int("axis", or: 1)
            let axis = named < 0 ? named + x.rank : named
            let count = try call.inputInts(1)?.first, inverse = try call.flag("inverse"), oneSided = try call.flag("onesided")
            let isReal = x.shape.last == 1, z = isReal ? x.squeezed(-1) : x.contiguous().viewAsComplex
            if inverse && oneSided { return FFT.irfft(z, count: count, axis: axis).unsqueezed(-1).to(x.dtype) }
            if inverse { return FFT.ifft(z, count: count, axis: axis).viewAsReal.to(x.dtype) }
            return (oneSided ? FFT.rfft(isReal ? z : z.real, count: count, axis: axis) : FFT.fft(z, count: count, axis: axis))
                .viewAsReal
                .to(x.dtype)
        },
        "STFT": { call in
            let x = try call.x(), window = try call.optional(2)
            guard let length = try call.inputInts(3)?.first ?? window?.count else { throw GoldenError("STFT without a length") }
            let isReal = x.rank == 2 || x.shape.last == 1
            let z = x.rank == 2 ? x : isReal ? x.squeezed(-1) : x.contiguous().viewAsComplex
            let oneSided = try call.flag("onesided", or: true) && isReal
            let y = FFT.stft(
                z, fftLength: length, hop: try call.x(1).item(Int.self), window: window, center: false, oneSided: oneSided)
            return y.transposed(-2, -1).contiguous().viewAsReal.to(x.dtype)
        },
        "HannWindow": window { hannWindow($0, periodic: $1, dtype: $2) },
        "HammingWindow": window { hammingWindow($0, periodic: $1, alpha: 25.0 / 46, beta: 21.0 / 46, dtype: $2) },
        "BlackmanWindow": window { blackmanWindow($0, periodic: $1, dtype: $2) },
        "MelWeightMatrix": { call in
            let type = try onnxType(try call.int("output_datatype", or: 1))
            return melFilterBank(
                filters: try call.x(0).item(Int.self), fftLength: try call.x(1).item(Int.self),
                sampleRate: try call.x(2).item(Int.self),
                from: try call.x(3).item(Double.self), to: try call.x(4).item(Double.self), dtype: type)
        },
    ]

    private static func window(_ f: @escaping @Sendable (Int, Bool, DType) -> Tensor) -> OnnxOperator {
        { call in
            let type = try onnxType(try call.int("output_datatype", or: 1)), size = try call.x().item(Int.self)
            let window = f(size, try call.flag("periodic", or: true), type.isFloatingPoint ? type : .float64)
            return window.to(type)
        }
    }
}
