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
    if plan.causal { visible = causalMask(q.shape[2], k.shape[2], .lastKey, q.device) }
    if let mask {
        if mask.dtype == .bool {
            visible = visible.map { $0 .& mask } ?? mask
        } else {
            let added = mask.to(scores.dtype)
            // -∞ hides, as false does, so that it makes no NaN.
            let shown = added.detached() .> -Double.infinity
            visible = visible.map { $0 .& shown } ?? shown
            scores = scores + which(shown, added, 0)
        }
    }
    guard let visible else { return softmax(scores) }
    let hidden = .!visible.expanded(to: scores.shape)
    // Finite, so that a fully hidden row has no ∞ - ∞; those rows are set to 0 after.
    return softmax(scores.maskedFill(hidden, scores.dtype == .float16 ? -6e4 : -1e30)).maskedFill(hidden, 0)
}

/// Which key the last query of causal attention sees last, where queries and keys differ in number.
public enum CausalAlignment: Sendable {
    /// Query `i` sees keys up to `i + keys - length`: the queries are the last positions, as with a cache.
    case lastKey
    /// Query `i` sees keys up to `i`, as in PyTorch.
    case firstKey
}

/// `[length, keys]`, true where a query sees a key.
private func causalMask(_ length: Int, _ keys: Int, _ alignment: CausalAlignment, _ device: Device) -> Tensor {
    Tensor(ones: [length, keys], dtype: .bool, device: device).tril(diagonal: alignment == .lastKey ? keys - length : 0)
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
/// - `query [..., heads, length, dim]`, `key [..., kvHeads, keys, dim]`, `value [..., kvHeads, keys, width]`; leading axes broadcast.
///   `heads` is a multiple of `kvHeads` (grouped queries) or `kvHeads` of it. `[length, dim]` has one head. `scale` is 1/√dim by
///   default.
/// - `causal`: query `i` sees keys up to `i + keys - length`, or as `alignment` says.
/// - `mask`: broadcasts to `[..., heads, length, keys]`; true (or an added number) says what is seen. A row that sees nothing
///   gives 0. Masks take the composed path.
/// - `dropout`: the probability of each attention weight to become 0, the others growing; takes the composed path.
public func scaledDotProductAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, causal: Bool = false,
    alignment: CausalAlignment = .lastKey, scale: Double? = nil, dropout: Double = 0, generator: RandomGenerator = .default
) -> Tensor {
    if query.rank != 4 || key.rank != 4 || value.rank != 4 || key.shape[0] != query.shape[0] || value.shape[0] != query.shape[0] {
        let (q, k, v, m, lead) = withFourAxes(query, key, value, mask)
        let out = scaledDotProductAttention(
            q, k, v, mask: m, causal: causal, alignment: alignment, scale: scale, dropout: dropout, generator: generator)
        // Without heads: [length, dim].
        let hasHeads = [query, key, value].contains { $0.rank > 2 }
        return out.reshaped(lead + out.shape.suffix(hasHeads ? 3 : 2))
    }
    if let dtype = Autocast.dtype, query.dtype != .float64 {
        return withoutAutocast {
            scaledDotProductAttention(
                query.to(.float32), key.to(.float32), value.to(.float32), mask: mask, causal: causal, alignment: alignment,
                scale: scale,
                dropout: dropout, generator: generator
            ).to(dtype)
        }
    }
    for x in [query, key, value] where !x.dtype.isFloatingPoint || x.dtype != query.dtype {
        fail("attention", "needs [batch, heads, length, dim] floats of one type, not \(x.dtype) \(x.shape)")
    }
    let q = query.shape, k = key.shape, v = value.shape
    if k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] == 0 || (q[1] % k[1] != 0 && q[1] != 1) {
        fail("attention", "query \(q), key \(k) and value \(v) do not fit: [batch, heads, length, dim]")
    }
    if q[1] == 1 && k[1] > 1 {
        return scaledDotProductAttention(
            query.expanded(to: [q[0], k[1], q[2], q[3]]), key, value, mask: mask, causal: causal, alignment: alignment,
            scale: scale, dropout: dropout, generator: generator)
    }
    if causal && alignment == .firstKey && q[2] != k[2] {
        let triangle = causalMask(q[2], k[2], .firstKey, query.device)
        let hidden = mask.map { $0.dtype == .bool ? $0 .& triangle : which(triangle, $0, -Double.infinity) } ?? triangle
        return scaledDotProductAttention(query, key, value, mask: hidden, scale: scale, dropout: dropout, generator: generator)
    }
    let plan = AttentionPlan(scale: scale ?? 1 / Double(q[3]).squareRoot(), causal: causal)
    let isKernelType = query.dtype == .float32 || query.dtype == .float64
    let isBatched = [query, key, value].contains(where: \.isBatched) || mask?.isBatched == true
    if isBatched && dropout == 0 { return batchedAttention(query, key, value, mask, causal: causal, scale: scale) }
    if !isKernelType && mask == nil && v[3] == q[3] && dropout == 0 {
        return scaledDotProductAttention(
            query.to(.float32), key.to(.float32), value.to(.float32), causal: causal, scale: scale
        ).to(query.dtype)
    }
    if mask != nil || v[3] != q[3] || !isKernelType || dropout != 0 {
        let groups = q[1] / k[1]
        let p = attentionProbabilities(query, repeatHeads(key, groups), plan, mask: mask)
        return matmul(
            CoreTensor.dropout(p, probability: dropout, generator: generator), repeatHeads(value, groups))
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

/// The weights of ``scaledDotProductAttention(_:_:_:mask:causal:alignment:scale:dropout:generator:)`` by themselves:
/// `query [batch, heads, length, dim]`, `key [batch, heads, keys, dim]` give `[batch, heads, length, keys]`, rows that sum to 1, or
/// to 0 where nothing is seen.
public func attentionWeights(
    _ query: Tensor, _ key: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Double? = nil
) -> Tensor {
    let q = query.shape, k = key.shape
    if q.count != 4 || k.count != 4 || q[0] != k[0] || q[1] != k[1] || q[3] != k[3] {
        fail("attentionWeights", "query \(q) and key \(k) do not fit: [batch, heads, length, dim]")
    }
    let plan = AttentionPlan(scale: scale ?? 1 / Double(q[3]).squareRoot(), causal: causal)
    return attentionProbabilities(query, key, plan, mask: mask)
}

/// `[batch, heads, length, dim]` of tensors with other numbers of axes, and the leading axes that the result gets back.
private func withFourAxes(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ mask: Tensor?
) -> (query: Tensor, key: Tensor, value: Tensor, mask: Tensor?, lead: Shape) {
    for x in [query, key, value] where x.rank < 2 {
        fail("attention", "needs [..., heads, length, dim], not \(x.shape)")
    }
    let shapes = [query, key, value].map { Array($0.shape.dropLast(3)) }
    var lead: Shape = []
    for shape in shapes {
        guard let joint = broadcastShape(lead, shape) else {
            fail("attention", "leading axes of query \(query.shape), key \(key.shape) and value \(value.shape) do not broadcast")
        }
        lead = joint
    }
    let batch = lead.reduce(1, *)
    func four(_ x: Tensor) -> Tensor {
        let x = x.rank == 2 ? x.unsqueezed(0) : x
        return x.expanded(to: lead + x.shape.suffix(3)).reshaped([batch] + x.shape.suffix(3))
    }
    let q = four(query), k = four(key)
    var mask = mask
    if let m = mask, m.rank > 2 {
        let heads = Swift.max(q.shape[1], k.shape[1])
        mask = m.expanded(to: lead + [heads, q.shape[2], k.shape[2]]).reshaped([batch, heads, q.shape[2], k.shape[2]])
    }
    return (q, k, four(value), mask, lead)
}
