import CCUDA
import CoreTensor

// MARK: Matrix products

extension CUDABackend {
    /// Always.
    public var multipliesHalfFloats: Bool { true }

    /// Up to 8 vectors with a matrix at the speed that it is read at. 16-bit floats (and float32, where ``Configuration/allowsTF32`` says so) by
    /// tensor cores from sm_80 on; otherwise by tiles in float32, float64 or int64. The result of 16-bit floats and the bias may be float32.
    public func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) {
        multiply(a, b, out, tk_cuda_gemm(plan), bias: bias, activation: nil, product: nil)
    }

    /// The function is applied to the sums before they are written.
    public func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) {
        let outputs = weight.shape[0], inputs = weight.shape[1]
        var p = tk_cuda_gemm()
        (p.m, p.n, p.k) = (Int64(outputs == 0 ? 0 : out.count / outputs), Int64(outputs), Int64(inputs))
        (p.lda, p.ldb, p.ldc, p.batch, p.transpose_b) = (max(p.k, 1), max(p.k, 1), p.n, 1, 1)
        multiply(x, weight, out, p, bias: bias, activation: activation, product: product)
    }

    /// f(op(a) · op(b) + bias), and what f is applied to in `product`.
    private func multiply(
        _ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: tk_cuda_gemm, bias: RawTensor?, activation: UnaryKernel?,
        product: RawTensor?
    ) {
        var p = plan
        let m = Int(p.m), n = Int(p.n), batch = Int(p.batch), name: StaticString = "matmul", type = a.dtype
        if m == 0 || n == 0 || batch == 0 { return }
        let types: [DType] = type.isHalf ? [type, .float32] : [.float32, .float64, .int64].filter { $0 == type }
        if !types.contains(out.dtype) || !types.contains(bias?.dtype ?? out.dtype) { missing("matmul", type) }
        (p.type, p.bias_type) = (Int64(out.dtype.rawValue), Int64((bias ?? out).dtype.rawValue))
        p.activation = activation.map { Int64($0.rawValue) } ?? -1
        let left = address(a, name), right = address(b, name), added = address(bias, name), kept = address(product, name)
        if activation == nil,
            libraryProduct(
                left, right, out, bias, type, p, own: { ownProduct(left, right, address($0, name), added, 0, type, p) })
        {
            return
        }
        ownProduct(left, right, address(out, name), added, kept, type, p)
    }

    private func ownProduct(
        _ left: UInt64, _ right: UInt64, _ out: UInt64, _ bias: UInt64, _ product: UInt64, _ type: DType, _ plan: tk_cuda_gemm
    ) {
        if let shape = VectorShape(plan, type, left, right) {
            return vectorProduct(shape, left, right, out, bias, product, type, plan)
        }
        if context.capability == 90 && type.isHalf, let maps = hopperMaps(left, right, plan) {
            return hopperProduct(maps, out, bias, product, plan, type)
        }
        var p = plan
        let m = Int(p.m), n = Int(p.n), isExact = type == .float64 || type == .int64
        let shape = ProductShape(m: m, n: n, k: isExact ? 0 : Int(p.k), batch: Int(p.batch))
        p.splits = Int64(shape.splits)
        let isTensor = context.capability >= 80 && (type.isHalf || (type == .float32 && Configuration.allowsTF32))
        let partial = partialSums(p), parts = address(partial, "matmul")
        let kernel: KernelName, threads: Int
        var grid = shape.grid
        if isTensor {
            (kernel, threads) = (KernelName(tensorKernel(type, shape.tile), p.orientation), 2 * shape.tile)
        } else if type == .float32 && shape.tile == 128 {
            (kernel, threads) = (KernelName("tk_gemm_float", p.orientation), 256)
        } else {
            (kernel, threads) = (KernelName("tk_gemm", type.suffix), 256)
            grid.0 = (m + 63) / 64 * ((n + 63) / 64)
        }
        context.launch(kernel, grid: grid, block: (threads, 1), left, right, out, bias, product, parts, p)
        if partial != nil { join(parts, out, bias, product, p) }
    }

    /// A matrix with few vectors.
    private func vectorProduct(
        _ shape: VectorShape, _ left: UInt64, _ right: UInt64, _ out: UInt64, _ bias: UInt64, _ product: UInt64, _ type: DType,
        _ plan: tk_cuda_gemm
    ) {
        var p = plan
        p.splits = Int64(shape.splits)
        let partial = partialSums(p), parts = address(partial, "matmul")
        context.launch(
            KernelName(shape.kernel, type.suffix), grid: shape.grid, block: (256, 1), left, right, out, bias, product, parts, p,
            shape.parts, shape.isTurned ? 1 : 0)
        if partial != nil { join(parts, out, bias, product, p) }
    }

    /// Room for the sums over parts of k, where there are several.
    private func partialSums(_ p: tk_cuda_gemm) -> RawTensor? {
        p.splits > 1 ? scratch([Int(p.splits), Int(p.batch), Int(p.m), Int(p.n)], .float32) : nil
    }

    /// Adds them in order and finishes the product.
    private func join(_ parts: UInt64, _ out: UInt64, _ bias: UInt64, _ product: UInt64, _ p: tk_cuda_gemm) {
        run(KernelName("tk_gemm_join"), pieces: Int(p.batch * p.m * ((p.n + 3) / 4)), parts, out, bias, product, p)
    }

    private func tensorKernel(_ type: DType, _ tile: Int) -> StaticString {
        switch (type, tile) {
        case (.bfloat16, 64): "tk_gemm_tensor_64_bf16"
        case (.bfloat16, _): "tk_gemm_tensor_128_bf16"
        case (.float16, 64): "tk_gemm_tensor_64_f16"
        case (.float16, _): "tk_gemm_tensor_128_f16"
        case (_, 64): "tk_gemm_tensor_64_tf32"
        default: "tk_gemm_tensor_128_tf32"
        }
    }
}

extension tk_cuda_gemm {
    fileprivate init(_ plan: MatMulPlan) {
        self.init()
        (m, n, k) = (Int64(plan.m), Int64(plan.n), Int64(plan.k))
        (lda, ldb, ldc) = (Int64(plan.lda), Int64(plan.ldb), Int64(plan.n))
        (stride_a, stride_b, stride_c) = (Int64(plan.strideA), Int64(plan.strideB), Int64(plan.strideC))
        batch = Int64(plan.batch)
        (transpose_a, transpose_b) = (plan.transposeA ? 1 : 0, plan.transposeB ? 1 : 0)
        accumulate = plan.accumulate ? 1 : 0
    }

    /// How the operands lie in memory, as names of kernels say it: n for rows, t for transposed ones.
    var orientation: StaticString {
        switch (transpose_a != 0, transpose_b != 0) {
        case (false, false): "nn"
        case (false, true): "nt"
        case (true, false): "tn"
        case (true, true): "tt"
        }
    }
}
