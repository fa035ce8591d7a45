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
        let dq = denseAs(q), dk = denseAs(k), dv = denseAs(v)
        dq.backend.attentionGrad(
            q.raw, k.raw, v.raw, out: saved(3).raw, lse: saved(4).raw, withDenseLast(g.raw.broadcast(to: saved(3).shape)),
            dq: dq, dk: dk, dv: dv, plan)
        return [Tensor(raw: dq), Tensor(raw: dk), Tensor(raw: dv)]
    }

    /// Memory order [batch, length, heads, dim], as the projections' gradients want it.
    private func denseAs(_ x: Tensor) -> RawTensor {
        let s = x.shape
        let dense = RawTensor(shape: [s[0], s[2], s[1], s[3]], x.dtype, x.device)
        let t = dense.layout.strides
        return dense.view(Layout(shape: s, strides: [t[0], t[2], t[1], t[3]]))
    }

    // P = softmax(S): dv = Pᵀ g, dP = g vᵀ, dS = P (dP - Σ P dP) scale, dq = dS k, dk = dSᵀ q
    private func composed(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ g: Tensor) -> [Tensor?] {
        let groups = q.shape[1] / k.shape[1]
        let keys = repeatHeads(k, groups), values = repeatHeads(v, groups)
        let p = attentionProbabilities(q, keys, plan, mask: nil)
        let dp = matmul(g, values.transposed())
        let ds = p * (dp - (p * dp).sum(-1, keepDims: true)) * plan.scale
        let dk = matmul(ds.transposed(), q), dv = matmul(p.transposed(), g)
        return [matmul(ds, keys), sumHeads(dk, groups), sumHeads(dv, groups)]
    }
}

private func withDenseLast(_ x: RawTensor) -> RawTensor {
    x.layout.strides.last == 1 && !x.layout.strides.contains { $0 < 0 } ? x : x.denseCopy()
}

private func repeatHeads(_ x: Tensor, _ groups: Int) -> Tensor {
    if groups == 1 { return x }
    let s = x.shape
    return x.unsqueezed(2).expanded(to: [s[0], s[1], groups, s[2], s[3]]).reshaped([s[0], s[1] * groups, s[2], s[3]])
}

private func sumHeads(_ x: Tensor, _ groups: Int) -> Tensor {
    if groups == 1 { return x }
    let s = x.shape
    return x.reshaped([s[0], s[1] / groups, groups, s[2], s[3]]).sum(2)
}

/// softmax(q kᵀ scale + mask); rows that see no key are 0.
private func attentionProbabilities(_ q: Tensor, _ k: Tensor, _ plan: AttentionPlan, mask: Tensor?) -> Tensor {
    var scores = matmul(q, k.transposed()) * plan.scale
    var visible: Tensor?
    if plan.causal {
        let rows = q.shape[2], columns = k.shape[2]
        visible = Tensor(ones: [rows, columns], dtype: .bool, device: q.device).tril(diagonal: columns - rows)
    }
    if let mask {
        if mask.dtype == .bool {
            visible = visible.map { $0 .& mask } ?? mask
        } else {
            scores = scores + mask.to(scores.dtype)
        }
    }
    guard let visible else { return softmax(scores) }
    let hidden = .!visible.expanded(to: scores.shape)
    // Finite, so that a fully hidden row has no ∞ - ∞; those rows are set to 0 after.
    return softmax(scores.maskedFill(hidden, -1e30)).maskedFill(hidden, 0)
}

/// Inside `vmap`: the hidden axes join the batch axis.
private func batchedAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ mask: Tensor?, causal: Bool, scale: Double?
) -> Tensor {
    let scores = [query.shape[0], query.shape[1], query.shape[2], key.shape[2]]
    return liftedTogether([query, key, value] + (mask.map { [$0.expanded(to: scores)] } ?? [])) { plain, hidden in
        func joined(_ x: Tensor) -> Tensor { hidden == 0 ? x : x.reshaped([-1] + x.shape[(hidden + 1)...]) }
        let out = scaledDotProductAttention(
            joined(plain[0]), joined(plain[1]), joined(plain[2]), mask: plain.count > 3 ? joined(plain[3]) : nil,
            causal: causal, scale: scale)
        return out.reshaped(Array(plain[0].shape[..<(hidden + 1)]) + out.shape[1...])
    }
}

/// softmax(q kᵀ · scale) v, by tiles: memory is linear in the sequence (after Dao et al., 2022).
///
/// - `query [batch, heads, length, dim]`, `key` and `value` `[batch, kvHeads, keys, dim]`; `heads` is a multiple of `kvHeads`
///   (grouped queries). `scale` is 1/√dim by default.
/// - `causal`: query `i` sees keys up to `i + keys - length`.
/// - `mask`: broadcasts to `[batch, heads, length, keys]`; true (or an added number) says what is seen. A row that sees nothing
///   gives 0. Masks take the composed path.
public func scaledDotProductAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Double? = nil
) -> Tensor {
    for x in [query, key, value] where x.rank != 4 || !x.dtype.isFloatingPoint || x.dtype != query.dtype {
        fail("attention", "needs [batch, heads, length, dim] floats of one type, not \(x.dtype) \(x.shape)")
    }
    let q = query.shape, k = key.shape, v = value.shape
    if q[0] != k[0] || k[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] == 0 || q[1] % k[1] != 0 {
        fail("attention", "query \(q), key \(k) and value \(v) do not fit: [batch, heads, length, dim]")
    }
    let plan = AttentionPlan(scale: scale ?? 1 / Double(q[3]).squareRoot(), causal: causal)
    if [query, key, value].contains(where: \.isBatched) || mask?.isBatched == true {
        return batchedAttention(query, key, value, mask, causal: causal, scale: scale)
    }
    let isKernelType = query.dtype == .float32 || query.dtype == .float64
    if mask != nil || v[3] != q[3] || !isKernelType {
        let groups = q[1] / k[1]
        let p = attentionProbabilities(query, repeatHeads(key, groups), plan, mask: mask)
        return matmul(p, repeatHeads(value, groups))
    }
    let rq = withDenseLast(query.raw), rk = withDenseLast(key.raw), rv = withDenseLast(value.raw)
    // Heads side by side per position, so that the next projection reads it without a copy.
    let out = RawTensor(shape: [q[0], q[2], q[1], q[3]], query.dtype, query.device)
    let strides = out.layout.strides
    let view = out.view(Layout(shape: q, strides: [strides[0], strides[2], strides[1], strides[3]]))
    let lse = RawTensor(shape: [q[0], q[1], q[2]], query.dtype, query.device)
    out.backend.attention(rq, rk, rv, view, lse: lse, plan)
    return record(view, inputs: [query, key, value]) {
        let node = AttentionBackward(plan)
        node.save(Tensor(raw: rq, node: query.node, outputIndex: query.outputIndex))
        node.save(Tensor(raw: rk, node: key.node, outputIndex: key.outputIndex))
        node.save(Tensor(raw: rv, node: value.node, outputIndex: value.outputIndex))
        node.save(output: view)
        node.save(Tensor(raw: lse))
        return node
    }
}
