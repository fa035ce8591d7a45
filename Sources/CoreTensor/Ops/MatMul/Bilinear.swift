/// `a [..., m]` and `b [..., n]` with `weight [outputs, m, n]` and `bias [outputs]` give `[..., outputs]`: aᵀ · weight[o] · b + bias[o].
/// Computed by two matrix products.
public func bilinear(_ a: Tensor, _ b: Tensor, _ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
    let w = weight.shape
    if w.count != 3 || a.rank == 0 || a.rank != b.rank || a.shape.dropLast() != b.shape.dropLast() || a.shape.last! != w[1]
        || b.shape.last! != w[2]
    {
        fail("bilinear", "inputs of shape \(a.shape) and \(b.shape) do not fit a weight of shape \(w) ([outputs, m, n])")
    }
    if let bias, bias.shape != [w[0]] { fail("bilinear", "a bias of shape \(bias.shape) for \(w[0]) outputs; needs [\(w[0])]") }
    let rows = a.shape.dropLast().reduce(1, *)
    // [rows, m] · [m, outputs · n], then each row's [outputs, n] · [n]
    let half = matmul(a.reshaped([rows, w[1]]), weight.permuted(1, 0, 2).reshaped([w[1], w[0] * w[2]]))
    let out = matmul(half.reshaped([rows, w[0], w[2]]), b.reshaped([rows, w[2], 1]))
        .reshaped(Array(a.shape.dropLast()) + [w[0]])
    return bias.map { out + $0 } ?? out
}
