import CCUDA
import CoreTensor

// MARK: Reductions and scans

extension CUDABackend {
    /// The shape of a block for `[outer, n, inner]`: neighbours of `inner` beside each other (a power of two, at most 32), the rest along n.
    private func block(_ view: AxisView) -> (Int, Int) {
        var across = 1
        while across < 32 && across < view.inner { across *= 2 }
        var along = 1
        while along * across < 256 && along < view.n { along *= 2 }
        return (across, along)
    }

    /// In one pass, or two where one would have too few blocks to fill a device; by the shape alone, so that results are the same on all.
    public func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        let type = x.dtype == .bool ? DType.uint8 : x.dtype
        if type.isComplex && op != .sum && op != .prod { missing("reduce.\(op)", type) }
        let from = address(x, "reduce"), to = address(out, "reduce"), number = Int(op.rawValue), block = block(view)
        let columns = view.outer * ((view.inner + block.0 - 1) / block.0)
        let parts = min(64, max(1, min(512 / max(1, columns), view.n / (16 * block.1))))
        if parts == 1 {
            return context.launch(
                KernelName("tk_reduce", type.suffix), grid: (columns, 1), block: block, from, to, view.outer, view.n, view.inner,
                number)
        }
        let wide: DType = type.isHalf ? .float32 : type
        let partial = scratch([parts, view.outer, view.inner], wide)
        let first: StaticString = type == .float16 ? "f16_f32" : type == .bfloat16 ? "bf16_f32" : type.suffix
        let second: StaticString = type == .float16 ? "f32_f16" : type == .bfloat16 ? "f32_bf16" : type.suffix
        let sums = address(partial, "reduce")
        context.launch(
            KernelName("tk_reduce", first), grid: (columns, parts), block: block, from, sums, view.outer, view.n, view.inner,
            number)
        let width = view.outer * view.inner
        context.launch(
            KernelName("tk_reduce", second), grid: ((width + 31) / 32, 1), block: (32, 8), sums, to, 1, parts, width, number)
    }

    /// Real numbers.
    public func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        if x.dtype.isComplex { missing("argReduce", x.dtype) }
        let block = block(view)
        context.launch(
            KernelName("tk_arg_reduce", x.dtype == .bool ? "u8" : x.dtype.suffix),
            grid: (view.outer * ((view.inner + block.0 - 1) / block.0), 1), block: block, address(x, "argReduce"),
            address(out, "argReduce"),
            view.n, view.inner, minimum ? 1 : 0)
    }

    /// Two passes: the mean, and deviations from it.
    public func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView) {
        let block = block(view)
        context.launch(
            KernelName("tk_mean_m2", x.dtype.suffix), grid: (view.outer * ((view.inner + block.0 - 1) / block.0), 1),
            block: block,
            address(x, "meanAndM2"), address(mean, "meanAndM2"), address(m2, "meanAndM2"), view.n, view.inner)
    }

    /// By a block's scan, in double (integers wrap).
    public func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        scanned("cumsum", nil, x, out, nil, view)
    }

    /// In double, by blocks; waits for the device.
    public func sumOfSquares(_ x: RawTensor) -> Double {
        if x.count == 0 { return 0 }
        let parts = min(256, (x.count + 255) / 256)
        let partial = scratch([parts], .float64), total = scratch([1], .float64)
        context.launch(
            KernelName("tk_squares", x.dtype.suffix), grid: (parts, 1), block: (256, 1), address(x, "sumOfSquares"),
            address(partial, "sumOfSquares"), x.count)
        context.launch(
            KernelName("tk_reduce", "f64"), grid: (1, 1), block: (1, 256), address(partial, "sumOfSquares"),
            address(total, "sumOfSquares"), 1,
            parts, 1, Int(ReduceKernel.sum.rawValue))
        var result = 0.0
        withUnsafeMutableBytes(of: &result) { context.copyToHost($0.baseAddress!, address(total, "sumOfSquares"), 8) }
        return result
    }

    /// By a block's scan.
    public func scan(_ op: ScanKernel, _ x: RawTensor, _ out: RawTensor, positions: RawTensor?, _ view: AxisView) {
        if op == .logSumExp ? !x.dtype.isFloatingPoint : op != .prod && x.dtype.isComplex { missing("scan.\(op)", x.dtype) }
        scanned("scan", op, x, out, positions, view)
    }

    /// Running sums without an operation. One launch, or two where rows are few and long: totals of their parts, then the parts from those before
    /// them. There are kernels for float32 and the widest types, through which the others go.
    private func scanned(
        _ name: StaticString, _ op: ScanKernel?, _ x: RawTensor, _ out: RawTensor, _ positions: RawTensor?, _ view: AxisView
    ) {
        if out.count == 0 { return }
        let isWide = x.dtype == .float64 || op == .logSumExp
        let type: DType = x.dtype.isComplex ? .complex128 : !x.dtype.isFloatingPoint ? .int64 : isWide ? .float64 : .float32
        if x.dtype != type {
            let wide = scratch(x.shape, type), result = scratch(x.shape, type)
            cast(x, to: wide)
            scanned(name, op, wide, result, positions, view)
            return cast(result, to: out)
        }
        let kernel: StaticString =
            switch op {
            case nil, .prod: "tk_scan"
            case .logSumExp: "tk_scan_log_sum"
            default: "tk_scan_extremum"
            }
        let block = block(view), columns = view.outer * ((view.inner + block.0 - 1) / block.0)
        let parts = min(64, max(1, min(256 / max(1, columns), view.n / (16 * block.1))))
        let totals = scratch([parts, view.outer, view.inner], .complex128)  // 16 bytes hold any of them
        for mode in parts == 1 ? [0] : [1, 2] {
            context.launch(
                KernelName(kernel, type.suffix), grid: (columns, parts), block: block, address(x, name), address(out, name),
                address(positions, name), address(totals, name), view.outer, view.n, view.inner,
                op.map { 1 + Int($0.rawValue) } ?? 0,
                mode)
        }
    }
}
