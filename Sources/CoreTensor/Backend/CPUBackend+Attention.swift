import CKernels

extension CPUBackend {
    private func strides(_ x: RawTensor) -> tk_attention_strides {
        let s = x.layout.strides
        return tk_attention_strides(batch: Int64(s[0]), head: Int64(s[1]), position: Int64(s[2]))
    }

    /// Calls `body` with what the kernels want to know of `plan`; pointers hold meanwhile.
    private func withShape(_ plan: AttentionPlan, _ body: (inout tk_attention_shape) -> Void) {
        var s = tk_attention_shape()
        s.scale = plan.scale
        s.causal = plan.causal
        s.position = Int64(plan.position)
        s.window = Int64(plan.window ?? 0)
        s.soft_cap = plan.softCap ?? 0
        s.dropout = plan.dropout
        s.seed = plan.seed
        s.offset = plan.offset
        if let mask = plan.mask {
            let t = mask.layout.strides.map(Int64.init)
            s.mask = UnsafeRawPointer(mask.pointer)
            s.mask_adds = mask.dtype != .bool
            s.mask_strides = (t[0], t[1], t[2], mask.shape[3] == 1 ? 0 : t[3])
        }
        withExtendedLifetime(plan.mask) {
            guard let slopes = plan.alibiSlopes else { return body(&s) }
            slopes.withUnsafeBufferPointer {
                s.slopes = $0.baseAddress
                body(&s)
            }
        }
    }

    private func withShape(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, _ plan: AttentionPlan,
        _ body: (inout tk_attention_shape) -> Void
    ) {
        withShape(plan) { s in
            s.batch = Int64(q.shape[0])
            s.heads = Int64(q.shape[1])
            s.kv_heads = Int64(k.shape[1])
            s.q_len = Int64(q.shape[2])
            s.kv_len = Int64(k.shape[2])
            s.dim = Int64(q.shape[3])
            s.value_dim = Int64(v.shape[3])
            s.q = strides(q)
            s.k = strides(k)
            s.v = strides(v)
            s.out = strides(out)
            body(&s)
        }
    }

    /// By `tk_attention`, in tiles: memory beyond the outputs is linear in the lengths.
    public func attention(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan
    ) {
        withShape(q, k, v, out, plan) {
            tk_attention(q.dtype.code, &$0, q.pointer, k.pointer, v.pointer, out.pointer, lse.pointer)
        }
    }

    /// By `tk_attention_grad`, which computes the weights again from `lse`.
    public func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan
    ) {
        withShape(q, k, v, out, plan) {
            tk_attention_grad(
                q.dtype.code, &$0, q.pointer, k.pointer, v.pointer, out.pointer, lse.pointer, g.pointer, strides(g),
                dq.pointer, strides(dq), dk.pointer, strides(dk), dv.pointer, strides(dv))
        }
    }

    /// By `tk_attention_kept`, the same weights as the kernels drop.
    public func attentionKept(_ out: RawTensor, _ plan: AttentionPlan) {
        withShape(plan) { s in
            s.batch = Int64(out.shape[0])
            s.heads = Int64(out.shape[1])
            s.q_len = Int64(out.shape[2])
            s.kv_len = Int64(out.shape[3])
            tk_attention_kept(&s, out.pointer.assumingMemoryBound(to: Bool.self))
        }
    }
}
