/// Local response normalisation (Krizhevsky et al., 2012): x / (k + alpha · mean(x²))^beta, the mean over `size` neighbouring
/// channels (those outside count as 0). `x [batch, channels, ...]` of rank 3 or more. Integers give float32.
public func localResponseNorm(_ x: Tensor, size: Int, alpha: Double = 1e-4, beta: Double = 0.75, k: Double = 1) -> Tensor {
    if x.rank < 3 { fail("localResponseNorm", "an input of shape \(x.shape); needs [batch, channels, places...]") }
    if size < 1 { fail("localResponseNorm", "\(size) channels; needs at least 1") }
    if x.count == 0 { return x }
    let x = x.asFloatingPoint("localResponseNorm"), channels = x.shape[1]
    let map = AxisMap(inputs: channels, outputs: channels) { c in
        (Swift.max(c - size / 2, 0)..<Swift.min(c + (size - 1) / 2 + 1, channels)).map { ($0, 1 / Double(size)) }
    }
    let type: DType = x.dtype == .float64 ? .float64 : .float32
    let mean = (x * x).to(type).mapped(axis: 1, by: map).to(x.dtype)
    return x / pow(mean * alpha + k, beta)
}
