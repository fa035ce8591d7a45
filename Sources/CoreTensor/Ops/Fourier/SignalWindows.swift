#if canImport(Glibc)
    import Glibc
#endif

// Windows of signal processing, and filter banks. `periodic` ones are a period of the function, for spectra; the others symmetric.

/// Σ aᵢ (-1)ⁱ cos(2πin / N)
private func cosineWindow(_ size: Int, _ periodic: Bool, _ coefficients: [Double], _ dtype: DType, _ operation: String) -> Tensor
{
    if size < 0 || !dtype.isFloatingPoint { fail(operation, "\(size) places of type \(dtype); needs floats") }
    let period = Double(periodic ? size : size - 1)
    let values = (0..<size).map { n -> Double in
        if size == 1 { return 1 }
        return coefficients.enumerated().reduce(0) { sum, term in
            sum + (term.offset % 2 == 0 ? 1 : -1) * term.element * cos(2 * .pi * Double(term.offset * n) / period)
        }
    }
    return Tensor(values, shape: [size], dtype: dtype)
}

/// The Hann window, `[size]`: ½ - ½ cos(2πn / N), N the size or, if not periodic, one less.
public func hannWindow(_ size: Int, periodic: Bool = true, dtype: DType = .float32) -> Tensor {
    cosineWindow(size, periodic, [0.5, 0.5], dtype, "hannWindow")
}

/// The Hamming window, `[size]`: alpha - beta cos(2πn / N), N the size or, if not periodic, one less.
public func hammingWindow(
    _ size: Int, periodic: Bool = true, alpha: Double = 0.54, beta: Double = 0.46, dtype: DType = .float32
) -> Tensor {
    cosineWindow(size, periodic, [alpha, beta], dtype, "hammingWindow")
}

/// The Blackman window, `[size]`: 0.42 - 0.5 cos(2πn / N) + 0.08 cos(4πn / N), N the size or, if not periodic, one less.
public func blackmanWindow(_ size: Int, periodic: Bool = true, dtype: DType = .float32) -> Tensor {
    cosineWindow(size, periodic, [0.42, 0.5, 0.08], dtype, "blackmanWindow")
}

/// Triangular filters whose peaks lie evenly on the mel scale (2595 log₁₀(1 + f / 700)) between two frequencies in Hz:
/// `[spectrum, filters]`, for spectra of `fftLength / 2 + 1` places. Edges fall on places of the spectrum, rounded down, as in ONNX.
public func melFilterBank(
    filters: Int, fftLength: Int, sampleRate: Int, from low: Double, to high: Double, dtype: DType = .float32
) -> Tensor {
    if filters < 1 || fftLength < 1 || sampleRate < 1 || !(low < high) {
        fail("melFilterBank", "\(filters) filters from \(low) to \(high) Hz of \(fftLength) places at \(sampleRate) Hz")
    }
    let rows = fftLength / 2 + 1
    func mel(_ hertz: Double) -> Double { 2595 * log10(1 + hertz / 700) }
    let step = (mel(high) - mel(low)) / Double(filters + 2)
    let edges = (0..<filters + 2).map { i -> Int in
        let hertz = 700 * (pow(10, (mel(low) + Double(i) * step) / 2595) - 1)
        return Int((Double(fftLength + 1) * hertz / Double(sampleRate)).rounded(.down))
    }
    var values = [Double](repeating: 0, count: rows * filters)
    for filter in 0..<filters {
        let (left, peak, right) = (edges[filter], edges[filter + 1], edges[filter + 2])
        if peak == left && peak < rows { values[peak * filters + filter] = 1 }
        for row in left..<Swift.max(Swift.min(peak + (peak > left ? 1 : 0), rows), left) {
            values[row * filters + filter] = Double(row - left) / Double(peak - left)
        }
        for row in peak..<Swift.max(Swift.min(right, rows), peak) where right > peak {
            values[row * filters + filter] = Double(right - row) / Double(right - peak)
        }
    }
    return Tensor(values, shape: [rows, filters], dtype: dtype)
}
