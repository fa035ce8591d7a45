import CCUDA
import CoreTensor

// MARK: Matrix products

extension CUDABackend {
    /// Tiles of 64 × 64; float32, float64, int64 and bfloat16.
    public func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) {
        let kernel: StaticString
        switch (a.dtype, out.dtype, bias?.dtype ?? out.dtype) {
        case (.float32, .float32, .float32): kernel = "f32"
        case (.float64, .float64, .float64): kernel = "f64"
        case (.int64, .int64, .int64): kernel = "i64"
        case (.bfloat16, .bfloat16, .bfloat16): kernel = "bf16"
        case (.bfloat16, .bfloat16, .float32): kernel = "bf16_bf16_f32"
        case (.bfloat16, .float32, .bfloat16): kernel = "bf16_f32_bf16"
        case (.bfloat16, .float32, .float32): kernel = "bf16_f32_f32"
        default: missing("matmul", a.dtype)
        }
        var shape = tk_cuda_gemm()
        (shape.m, shape.n, shape.k) = (Int64(plan.m), Int64(plan.n), Int64(plan.k))
        (shape.lda, shape.ldb, shape.ldc) = (Int64(plan.lda), Int64(plan.ldb), Int64(plan.n))
        (shape.stride_a, shape.stride_b, shape.stride_c) = (Int64(plan.strideA), Int64(plan.strideB), Int64(plan.strideC))
        shape.batch = Int64(plan.batch)
        (shape.transpose_a, shape.transpose_b) = (plan.transposeA ? 1 : 0, plan.transposeB ? 1 : 0)
        shape.accumulate = plan.accumulate ? 1 : 0
        context.launch(
            KernelName("tk_gemm", kernel), grid: ((plan.m + 63) / 64 * ((plan.n + 63) / 64), min(plan.batch, 65_535)), block: (256, 1),
            address(a, "matmul"), address(b, "matmul"), address(out, "matmul"), address(bias, "matmul"), shape)
    }
}

