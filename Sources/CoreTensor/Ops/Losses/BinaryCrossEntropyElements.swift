final class BinaryCrossEntropyBackward: Node, @unchecked Sendable {
    // (p - z) / (p (1 - p)), the divisor at least 1e-12; for the target: ln(1 - p) - ln p
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let p = saved(0), z = saved(1)
        if input == 0 { return g * (p - z) / ((1 - p) * p).clamped(min: 1e-12) }
        return g * (log1p(-p) - log(p))
    }
}

/// -(z ln p + (1 - z) ln(1 - p)) of each element, both logarithms at least -100: probabilities `p` and targets `z` of one shape and
/// float type. Traps on probabilities outside 0 ... 1.
public func binaryCrossEntropyElements(_ p: Tensor, _ z: Tensor) -> Tensor {
    if p.shape != z.shape || p.dtype != z.dtype || !p.dtype.isFloatingPoint {
        fail("binaryCrossEntropy", "probabilities \(p.dtype) \(p.shape) do not fit targets \(z.dtype) \(z.shape)")
    }
    if p.isBatched || z.isBatched {
        return liftedTogether([p, z]) { plain, _ in binaryCrossEntropyElements(plain[0], plain[1]) }
    }
    let (x, y) = (p.detached(), z.detached())
    if !((x .>= 0) .& (x .<= 1)).all().item(Bool.self) {
        fail("binaryCrossEntropy", "some probabilities are not in 0 ... 1; apply sigmoid, or use bceWithLogits")
    }
    let value = (y - 1) * log1p(-x).clamped(min: -100) - y * log(x).clamped(min: -100)
    return record(value.raw, p, z) {
        let node = BinaryCrossEntropyBackward()
        node.save(p)
        node.save(z)
        return node
    }
}
