import CKernels

final class AttentionBackward: Node, @unchecked Sendable {
    let plan: AttentionPlan
    init(_ plan: AttentionPlan) {
        self.plan = plan
        super.init()
    }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return [nil, nil, nil] }
        let q = saved(0), k = saved(1), v = saved(2)
        if g.isBatched || (isGradEnabled && [q, k, v, g].contains(where: \.requiresGrad)) {
            return composed(q, k, v, g)
        }
        let (dq, dk, dv) = asParts(q, k, v) ?? (denseAs(q), denseAs(k), denseAs(v))
        dq.backend.attentionGrad(
            q.raw, k.raw, v.raw, out: saved(3).raw, lse: saved(4).raw, withDenseLast(g.raw.broadcast(to: saved(3).shape)),
            dq: dq, dk: dk, dv: dv, plan)
        return [Tensor(raw: dq), Tensor(raw: dk), Tensor(raw: dv)]
    }

    /// Memory order [batch, length, heads, dim], as the projections' gradients want it, unless x itself is dense.
    private func denseAs(_ x: Tensor) -> RawTensor {
        x.raw.layout.isContiguous ? RawTensor(shape: x.shape, x.dtype, x.device) : headsInside(x.shape, x.dtype, x.device)
    }

    /// Where queries, keys and values are parts of one projection `[batch, length, 3 · heads · dim]`, so are their gradients: joining them
    /// copies nothing.
    private func asParts(_ q: Tensor, _ k: Tensor, _ v: Tensor) -> (RawTensor, RawTensor, RawTensor)? {
        let s = q.shape, width = s[1] * s[3], first = q.raw
        let strides = [s[2] * 3 * width, s[3], 3 * width, 1]
        for (i, part) in [q.raw, k.raw, v.raw].enumerated()
        where part.storage !== first.storage || part.shape != s || part.layout.strides != strides
            || part.offset != first.offset + i * width
        { return nil }
        let joint = RawTensor(shape: [s[0], s[2], 3 * width], q.dtype, q.device)
        func part(_ i: Int) -> RawTensor { joint.view(Layout(shape: s, strides: strides), offset: i * width) }
        return (part(0), part(1), part(2))
    }

    // P = softmax(S), D what dropout multiplies by: dv = (P D)ᵀ g, dP = (g vᵀ) D, dS = P (dP - Σ P dP) scale, dq = dS k, dk = dSᵀ q
    private func composed(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ g: Tensor) -> [Tensor?] {
        let groups = q.shape[1] / k.shape[1]
        let keys = repeatHeads(k, groups), values = repeatHeads(v, groups)
        let scores = composedScores(q, keys, plan, mask: plan.mask.map { Tensor(raw: $0) })
        let p = attentionProbabilities(scores)
        let dropped = plan.dropout > 0 ? droppedFactors(plan, p.shape, p.dtype, p.device) : nil
        var dp = matmul(g, values.transposed())
        if let dropped { dp = dp * dropped }
        var ds = p * (dp - (p * dp).sum(-1, keepDims: true)) * plan.scale
        if let slope = scores.capSlope { ds = ds * slope }
        let dk = matmul(ds.transposed(), q), dv = matmul((dropped.map { p * $0 } ?? p).transposed(), g)
        return [matmul(ds, keys), sumHeads(dk, groups), sumHeads(dv, groups)]
    }
}

func withDenseLast(_ x: RawTensor) -> RawTensor {
    x.layout.strides.last == 1 && !x.layout.strides.contains { $0 < 0 } ? x : x.denseCopy()
}

/// Room for `[batch, heads, length, dim]` with the heads of a position side by side in memory.
func headsInside(_ s: Shape, _ dtype: DType, _ device: Device) -> RawTensor {
    let dense = RawTensor(shape: [s[0], s[2], s[1], s[3]], dtype, device)
    let t = dense.layout.strides
    return dense.view(Layout(shape: s, strides: [t[0], t[2], t[1], t[3]]))
}
