// Norms along an axis, similarities and distances.

/// (Σ |x|^p)^(1/p) over the axes, without the axes of size 1 left unless asked. At 0 the slope is 0.
func pNorm(_ x: Tensor, _ p: Double, _ axes: Axes, keepDims: Bool = false) -> Tensor {
    let a = abs(x)
    if p == 0 { return (a .!= 0).to(a.dtype).sum(axes, keepDims: keepDims) }
    if p == 1 { return a.sum(axes, keepDims: keepDims) }
    if p == .infinity { return a.max(axes, keepDims: keepDims) }
    if p == -.infinity { return a.min(axes, keepDims: keepDims) }
    // Roots of 0 have no slope: where the sum is 0, a constant takes its place.
    let powers = p == 2 ? a * a : p < 1 ? pow(which(a .== 0, 1, a), p) * (a .!= 0).to(a.dtype) : pow(a, p)
    let sum = powers.sum(axes, keepDims: keepDims)
    let isZero = sum.detached() .== 0
    let safe = which(isZero, 1, sum)
    return which(isZero, Tensor(zerosLike: sum), p == 2 ? sqrt(safe) : pow(safe, 1 / p))
}

/// x / max(‖x‖_p, epsilon) along an axis.
public func normalized(_ x: Tensor, p: Double = 2, axis: Int = 1, epsilon: Double = 1e-12) -> Tensor {
    let axis = resolveAxis("normalized", axis, rank: x.rank)
    return x / pNorm(x, p, Axes([axis]), keepDims: true).clamped(min: epsilon)
}

/// ⟨a, b⟩ / (max(‖a‖, epsilon) max(‖b‖, epsilon)) along an axis, broadcast.
public func cosineSimilarity(_ a: Tensor, _ b: Tensor, axis: Int = 1, epsilon: Double = 1e-8) -> Tensor {
    let (a, b) = promoted(a, b)
    let shape = requireBroadcast("cosineSimilarity", a.shape, b.shape)
    let axes = Axes([resolveAxis("cosineSimilarity", axis, rank: shape.count)])
    let x = a.expanded(to: shape), y = b.expanded(to: shape)
    func unit(_ v: Tensor) -> Tensor { v / pNorm(v, 2, axes, keepDims: true).clamped(min: epsilon) }
    return (unit(x) * unit(y)).sum(axes)
}

/// ‖a - b + epsilon‖_p along the last axis, broadcast.
public func pairwiseDistance(_ a: Tensor, _ b: Tensor, p: Double = 2, epsilon: Double = 1e-6, keepDims: Bool = false) -> Tensor {
    pNorm(a - b + epsilon, p, -1, keepDims: keepDims)
}

/// Distances of all pairs of rows: `a [..., n, d]` and `b [..., m, d]` give `[..., n, m]` of ‖a_i - b_j‖_p. Equal rows have slope 0.
public func cdist(_ a: Tensor, _ b: Tensor, p: Double = 2) -> Tensor {
    if a.rank < 2 || b.rank < 2 || a.shape.last! != b.shape.last! || !(p >= 0) {
        fail("cdist", "rows of \(a.shape) and \(b.shape) with p = \(p): needs [..., n, d] and [..., m, d], p not negative")
    }
    return pNorm(a.unsqueezed(-2) - b.unsqueezed(-3), p, -1)
}

/// Distances of all pairs of different rows of `x [n, d]`: `[n (n - 1) / 2]`, row by row of the upper triangle.
public func pdist(_ x: Tensor, p: Double = 2) -> Tensor {
    if x.rank != 2 { fail("pdist", "needs [n, d], not \(x.shape)") }
    let pairs = Tensor.triuIndices(rows: x.shape[0], columns: x.shape[0], offset: 1, device: x.device)
    return pNorm(x.indexSelect(axis: 0, index: pairs[0]) - x.indexSelect(axis: 0, index: pairs[1]), p, -1)
}

extension Tensor {
    /// Slices along an axis shrunk to a p-norm of at most `maxNorm`.
    public func renormalized(p: Double, axis: Int, maxNorm: Double) -> Tensor {
        let axis = resolveAxis("renormalized", axis, rank: rank)
        if rank < 2 || !(p > 0) || maxNorm < 0 {
            fail("renormalized", "p = \(p), maxNorm \(maxNorm) for a tensor of shape \(shape)")
        }
        let norms = pNorm(self, p, Axes((0..<rank).filter { $0 != axis }), keepDims: true)
        return which(norms .> maxNorm, self * (maxNorm / (norms + 1e-7)), self)
    }
}
