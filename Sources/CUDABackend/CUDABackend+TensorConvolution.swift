import CCUDA
import CoreTensor

// Convolutions by tensor cores.

extension CUDABackend {
    /// Whether tensor cores take a convolution: from sm_80 on, 16-bit floats, and float32 where ``Configuration/allowsTF32`` says so, of sizes that
    /// 32 bits count.
    func isTensorConvolution(_ type: DType, _ plan: ConvolutionPlan) -> Bool {
        let allowed = type.isHalf || (type == .float32 && Configuration.allowsTF32)
        let places = max(volume(plan.input), volume(plan.output)), taps = volume(plan.kernel)
        let largest = max(
            plan.batch * places, max(plan.inputs, plan.outputs) * taps, plan.groups * max(plan.inputs, plan.outputs))
        return context.capability >= 80 && allowed && largest < 1 << 31
    }

    private func name(_ base: (StaticString, StaticString), _ type: DType, _ tile: Int) -> KernelName {
        KernelName(tile == 64 ? base.0 : base.1, type == .float32 ? "tf32" : type.suffix)
    }

    func tensorConvolution(_ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan) {
        let operation: StaticString = "convolution"
        let shape = ProductShape(m: plan.outputs, n: plan.batch * volume(plan.output), k: 0, batch: plan.groups)
        context.launch(
            name(("tk_convolution_tensor_64", "tk_convolution_tensor_128"), x.dtype, shape.tile),
            grid: (shape.grid.0, plan.groups),
            block: (2 * shape.tile, 1), address(x, operation), address(weight, operation), address(bias, operation),
            address(out, operation), tk_cuda_convolution(plan))
    }

    func tensorConvolutionGradInput(_ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan) {
        let operation: StaticString = "convolution"
        let shape = ProductShape(m: plan.inputs, n: plan.batch * volume(plan.input), k: 0, batch: plan.groups)
        context.launch(
            name(("tk_convolution_input_tensor_64", "tk_convolution_input_tensor_128"), g.dtype, shape.tile),
            grid: (shape.grid.0, plan.groups), block: (2 * shape.tile, 1), address(g, operation), address(weight, operation),
            address(dx, operation), tk_cuda_convolution(plan))
    }

    /// Sums over all places of the batch, in parts where the weight has few tiles.
    func tensorConvolutionGradWeight(_ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan) {
        let operation: StaticString = "convolution", m = plan.outputs, n = plan.inputs * volume(plan.kernel)
        let shape = ProductShape(m: m, n: n, k: plan.batch * volume(plan.output), batch: plan.groups)
        var result = tk_cuda_gemm()
        (result.m, result.n, result.ldc, result.stride_c) = (Int64(m), Int64(n), Int64(n), Int64(m * n))
        (result.batch, result.splits) = (Int64(plan.groups), Int64(shape.splits))
        (result.type, result.activation) = (Int64(dweight.dtype.rawValue), -1)
        let partial = shape.splits > 1 ? scratch([shape.splits, plan.groups, m, n], .float32) : nil
        let parts = address(partial, operation), to = address(dweight, operation), none: UInt64 = 0
        context.launch(
            name(("tk_convolution_weight_tensor_64", "tk_convolution_weight_tensor_128"), x.dtype, shape.tile),
            grid: (shape.grid.0, plan.groups * shape.splits), block: (2 * shape.tile, 1), address(x, operation),
            address(g, operation), to, parts, tk_cuda_convolution(plan), result)
        if partial != nil {
            run(KernelName("tk_gemm_join"), pieces: plan.groups * m * ((n + 3) / 4), parts, to, none, none, result)
        }
    }
}

extension tk_cuda_convolution {
    init(_ plan: ConvolutionPlan) {
        func three(_ a: [Int]) -> (Int64, Int64, Int64) { (Int64(a[0]), Int64(a[1]), Int64(a[2])) }
        self.init(
            batch: Int64(plan.batch), groups: Int64(plan.groups), inputs: Int64(plan.inputs), outputs: Int64(plan.outputs),
            input: three(plan.input), output: three(plan.output), kernel: three(plan.kernel), stride: three(plan.stride),
            padding: three(plan.padding), dilation: three(plan.dilation))
    }
}
