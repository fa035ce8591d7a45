final class UnfoldBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan, shape: Shape
    init(_ plan: ConvolutionPlan, _ shape: Shape) {
        self.plan = plan
        self.shape = shape
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { foldColumns(g, plan, like: shape) }
}

final class FoldBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan, shape: Shape
    init(_ plan: ConvolutionPlan, _ shape: Shape) {
        self.plan = plan
        self.shape = shape
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { unfoldColumns(g, plan, like: shape) }
}

/// Hidden axes of `vmap` in front make more samples.
private func inSamples(_ x: Tensor, _ plan: ConvolutionPlan, _ body: (Tensor, ConvolutionPlan, [Int]) -> Tensor) -> Tensor {
    x.lifted { x, hidden in
        let sizes = Array(x.shape[..<hidden])
        var all = plan
        all.batch *= sizes.reduce(1, *)
        return body(x, all, sizes)
    }
}

private func unfoldColumns(_ x: Tensor, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
    if x.isBatched { return inSamples(x, plan) { unfoldColumns($0, $1, like: $2 + shape) } }
    let out = RawTensor(shape: shape, x.dtype, x.device)
    out.backend.unfold(x.raw.contiguous(), out, plan)
    return record(out, x) { UnfoldBackward(plan, x.shape) }
}

private func foldColumns(_ x: Tensor, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
    if x.isBatched { return inSamples(x, plan) { foldColumns($0, $1, like: $2 + shape) } }
    let out = RawTensor(shape: shape, x.dtype, x.device)
    out.backend.fold(x.raw.contiguous(), out, plan)
    return record(out, x) { FoldBackward(plan, x.shape) }
}

/// The geometry of blocks that slide over two axes.
private func blocks(
    _ operation: String, batch: Int, channels: Int, size: [Int], _ kernelSize: SpatialSizes, _ stride: SpatialSizes,
    _ padding: SpatialSizes, _ dilation: SpatialSizes
) -> ConvolutionPlan {
    let kernel = kernelSize.expanded(operation, "kernelSize", rank: 2, atLeast: 1)
    let stride = stride.expanded(operation, "stride", rank: 2, atLeast: 1)
    let padding = padding.expanded(operation, "padding", rank: 2, atLeast: 0)
    let dilation = dilation.expanded(operation, "dilation", rank: 2, atLeast: 1)
    let output = (0..<2).map { i -> Int in
        let room = size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        if room < 0 {
            fail(operation, "blocks of \(kernel) with dilation \(dilation) are larger than \(size) with padding \(padding)")
        }
        return room / stride[i] + 1
    }
    return ConvolutionPlan(
        batch: batch, groups: 1, inputs: channels, outputs: 1, input: [1] + size, output: [1] + output, kernel: [1] + kernel,
        stride: [1] + stride, padding: [0] + padding, dilation: [1] + dilation)
}

private func columnType(_ operation: String, _ x: Tensor) -> DType {
    if x.dtype == .bool { fail(operation, "bools cannot be added up; convert with to(.float32)") }
    return x.dtype == .float64 ? .float64 : x.dtype.isFloatingPoint ? .float32 : .int64
}

/// Sliding blocks as columns (im2col): `x [batch, channels, height, width]` (or without batch) gives `[batch, channels · kernel height ·
/// kernel width, blocks]`, the blocks in row-major order. Places in the padding are 0. Traps if a block is larger than the padded
/// input.
public func unfold(
    _ x: Tensor, kernelSize: SpatialSizes, dilation: SpatialSizes = 1, padding: SpatialSizes = 0, stride: SpatialSizes = 1
) -> Tensor {
    if x.rank != 3 && x.rank != 4 { fail("unfold", "an input of shape \(x.shape); needs [batch, channels, height, width]") }
    let batched = x.rank == 3 ? x.unsqueezed(0) : x
    let plan = blocks(
        "unfold", batch: batched.shape[0], channels: batched.shape[1], size: Array(batched.shape[2...]), kernelSize, stride,
        padding,
        dilation)
    let shape = [plan.batch, plan.inputs * plan.kernel.reduce(1, *), plan.output.reduce(1, *)]
    let y = unfoldColumns(batched.to(columnType("unfold", x)), plan, like: shape).to(x.dtype)
    return x.rank == 3 ? y.squeezed(0) : y
}

/// Columns added up where ``unfold(_:kernelSize:dilation:padding:stride:)`` takes them from (col2im): `x [batch, channels · kernel
/// height · kernel width, blocks]` (or without batch) gives `[batch, channels, outputSize...]`. Traps if the number of blocks is not
/// that of the sizes.
public func fold(
    _ x: Tensor, outputSize: SpatialSizes, kernelSize: SpatialSizes, dilation: SpatialSizes = 1, padding: SpatialSizes = 0,
    stride: SpatialSizes = 1
) -> Tensor {
    if x.rank != 2 && x.rank != 3 { fail("fold", "an input of shape \(x.shape); needs [batch, channels · taps, blocks]") }
    let batched = x.rank == 2 ? x.unsqueezed(0) : x
    let size = outputSize.expanded("fold", "outputSize", rank: 2, atLeast: 1)
    let taps = kernelSize.expanded("fold", "kernelSize", rank: 2, atLeast: 1).reduce(1, *)
    if batched.shape[1] % taps != 0 {
        fail("fold", "\(batched.shape[1]) rows are not a multiple of the \(taps) places of a block")
    }
    let plan = blocks(
        "fold", batch: batched.shape[0], channels: batched.shape[1] / taps, size: size, kernelSize, stride, padding, dilation)
    let places = plan.output.reduce(1, *)
    if batched.shape[2] != places { fail("fold", "\(batched.shape[2]) blocks; an output of \(size) has \(places)") }
    let y = foldColumns(batched.to(columnType("fold", x)), plan, like: [plan.batch, plan.inputs] + size).to(x.dtype)
    return x.rank == 2 ? y.squeezed(0) : y
}
