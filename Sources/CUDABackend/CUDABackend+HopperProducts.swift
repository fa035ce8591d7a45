import CCUDA
import CoreTensor

// Products of 16-bit floats on sm_90, whose operands a unit of its own copies to shared memory.

extension CUDABackend {
    /// From so many tiles of 128 × 256 on the kernel pays, as blocks stay and take one tile after the other.
    nonisolated(unsafe) static var fewHopperTiles = 48

    /// Both operands of a product, if the unit can copy them: rows and matrices that begin at multiples of 16 bytes; nil as well for small products.
    func hopperMaps(_ left: UInt64, _ right: UInt64, _ p: tk_cuda_gemm) -> (TensorMap, TensorMap)? {
        let tiles = (p.m + 127) / 128 * ((p.n + 255) / 256) * p.batch
        let isAligned = [p.lda, p.ldb, p.stride_a, p.stride_b].allSatisfy { $0 % 8 == 0 } && left % 16 == 0 && right % 16 == 0
        if tiles < Self.fewHopperTiles || !isAligned || p.k == 0 { return nil }
        let isLeftTurned = p.transpose_a != 0, isRightAlongK = p.transpose_b != 0
        guard
            let a = map(
                left, inner: isLeftTurned ? p.m : p.k, outer: isLeftTurned ? p.k : p.m, p.lda, p.stride_a, p.batch,
                rows: isLeftTurned ? 64 : 128),
            let b = map(
                right, inner: isRightAlongK ? p.k : p.n, outer: isRightAlongK ? p.n : p.k, p.ldb, p.stride_b, p.batch,
                rows: isRightAlongK ? 256 : 64)
        else { return nil }
        return (a, b)
    }

    /// Boxes of 64 elements by `rows`.
    private func map(
        _ base: UInt64, inner: Int64, outer: Int64, _ rowLength: Int64, _ stride: Int64, _ batch: Int64, rows: Int
    ) -> TensorMap? {
        // A matrix by itself needs a step that is allowed, whatever it is.
        TensorMap(
            context, base, sizes: [inner, outer, stride == 0 ? 1 : batch],
            steps: [rowLength, stride == 0 ? rowLength * outer : stride], rows: rows)
    }

    func hopperProduct(
        _ maps: (TensorMap, TensorMap), _ out: UInt64, _ bias: UInt64, _ product: UInt64, _ p: tk_cuda_gemm, _ type: DType
    ) {
        let tiles = Int((p.m + 127) / 128 * ((p.n + 255) / 256) * p.batch)
        let stages = 4 * (128 + 256) * 64 * 2, slabs = 8 * 16 * 40 * 4, barriers = 64
        var p = p
        p.splits = 1
        context.launch(
            KernelName(type == .bfloat16 ? "tk_gemm_hopper_bf16" : "tk_gemm_hopper_f16", p.orientation),
            grid: (min(tiles, context.multiprocessors), 1), block: (384, 1), shared: stages + slabs + barriers, maps.0, maps.1,
            out,
            bias, product, p)
    }
}
