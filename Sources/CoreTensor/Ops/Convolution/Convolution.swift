/// Sizes per spatial axis, brought to the three that kernels take.
func threeAxes(_ sizes: [Int], filling value: Int = 1) -> [Int] { [Int](repeating: value, count: 3 - sizes.count) + sizes }

/// What convolutions share: a batch axis for single samples, one type for all operands, and a type that is computed in.
private func withOperands(
    _ operation: String, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, rank: Int, outputs: Int,
    _ body: (_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) -> Tensor
) -> Tensor {
    let x = Autocast.lowered(x), weight = Autocast.lowered(weight), bias = bias.map(Autocast.lowered)
    if x.dtype != weight.dtype || (bias != nil && bias!.dtype != x.dtype) || x.dtype == .bool || x.dtype.isStorageOnly {
        fail(
            operation,
            "input \(x.dtype), weight \(weight.dtype)\(bias.map { ", bias \($0.dtype)" } ?? ""): needs numbers of one type")
    }
    if let bias, bias.shape != [outputs] { fail(operation, "a bias of shape \(bias.shape); needs [\(outputs)]") }
    if x.device != weight.device {
        fail(operation, "an input on \(x.device) and a weight on \(weight.device); move one with to(device:)")
    }
    if x.dtype.isComplex {
        func part(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) -> Tensor {
            withOperands(operation, x, weight, bias, rank: rank, outputs: outputs, body)
        }
        return withoutAutocast {
            complex(
                real: part(x.real, weight.real, bias?.real) - part(x.imaginary, weight.imaginary, nil),
                imaginary: part(x.real, weight.imaginary, bias?.imaginary) + part(x.imaginary, weight.real, nil))
        }
    }
    let isOwn = x.dtype == .float64 || (x.dtype.byteCount == 2 && x.physical.backend.multipliesHalfFloats)
    let type: DType = !x.dtype.isFloatingPoint ? .int64 : isOwn ? x.dtype : .float32
    let batched = x.rank == rank + 1 ? x.unsqueezed(0) : x
    let y = body(batched.to(type), weight.to(type), bias?.to(type)).to(x.dtype)
    return x.rank == rank + 1 ? y.squeezed(0) : y
}

private func checkShapes(_ operation: String, _ x: Tensor, _ weight: Tensor, rank: Int, groups: Int, inputs: Int, layout: String)
{
    if weight.rank != rank + 2 || weight.shape[2...].contains(0) {
        fail(operation, "a weight of shape \(weight.shape); needs [\(layout)] with \(rank) kernel axes")
    }
    if x.rank != rank + 1 && x.rank != rank + 2 {
        fail(operation, "an input of shape \(x.shape); needs [channels, \(rank) axes] or [batch, channels, \(rank) axes]")
    }
    if groups < 1 || weight.shape[0] % groups != 0 {
        fail(operation, "\(groups) groups do not divide the \(weight.shape[0]) leading channels of a weight \(weight.shape)")
    }
    let channels = x.shape[x.rank - rank - 1]
    if channels != inputs {
        fail(
            operation,
            "an input of shape \(x.shape) has \(channels) channels, a weight \(weight.shape) in \(groups) groups needs \(inputs)")
    }
}

private func convolve(
    _ operation: String, rank: Int, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ stride: SpatialSizes,
    _ padding: ConvolutionPadding, _ dilation: SpatialSizes, _ groups: Int
) -> Tensor {
    checkShapes(
        operation, x, weight, rank: rank, groups: groups, inputs: weight.rank > 1 ? weight.shape[1] * groups : 0,
        layout: "outputs, inputs / groups, kernel...")
    let kernel = Array(weight.shape[2...])
    let stride = stride.expanded(operation, "stride", rank: rank, atLeast: 1)
    let dilation = dilation.expanded(operation, "dilation", rank: rank, atLeast: 1)
    let amounts = padding.amounts(operation, kernel: kernel, stride: stride, dilation: dilation)
    let input = Array(x.shape[(x.rank - rank)...])
    let output = (0..<rank).map { i -> Int in
        let room = input[i] + amounts[i].before + amounts[i].after - dilation[i] * (kernel[i] - 1) - 1
        if room < 0 {
            fail(
                operation,
                "a kernel of \(kernel) with dilation \(dilation) is larger than the padded input (\(input), padding \(amounts[i].before))"
            )
        }
        return room / stride[i] + 1
    }
    return withOperands(operation, x, weight, bias, rank: rank, outputs: weight.shape[0]) { x, weight, bias in
        let plan = ConvolutionPlan(
            batch: x.shape[0], groups: groups, inputs: weight.shape[1], outputs: weight.shape[0] / groups,
            input: threeAxes(input), output: threeAxes(output), kernel: threeAxes(kernel), stride: threeAxes(stride),
            padding: threeAxes(amounts.map(\.before), filling: 0), dilation: threeAxes(dilation))
        return convolution(x, weight, bias, plan, like: [x.shape[0], weight.shape[0]] + output)
    }
}

/// Convolution (cross-correlation) over one axis.
///
/// `x [batch, inputs, length]` (or `[inputs, length]`), `weight [outputs, inputs / groups, kernel]`, `bias [outputs]` gives
/// `[batch, outputs, (length + 2 padding - dilation (kernel - 1) - 1) / stride + 1]`. float16 and bfloat16 are summed in float32,
/// integers in int64, wrapping. Traps on shapes that do not fit and on a kernel larger than the padded input.
public func conv1d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
    dilation: SpatialSizes = 1, groups: Int = 1
) -> Tensor { convolve("conv1d", rank: 1, x, weight, bias, stride, padding, dilation, groups) }

/// ``conv1d(_:_:_:stride:padding:dilation:groups:)`` over two axes: `x [batch, inputs, height, width]` (or without batch), `weight
/// [outputs, inputs / groups, kernel height, kernel width]`.
public func conv2d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
    dilation: SpatialSizes = 1, groups: Int = 1
) -> Tensor { convolve("conv2d", rank: 2, x, weight, bias, stride, padding, dilation, groups) }

/// ``conv1d(_:_:_:stride:padding:dilation:groups:)`` over three axes: `x [batch, inputs, depth, height, width]` (or without batch),
/// `weight [outputs, inputs / groups, kernel...]`.
public func conv3d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
    dilation: SpatialSizes = 1, groups: Int = 1
) -> Tensor { convolve("conv3d", rank: 3, x, weight, bias, stride, padding, dilation, groups) }

private func convolveTransposed(
    _ operation: String, rank: Int, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ stride: SpatialSizes,
    _ padding: SpatialSizes, _ outputPadding: SpatialSizes, _ groups: Int, _ dilation: SpatialSizes
) -> Tensor {
    checkShapes(
        operation, x, weight, rank: rank, groups: groups, inputs: weight.shape.first ?? 0,
        layout: "inputs, outputs / groups, kernel...")
    let kernel = Array(weight.shape[2...])
    let stride = stride.expanded(operation, "stride", rank: rank, atLeast: 1)
    let dilation = dilation.expanded(operation, "dilation", rank: rank, atLeast: 1)
    let padding = padding.expanded(operation, "padding", rank: rank, atLeast: 0)
    let extra = outputPadding.expanded(operation, "outputPadding", rank: rank, atLeast: 0)
    let input = Array(x.shape[(x.rank - rank)...])
    let output = (0..<rank).map { i -> Int in
        if extra[i] >= stride[i] && extra[i] >= dilation[i] {
            fail(operation, "outputPadding \(extra) must be below the stride \(stride) or the dilation \(dilation)")
        }
        let size = (input[i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + extra[i] + 1
        if size < 1 { fail(operation, "an input of \(input) with padding \(padding) leaves no output") }
        return size
    }
    let outputs = weight.shape[1] * groups
    return withOperands(operation, x, weight, bias, rank: rank, outputs: outputs) { x, weight, bias in
        // The convolution that this is the adjoint of goes from our output to our input.
        let plan = ConvolutionPlan(
            batch: x.shape[0], groups: groups, inputs: weight.shape[1], outputs: weight.shape[0] / groups,
            input: threeAxes(output), output: threeAxes(input), kernel: threeAxes(kernel), stride: threeAxes(stride),
            padding: threeAxes(padding, filling: 0), dilation: threeAxes(dilation))
        let y = convolutionGradInput(x, weight, plan, like: [x.shape[0], outputs] + output)
        return bias.map { y + $0.reshaped([outputs] + [Int](repeating: 1, count: rank)) } ?? y
    }
}

/// Transposed convolution over one axis: the adjoint of ``conv1d(_:_:_:stride:padding:dilation:groups:)`` in its input (Zeiler et
/// al., 2010).
///
/// `x [batch, inputs, length]` (or `[inputs, length]`), `weight [inputs, outputs / groups, kernel]`, `bias [outputs]` gives `[batch,
/// outputs, (length - 1) stride - 2 padding + dilation (kernel - 1) + outputPadding + 1]`. Traps on shapes that do not fit and on
/// an `outputPadding` that is below neither stride nor dilation.
public func convTranspose1d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
    outputPadding: SpatialSizes = 0, groups: Int = 1, dilation: SpatialSizes = 1
) -> Tensor {
    convolveTransposed("convTranspose1d", rank: 1, x, weight, bias, stride, padding, outputPadding, groups, dilation)
}

/// ``convTranspose1d(_:_:_:stride:padding:outputPadding:groups:dilation:)`` over two axes.
public func convTranspose2d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
    outputPadding: SpatialSizes = 0, groups: Int = 1, dilation: SpatialSizes = 1
) -> Tensor {
    convolveTransposed("convTranspose2d", rank: 2, x, weight, bias, stride, padding, outputPadding, groups, dilation)
}

/// ``convTranspose1d(_:_:_:stride:padding:outputPadding:groups:dilation:)`` over three axes.
public func convTranspose3d(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
    outputPadding: SpatialSizes = 0, groups: Int = 1, dilation: SpatialSizes = 1
) -> Tensor {
    convolveTransposed("convTranspose3d", rank: 3, x, weight, bias, stride, padding, outputPadding, groups, dilation)
}
