import CCUDA
import CoreTensor

// MARK: Matrix products

extension CUDABackend {
    /// Tiles of 64 × 64; float32, float64, int64 and bfloat16.
    public func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) {
        if a.dtype == .bfloat16 && tensorProduct(a, b, out, plan, bias) { return }
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
        context.launch(
            KernelName("tk_gemm", kernel), grid: ((plan.m + 63) / 64 * ((plan.n + 63) / 64), min(plan.batch, 65_535)),
            block: (256, 1),
            address(a, "matmul"), address(b, "matmul"), address(out, "matmul"), address(bias, "matmul"), shape(plan))
    }

    private func shape(_ plan: MatMulPlan) -> tk_cuda_gemm {
        var shape = tk_cuda_gemm()
        (shape.m, shape.n, shape.k) = (Int64(plan.m), Int64(plan.n), Int64(plan.k))
        (shape.lda, shape.ldb, shape.ldc) = (Int64(plan.lda), Int64(plan.ldb), Int64(plan.n))
        (shape.stride_a, shape.stride_b, shape.stride_c) = (Int64(plan.strideA), Int64(plan.strideB), Int64(plan.strideC))
        shape.batch = Int64(plan.batch)
        (shape.transpose_a, shape.transpose_b) = (plan.transposeA ? 1 : 0, plan.transposeB ? 1 : 0)
        shape.accumulate = plan.accumulate ? 1 : 0
        return shape
    }

    /// By tensor cores, from sm_80 on, where rows and matrices begin at multiples of 16 bytes; false if that is not so.
    private func tensorProduct(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, _ bias: RawTensor?) -> Bool {
        let left = address(a, "matmul"), right = address(b, "matmul")
        let isAligned =
            [plan.lda, plan.ldb, plan.strideA, plan.strideB].allSatisfy { $0 % 8 == 0 } && left % 16 == 0 && right % 16 == 0
        if context.capability < 80 || !isAligned { return false }
        let kernel: StaticString
        switch (out.dtype, plan.transposeA, plan.transposeB) {
        case (.bfloat16, false, false): kernel = "bf16_nn"
        case (.bfloat16, false, true): kernel = "bf16_nt"
        case (.bfloat16, true, false): kernel = "bf16_tn"
        case (.bfloat16, true, true): kernel = "bf16_tt"
        case (.float32, false, false): kernel = "f32_nn"
        case (.float32, false, true): kernel = "f32_nt"
        case (.float32, true, false): kernel = "f32_tn"
        case (.float32, true, true): kernel = "f32_tt"
        default: return false
        }
        let wide = bias?.dtype == .float32 ? bias : nil, narrow = bias?.dtype == .bfloat16 ? bias : nil
        context.launch(
            KernelName("tk_gemm_tensor", kernel), grid: ((plan.m + 127) / 128 * ((plan.n + 127) / 128), min(plan.batch, 65_535)),
            block: (256, 1), left, right, address(out, "matmul"), address(wide, "matmul"), address(narrow, "matmul"), shape(plan))
        return true
    }
}
