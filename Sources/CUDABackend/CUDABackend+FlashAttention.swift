import CCUDA
import CoreTensor

// Attention by tensor cores.

extension CUDABackend {
    /// The size of head whose kernels take these tensors: from sm_80 on 16-bit floats, heads of up to 128 elements, a multiple of 8, rows that begin
    /// at multiples of 16 bytes, and neither masks, soft caps, ALiBi nor dropout; nil where the plain kernels compute.
    func flashHead(_ tensors: [RawTensor], _ plan: AttentionPlan) -> Int? {
        let q = tensors[0], v = tensors[2], widest = max(q.shape[3], v.shape[3])
        let isPlain = plan.mask == nil && plan.softCap == nil && plan.alibiSlopes == nil && plan.dropout == 0
        if context.capability < 80 || !q.dtype.isHalf || !isPlain || widest == 0 || widest > 128 { return nil }
        for x in tensors {
            let steps = x.layout.strides
            let isAligned = UInt(bitPattern: x.pointer) % 16 == 0 && (0..<3).allSatisfy { steps[$0] % 8 == 0 || x.shape[$0] == 1 }
            if !isAligned || x.shape[3] % 8 != 0 { return nil }
        }
        return widest <= 64 ? 64 : 128
    }

    func flashAttention(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, head: Int, _ shape: tk_cuda_attention
    ) {
        let name: StaticString = "attention", blocks = (q.shape[2] + 63) / 64
        context.launch(
            KernelName(head == 64 ? "tk_flash_attention_64" : "tk_flash_attention_128", q.dtype.suffix),
            grid: (q.shape[0] * q.shape[1] * blocks, 1), block: (128, 1), address(q, name), address(k, name), address(v, name),
            address(out, name), address(lse, name), shape)
    }

    /// A block to 64 keys, then a block to 64 queries. `deltas` holds Σ g · out of each query.
    func flashGradients(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ g: RawTensor, lse: RawTensor, deltas: UInt64, dq: RawTensor,
        dk: RawTensor,
        dv: RawTensor, head: Int, _ shape: tk_cuda_attention
    ) {
        let name: StaticString = "attentionGrad", type = q.dtype.suffix
        let queries = address(q, name), keys = address(k, name), values = address(v, name), gradient = address(g, name)
        let sums = address(lse, name)
        let shared = (2 * 64 + 4 * 32) * head * 2  // the block's own rows, and two stages of others
        context.launch(
            KernelName(head == 64 ? "tk_flash_gradients_keys_64" : "tk_flash_gradients_keys_128", type),
            grid: (k.shape[0] * k.shape[1] * ((k.shape[2] + 63) / 64), 1), block: (128, 1), shared: shared, queries, keys, values,
            gradient, sums, deltas, address(dk, name), address(dv, name), shape)
        context.launch(
            KernelName(head == 64 ? "tk_flash_gradients_queries_64" : "tk_flash_gradients_queries_128", type),
            grid: (q.shape[0] * q.shape[1] * ((q.shape[2] + 63) / 64), 1), block: (128, 1), shared: shared, queries, keys, values,
            gradient, sums, deltas, address(dq, name), shape)
    }
}
