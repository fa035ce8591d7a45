import CCUDA
import CoreTensor

// Attention of 16-bit floats on sm_90, whose tiles a unit of its own copies to shared memory.

extension CUDABackend {
    /// From so many queries and keys on the kernels pay, as a block has 128 rows.
    nonisolated(unsafe) static var fewHopperQueries = 65

    /// The tensors, whose heads ``flashHead(_:_:)`` has found fit, as the unit copies them; nil where another kernel computes.
    func hopperMaps(_ tensors: [RawTensor], _ plan: AttentionPlan, _ name: StaticString) -> [TensorMap]? {
        let isLong = tensors.allSatisfy { $0.shape[2] >= Self.fewHopperQueries && $0.count > 0 }
        if context.capability != 90 || !isLong || plan.scale <= 0 { return nil }
        var maps: [TensorMap] = []
        for x in tensors {
            let sizes = x.shape.map(Int64.init), strides = x.layout.strides.map(Int64.init)
            // Along an axis of one element, any step that is allowed.
            let steps = [2, 1, 0].map { sizes[$0] == 1 ? 8 : strides[$0] }
            guard let map = TensorMap(context, address(x, name), sizes: [3, 2, 1, 0].map { sizes[$0] }, steps: steps, rows: 64)
            else { return nil }
            maps.append(map)
        }
        return maps
    }

    /// A block to 128 queries of a head.
    func hopperAttention(_ maps: [TensorMap], _ out: RawTensor, lse: RawTensor, head: Int, _ shape: tk_cuda_attention) {
        let name: StaticString = "attention", tile = 128 * head * 2, barriers = 128
        context.launch(
            KernelName(head == 64 ? "tk_hopper_attention_64" : "tk_hopper_attention_128", out.dtype.suffix),
            grid: (lse.shape[0] * lse.shape[1] * ((lse.shape[2] + 127) / 128), 1), block: (384, 1), shared: 5 * tile + barriers,
            maps[0], maps[1], maps[2], address(out, name), address(lse, name), shape)
    }

    /// A block to 128 keys, then a block to 128 queries. `deltas` holds Σ g · out of each query.
    func hopperGradients(
        _ maps: [TensorMap], lse: RawTensor, deltas: UInt64, dq: RawTensor, dk: RawTensor, dv: RawTensor, head: Int,
        _ shape: tk_cuda_attention
    ) {
        let name: StaticString = "attentionGrad", type = dq.dtype.suffix, sums = address(lse, name)
        // The block's own rows; of three stages, 64 rows of two tensors, logarithms and deltas; barriers.
        let shared = 2 * 128 * head * 2 + 3 * (2 * 64 * head * 2 + 2 * 64 * 4) + 128
        context.launch(
            KernelName(head == 64 ? "tk_hopper_gradients_keys_64" : "tk_hopper_gradients_keys_128", type),
            grid: (dk.shape[0] * dk.shape[1] * ((dk.shape[2] + 127) / 128), 1), block: (384, 1), shared: shared, maps[0], maps[1],
            maps[2], maps[3], sums, deltas, address(dk, name), address(dv, name), shape)
        context.launch(
            KernelName(head == 64 ? "tk_hopper_gradients_queries_64" : "tk_hopper_gradients_queries_128", type),
            grid: (dq.shape[0] * dq.shape[1] * ((dq.shape[2] + 127) / 128), 1), block: (384, 1), shared: shared, maps[0], maps[1],
            maps[2], maps[3], sums, deltas, address(dq, name), shape)
    }
}
