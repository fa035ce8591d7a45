import CCUDA
import CoreTensor

// MARK: Attention

extension CUDABackend {
    private func shape(_ plan: AttentionPlan) -> tk_cuda_attention {
        var s = tk_cuda_attention()
        s.scale = plan.scale
        s.causal = plan.causal ? 1 : 0
        s.position = Int64(plan.position)
        s.window = Int64(plan.window ?? 0)
        s.soft_cap = plan.softCap ?? 0
        s.dropout = plan.dropout
        s.seed = plan.seed
        s.offset = plan.offset
        if let mask = plan.mask {
            let t = mask.layout.strides.map(Int64.init)
            s.mask_adds = mask.dtype == .bool ? 0 : 1
            s.mask_strides = (t[0], t[1], t[2], mask.shape[3] == 1 ? 0 : t[3])
        }
        return s
    }
    private func strides(_ x: RawTensor) -> (Int64, Int64, Int64) {
        let s = x.layout.strides
        return (Int64(s[0]), Int64(s[1]), Int64(s[2]))
    }
    private func shape(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, _ plan: AttentionPlan)
        -> tk_cuda_attention
    {
        var s = shape(plan)
        (s.batch, s.heads, s.kv_heads) = (Int64(q.shape[0]), Int64(q.shape[1]), Int64(k.shape[1]))
        (s.queries, s.keys, s.dim, s.value_dim) = (Int64(q.shape[2]), Int64(k.shape[2]), Int64(q.shape[3]), Int64(v.shape[3]))
        (s.q, s.k, s.v, s.out) = (strides(q), strides(k), strides(v), strides(out))
        return s
    }

    /// By tensor cores where they do (sm_90 has kernels of its own), else a warp to a query, 32 keys at a time.
    public func attention(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan)
    {
        if let head = flashHead([q, k, v, out], plan) {
            if let maps = hopperMaps([q, k, v], plan, "attention") {
                return hopperAttention(maps, out, lse: lse, head: head, shape(q, k, v, out, plan))
            }
            return flashAttention(q, k, v, out, lse: lse, head: head, shape(q, k, v, out, plan))
        }
        let name: StaticString = "attention", slopes = plan.alibiSlopes.map { table($0, .float64) }
        context.launch(
            KernelName("tk_attention", q.dtype.suffix), grid: ((lse.count + 3) / 4, 1), block: (32, 4), address(q, name),
            address(k, name),
            address(v, name), address(out, name), address(lse, name), address(plan.mask, name), address(slopes, name),
            shape(q, k, v, out, plan))
    }

    /// By tensor cores, or a warp to a query for its gradient and a warp to a key for those of keys and values.
    public func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor,
        dv: RawTensor, _ plan: AttentionPlan
    ) {
        let name: StaticString = "attentionGrad", slopes = plan.alibiSlopes.map { table($0, .float64) }
        var s = shape(q, k, v, out, plan)
        (s.g, s.dq, s.dk, s.dv) = (strides(g), strides(dq), strides(dk), strides(dv))
        let delta = scratch([max(1, lse.count)], lse.dtype), deltas = address(delta, name)
        let queries = address(q, name), keys = address(k, name), values = address(v, name), gradient = address(g, name)
        let sums = address(lse, name), mask = address(plan.mask, name), alibi = address(slopes, name)
        context.launch(
            KernelName("tk_attention_deltas", q.dtype.suffix), grid: ((lse.count + 3) / 4, 1), block: (32, 4), address(out, name),
            gradient, deltas, s)
        if let head = flashHead([q, k, v, g, dq, dk, dv], plan) {
            if let maps = hopperMaps([q, k, v, g], plan, name) {
                return hopperGradients(maps, lse: lse, deltas: deltas, dq: dq, dk: dk, dv: dv, head: head, s)
            }
            return flashGradients(q, k, v, g, lse: lse, deltas: deltas, dq: dq, dk: dk, dv: dv, head: head, s)
        }
        context.launch(
            KernelName("tk_attention_grad_queries", q.dtype.suffix), grid: ((lse.count + 3) / 4, 1), block: (32, 4), queries,
            keys, values,
            gradient, sums, deltas, address(dq, name), mask, alibi, s)
        let rows = k.shape[0] * k.shape[1] * k.shape[2]
        context.launch(
            KernelName("tk_attention_grad_keys", q.dtype.suffix), grid: ((rows + 3) / 4, 1), block: (32, 4), queries, keys,
            values, gradient,
            sums, deltas, address(dk, name), address(dv, name), mask, alibi, s)
    }

    /// The same weights as the kernels drop.
    public func attentionKept(_ out: RawTensor, _ plan: AttentionPlan) {
        var s = shape(plan)
        (s.batch, s.heads) = (Int64(out.shape[0]), Int64(out.shape[1]))
        (s.queries, s.keys) = (Int64(out.shape[2]), Int64(out.shape[3]))
        run(KernelName("tk_attention_kept"), pieces: out.count, address(out, "attentionKept"), s)
    }
}
