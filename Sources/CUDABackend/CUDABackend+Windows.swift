import CCUDA
import CoreTensor

// MARK: Convolution, pooling, maps of axes, normalisation per channel

extension CUDABackend {
    func volume(_ sizes: [Int]) -> Int { sizes.reduce(1, *) }
    /// A grid of tiles of a product [m, n], and the groups.
    private func tiles(_ m: Int, _ n: Int, _ plan: ConvolutionPlan) -> (Int, Int) {
        ((m + 63) / 64 * ((n + 63) / 64), plan.groups)
    }

    /// As a product that reads the input through the windows; by tensor cores where ``isTensorConvolution(_:_:)`` says so.
    public func convolution(_ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan) {
        if isTensorConvolution(x.dtype, plan) { return tensorConvolution(x, weight: weight, bias: bias, out, plan) }
        if x.dtype.isHalf {
            return throughFloat32([x, weight] + (bias.map { [$0] } ?? []), out) {
                convolution($0[0], weight: $0[1], bias: $0.count > 2 ? $0[2] : nil, $1, plan)
            }
        }
        context.launch(
            KernelName("tk_convolution", x.dtype.suffix), grid: tiles(plan.outputs, plan.batch * volume(plan.output), plan),
            block: (256, 1),
            address(x, "convolution"), address(weight, "convolution"), address(bias, "convolution"), address(out, "convolution"),
            tk_cuda_convolution(plan))
    }

    /// As a product that gathers what the transposed convolution scatters: each element is summed in one order.
    public func convolutionGradInput(_ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan) {
        if isTensorConvolution(g.dtype, plan) { return tensorConvolutionGradInput(g, weight: weight, dx, plan) }
        if g.dtype.isHalf { return throughFloat32([g, weight], dx) { convolutionGradInput($0[0], weight: $0[1], $1, plan) } }
        context.launch(
            KernelName("tk_convolution_grad_input", g.dtype.suffix),
            grid: tiles(plan.inputs, plan.batch * volume(plan.input), plan),
            block: (256, 1), address(g, "convolution"), address(weight, "convolution"), address(dx, "convolution"),
            tk_cuda_convolution(plan))
    }

    /// As a product over all places of the batch.
    public func convolutionGradWeight(_ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan) {
        if isTensorConvolution(x.dtype, plan) { return tensorConvolutionGradWeight(x, g, dweight, plan) }
        if x.dtype.isHalf { return throughFloat32([x, g], dweight) { convolutionGradWeight($0[0], $0[1], $1, plan) } }
        context.launch(
            KernelName("tk_convolution_grad_weight", x.dtype.suffix),
            grid: tiles(plan.outputs, plan.inputs * volume(plan.kernel), plan),
            block: (256, 1), address(x, "convolution"), address(g, "convolution"), address(dweight, "convolution"),
            tk_cuda_convolution(plan))
    }

    /// One after the other.
    public func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan
    ) {
        convolutionGradInput(g, weight: weight, dx, plan)
        convolutionGradWeight(x, g, dweight, plan)
    }

    /// A thread to an element.
    public func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan) {
        run(
            KernelName("tk_unfold", x.dtype.suffix), pieces: columns.count, address(x, "unfold"), address(columns, "unfold"),
            tk_cuda_convolution(plan))
    }

    /// A thread to an element, which sums its taps in order.
    public func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan) {
        run(
            KernelName("tk_fold", x.dtype.suffix), pieces: x.count, address(columns, "fold"), address(x, "fold"),
            tk_cuda_convolution(plan))
    }

    /// Numbers of the host as a tensor on the device.
    func table<T: BitwiseCopyable>(_ values: [T], _ dtype: DType) -> RawTensor {
        let out = scratch([max(1, values.count)], dtype)
        values.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { context.copyToDevice(address(out, "table"), base, bytes.count) }
        }
        return out
    }

    /// A thread to a window.
    public func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis]) {
        func three(_ size: (PoolAxis) -> Int) -> (Int64, Int64, Int64) {
            (Int64(size(axes[0])), Int64(size(axes[1])), Int64(size(axes[2])))
        }
        let planes = x.count / max(axes.reduce(1) { $0 * $1.input }, 1)
        let shape = tk_cuda_pool(
            planes: Int64(planes), input: three { $0.input }, output: three { $0.output }, step: three { $0.step })
        let tables = table(axes.flatMap { $0.starts + $0.counts }, .int64)
        run(
            KernelName("tk_max_pool", x.dtype.suffix), pieces: out.count, address(x, "maxPool"), address(out, "maxPool"),
            address(places, "maxPool"), address(tables, "maxPool"), shape)
    }

    /// A thread to a plane, which adds in order.
    public func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool) {
        if planes == 0 { return }
        let to = address(out, "scatterPlanes")
        context.setBytes(to, 0, out.count * out.dtype.byteCount)
        run(
            KernelName("tk_scatter_planes", x.dtype.suffix), pieces: planes, address(x, "scatterPlanes"),
            address(places, "scatterPlanes"), to,
            planes, x.count / planes, out.count / planes, adding ? 1 : 0)
    }

    /// No two elements go to one place.
    public func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor) {
        let planes = x.shape.dropLast(2).reduce(1, *), to = address(out, "scatterPairs")
        if planes == 0 { return }
        context.setBytes(to, 0, out.count * out.dtype.byteCount)
        run(
            KernelName("tk_scatter_apart", x.dtype.suffix), pieces: x.count, address(x, "scatterPairs"),
            address(places, "scatterPairs"), to,
            planes, x.count / planes, out.count / planes)
    }

    /// A thread to an element.
    public func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int) {
        if planes == 0 { return }
        run(
            KernelName("tk_gather_planes", x.dtype.suffix), pieces: out.count, address(x, "gatherPlanes"),
            address(places, "gatherPlanes"),
            address(out, "gatherPlanes"), planes, x.count / planes, out.count / planes)
    }

    /// A thread to an element; the map's tables go along.
    public func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap) {
        let first = table(map.first, .int64), sources = table(map.sources, .int64), weights = table(map.weights, .float64)
        run(
            KernelName("tk_map_axis", x.dtype.suffix), pieces: out.count, address(x, "mapAxis"), address(out, "mapAxis"),
            address(first, "mapAxis"), address(sources, "mapAxis"), address(weights, "mapAxis"), outer, map.inputs, map.outputs,
            inner)
    }

    /// The columns, then the rows.
    public func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap) {
        let planes = out.shape.dropLast(2).reduce(1, *)
        let between = scratch([planes, rows.inputs, columns.outputs], x.dtype)
        mapAxis(x, between, outer: planes * rows.inputs, inner: 1, columns)
        mapAxis(between, out, outer: planes, inner: columns.outputs, rows)
    }

    /// Statistics in double, a block to a set; then a pass for the output.
    public func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        if x.count > 0 {
            context.launch(
                KernelName("tk_channel_statistics", x.dtype.suffix), grid: (plan.sets, 1), block: (256, 1),
                address(x, "channelNorm"),
                address(mean, "channelNorm"), address(variance, "channelNorm"), plan.batch, plan.channels, plan.inner, plan.groups
            )
        }
        channelNormApply(x, weight: weight, bias: bias, out, mean: mean, variance: variance, plan)
    }

    /// A thread to an element.
    public func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        run(
            KernelName("tk_channel_apply", x.dtype.suffix), pieces: x.count, address(x, "channelNorm"),
            address(weight, "channelNorm"),
            address(bias, "channelNorm"), address(out, "channelNorm"), address(mean, "channelNorm"),
            address(variance, "channelNorm"),
            plan.batch, plan.channels, plan.inner, plan.groups, plan.eps, plan.isRectified ? 1 : 0)
    }

    /// Sums per sample and channel in double, their totals, and a pass for the input's gradient.
    public func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?,
        dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool
    ) {
        let name: StaticString = "channelNormGrad", rows = plan.batch * plan.channels
        let sums = scratch([max(1, rows), 2], .float64), totals = scratch([max(1, plan.sets), 2], .float64)
        let from = address(x, name), slopes = address(g, name), w = address(weight, name), b = address(bias, name)
        let means = address(mean, name), variances = address(variance, name), rectified = plan.isRectified ? 1 : 0
        context.launch(
            KernelName("tk_channel_sums", x.dtype.suffix), grid: (rows, 1), block: (256, 1), from, slopes, w, b, means, variances,
            address(sums, name), plan.channels, plan.inner, plan.groups, plan.eps, rectified)
        run(
            KernelName("tk_channel_totals", x.dtype.suffix), pieces: max(plan.sets, plan.channels), address(sums, name), w,
            address(totals, name), address(dweight, name), address(dbias, name), plan.batch, plan.channels, plan.inner,
            plan.groups,
            fixed ? 1 : 0)
        guard let dx else { return }
        run(
            KernelName("tk_channel_grad", x.dtype.suffix), pieces: x.count, from, slopes, w, b, means, variances,
            address(totals, name),
            address(dx, name), plan.batch, plan.channels, plan.inner, plan.groups, plan.eps, rectified)
    }
}
