import CKernels

/// Convolution, pooling, resampling and normalisation per channel.
extension CPUBackend {
    private func shape(_ plan: ConvolutionPlan) -> tk_conv_shape {
        func three(_ a: [Int]) -> (Int64, Int64, Int64) { (Int64(a[0]), Int64(a[1]), Int64(a[2])) }
        return tk_conv_shape(
            batch: Int64(plan.batch), groups: Int64(plan.groups), inputs: Int64(plan.inputs), outputs: Int64(plan.outputs),
            in: three(plan.input), out: three(plan.output), kernel: three(plan.kernel), stride: three(plan.stride),
            pad: three(plan.padding), dilation: three(plan.dilation))
    }

    /// Depthwise 3 × 3 windows in float32, where `tk_conv_channels_last` has a kernel.
    public func readsChannelsLast(_ dtype: DType, _ plan: ConvolutionPlan) -> Bool {
        var s = shape(plan)
        return tk_conv_reads_channels_last(dtype.code, &s)
    }

    /// By `tk_conv`: panels of columns or rows of taps, as the channels ask for.
    public func convolution(_ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan) {
        var s = shape(plan)
        if !x.isContiguous {
            tk_conv_channels_last(x.dtype.code, &s, x.pointer, weight.pointer, bias?.pointer, out.pointer)
            return
        }
        tk_conv(x.dtype.code, &s, x.pointer, weight.pointer, bias?.pointer, out.pointer)
    }

    /// By `tk_conv_grad_input`.
    public func convolutionGradInput(_ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan) {
        var s = shape(plan)
        tk_conv_grad_input(g.dtype.code, &s, g.pointer, weight.pointer, dx.pointer)
    }

    /// By `tk_conv_grad_weight`.
    public func convolutionGradWeight(_ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan) {
        var s = shape(plan)
        tk_conv_grad_weight(x.dtype.code, &s, x.pointer, g.pointer, dweight.pointer)
    }

    /// By `tk_conv_grads`: in one pass for depthwise convolutions of float32.
    public func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan
    ) {
        var s = shape(plan)
        tk_conv_grads(x.dtype.code, &s, x.pointer, g.pointer, weight.pointer, dx.pointer, dweight.pointer)
    }

    /// By `tk_im2col`.
    public func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan) {
        var s = shape(plan)
        tk_im2col(x.dtype.code, &s, x.pointer, columns.pointer)
    }

    /// By `tk_col2im`.
    public func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan) {
        var s = shape(plan)
        tk_col2im(x.dtype.code, &s, columns.pointer, x.pointer)
    }

    /// By `tk_max_pool`.
    public func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis]) {
        let planes = x.count / Swift.max(axes.reduce(1) { $0 * $1.input }, 1)
        func with(_ done: [tk_pool_axis], _ left: ArraySlice<PoolAxis>) {
            guard let axis = left.first else {
                tk_max_pool(
                    x.dtype.code, Int64(planes), done, x.pointer, out.pointer,
                    places?.pointer.assumingMemoryBound(to: Int32.self))
                return
            }
            withInt64(axis.starts) { starts in
                withInt64(axis.counts) { counts in
                    let c = tk_pool_axis(
                        in: Int64(axis.input), out: Int64(axis.output), step: Int64(axis.step), start: starts, count: counts)
                    with(done + [c], left.dropFirst())
                }
            }
        }
        with([], axes[...])
    }

    /// By `tk_scatter_planes`.
    public func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool) {
        if planes == 0 { return }
        tk_scatter_planes(
            x.dtype.code, Int64(planes), Int64(out.count / planes), Int64(x.count / planes),
            places.pointer.assumingMemoryBound(to: Int32.self), x.pointer, out.pointer, adding)
    }

    /// By `tk_scatter_pairs`.
    public func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor) {
        let r = x.shape.count, planes = x.shape.dropLast(2).reduce(1, *)
        tk_scatter_pairs(
            x.dtype.code, Int64(planes), Int64(out.shape[r - 2]), Int64(out.shape[r - 1]), Int64(x.shape[r - 2]),
            Int64(x.shape[r - 1]), places.pointer.assumingMemoryBound(to: Int32.self), x.pointer, out.pointer)
    }

    /// By `tk_gather_planes`.
    public func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int) {
        if planes == 0 { return }
        tk_gather_planes(
            x.dtype.code, Int64(planes), Int64(x.count / planes), Int64(out.count / planes),
            places.pointer.assumingMemoryBound(to: Int32.self), x.pointer, out.pointer)
    }

    /// By `tk_axis_map`.
    public func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap) {
        withInt64(map.first) { first in
            withInt64(map.sources) { sources in
                tk_axis_map(
                    x.dtype.code, x.pointer, out.pointer, Int64(outer), Int64(map.inputs), Int64(map.outputs), Int64(inner),
                    first, sources, map.weights)
            }
        }
    }

    /// By `tk_map_planes`.
    public func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap) {
        func with(_ map: AxisMap, _ body: (inout tk_axis) -> Void) {
            withInt64(map.first) { first in
                withInt64(map.sources) { sources in
                    map.weights.withUnsafeBufferPointer { weights in
                        var axis = tk_axis(
                            in: Int64(map.inputs), out: Int64(map.outputs), first: first, sources: sources,
                            weights: weights.baseAddress)
                        body(&axis)
                    }
                }
            }
        }
        let planes = out.shape.dropLast(2).reduce(1, *)
        with(rows) { rows in
            with(columns) { tk_map_planes(x.dtype.code, Int64(planes), &rows, &$0, x.pointer, out.pointer) }
        }
    }

    private func shape(_ plan: ChannelNormPlan) -> tk_norm_shape {
        tk_norm_shape(
            batch: Int64(plan.batch), channels: Int64(plan.channels), inner: Int64(plan.inner), groups: Int64(plan.groups),
            rectified: plan.isRectified)
    }

    /// By `tk_channel_norm`: x is read once for the statistics and once for the output.
    public func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        var s = shape(plan)
        tk_channel_norm(
            x.dtype.code, &s, x.pointer, weight?.pointer, bias?.pointer, out.pointer, mean.pointer, variance.pointer, plan.eps)
    }

    /// By `tk_channel_norm_apply`.
    public func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        var s = shape(plan)
        tk_channel_norm_apply(
            x.dtype.code, &s, x.pointer, mean.pointer, variance.pointer, weight?.pointer, bias?.pointer, out.pointer, plan.eps)
    }

    /// By `tk_channel_norm_grad`.
    public func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?, dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool
    ) {
        var s = shape(plan)
        tk_channel_norm_grad(
            x.dtype.code, &s, x.pointer, g.pointer, mean.pointer, variance.pointer, weight?.pointer, bias?.pointer, dx?.pointer,
            dweight?.pointer, dbias?.pointer, plan.eps, fixed)
    }
}
