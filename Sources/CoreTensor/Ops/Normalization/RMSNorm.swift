final class RMSNormBackward: Node, @unchecked Sendable {
    let eps: Double
    let hasWeight: Bool
    init(eps: Double, hasWeight: Bool) {
        self.eps = eps
        self.hasWeight = hasWeight
        super.init()
    }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return needs.map { _ in nil } }
        let x = saved(0)
        let weight = hasWeight ? saved(2) : nil
        if g.isBatched || (isGradEnabled && (x.requiresGrad || g.requiresGrad || weight?.requiresGrad == true)) {
            // With h = x rstd and s = g w: dx = rstd (s - h mean(s h)), dw = Σ g h
            let rstd = rsqrt((x * x).mean(-1, keepDims: true) + eps)
            let h = x * rstd
            let s = weight.map { g * $0 } ?? g
            let dx = rstd * (s - h * (s * h).mean(-1, keepDims: true))
            return weight.map { [dx, (g * h).summed(to: $0.shape)] } ?? [dx]
        }
        let dense = x.raw.contiguous()
        let dx = needs[0] ? RawTensor(dense.layout, dense.dtype, dense.device) : nil
        let dw = hasWeight && needs[1] ? RawTensor(shape: [dense.shape.last!], dense.dtype, dense.device) : nil
        dense.backend.rmsNormGrad(
            dense, weight: weight?.raw.contiguous(), rstd: saved(1).raw, g.raw.broadcast(to: x.shape).contiguous(),
            dx: dx, dweight: dw)
        let first = dx.map { Tensor(raw: $0) }
        return hasWeight ? [first, dw.map { Tensor(raw: $0) }] : [first]
    }
}

/// x / √(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich, 2019). `x [..., width]`, `weight [width]`.
public func rmsNorm(_ x: Tensor, weight: Tensor? = nil, eps: Double = 1e-6) -> Tensor {
    let x = Autocast.raised(x), weight = weight.map(Autocast.raised)
    if x.dtype.isComplex && x.rank > 0 {
        let h = x * rsqrt((x * x).mean(-1, keepDims: true) + eps)
        return weight.map { h * $0 } ?? h
    }
    checkNormalized("rmsNorm", x, weight)
    if let weight, weight.isBatched { return rmsNorm(x, eps: eps) * weight }
    if x.isBatched { return x.lifted { x, _ in rmsNorm(x, weight: weight, eps: eps) } }
    let dense = x.raw.contiguous()
    let statistics: DType = x.dtype == .float64 ? .float64 : .float32
    let rstd = RawTensor(shape: Array(x.shape.dropLast()) + [1], statistics, x.device)
    let out = RawTensor(dense.layout, x.dtype, x.device)
    out.backend.rmsNorm(dense, weight: weight?.raw.contiguous(), out, rstd: rstd, eps: eps)
    return record(out, inputs: [x, weight].compactMap { $0 }) {
        let node = RMSNormBackward(eps: eps, hasWeight: weight != nil)
        node.save(x)
        node.save(Tensor(raw: rstd))
        if let weight { node.save(weight) }
        return node
    }
}

/// ``rmsNorm(_:weight:eps:)`` over the last axes, whose sizes are `normalizedShape`; `weight` has that shape.
public func rmsNorm(_ x: Tensor, normalizedShape: [Int], weight: Tensor? = nil, eps: Double = 1e-6) -> Tensor {
    overTrailing("rmsNorm", x, normalizedShape, weight, nil) { x, weight, _ in rmsNorm(x, weight: weight, eps: eps) }
}
