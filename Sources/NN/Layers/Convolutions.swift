import CoreTensor

/// What convolution layers of one, two and three axes share. Weight `[outputs, inputs / groups, kernel...]` and bias start uniform in
/// ±1/√(inputs / groups · kernel places) (PyTorch's default).
public class Convolution: Module, WeightedLayer {
    /// `[outputs, inputs / groups, kernel...]`.
    public let weight: Parameter
    /// `[outputs]`, or nil if the layer has none.
    public let bias: Parameter?
    /// Distance between the places the kernel is laid at.
    public let stride: SpatialSizes
    /// How far the input is extended.
    public let padding: ConvolutionPadding
    /// What it is extended with.
    public let paddingMode: PaddingMode
    /// Distance between the kernel's taps.
    public let dilation: SpatialSizes
    /// Groups of channels that do not see each other.
    public let groups: Int

    init(
        _ operation: String, rank: Int, _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes,
        padding: ConvolutionPadding, dilation: SpatialSizes, groups: Int, bias: Bool, paddingMode: PaddingMode, dtype: DType,
        generator: RandomGenerator
    ) {
        checkChannels(operation, inputs, outputs, groups)
        let kernel = kernelSize.expanded(operation, "kernelSize", rank: rank, atLeast: 1)
        (weight, self.bias) = startingValues([outputs, inputs / groups] + kernel, bias ? outputs : nil, dtype, generator)
        self.stride = stride
        self.padding = padding
        self.paddingMode = paddingMode
        self.dilation = dilation
        self.groups = groups
    }

    /// `[batch, inputs, ...]` (or without batch) gives `[batch, outputs, ...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, weight: weight.value) }

    /// The convolution with the given weight in place of its own.
    public func callAsFunction(_ x: Tensor, weight: Tensor) -> Tensor {
        let bias = bias?.value
        if paddingMode == .zeros { return convolve(x, weight, bias, padding) }
        let kernel = Array(weight.shape[2...]), rank = kernel.count
        let amounts = padding.amounts(
            "\(type(of: self))", kernel: kernel, stride: stride.expanded("\(type(of: self))", "stride", rank: rank, atLeast: 1),
            dilation: dilation.expanded("\(type(of: self))", "dilation", rank: rank, atLeast: 1))
        return convolve(x.padded(amounts.reversed().flatMap { [$0.before, $0.after] }, mode: paddingMode), weight, bias, .valid)
    }

    private func convolve(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ padding: ConvolutionPadding) -> Tensor {
        switch weight.rank {
        case 3: conv1d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        case 4: conv2d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        default: conv3d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
        }
    }
}

private func checkChannels(_ operation: String, _ inputs: Int, _ outputs: Int, _ groups: Int) {
    if inputs < 1 || outputs < 1 || groups < 1 || inputs % max(groups, 1) != 0 || outputs % max(groups, 1) != 0 {
        fail(operation, "\(inputs) inputs and \(outputs) outputs in \(groups) groups; the groups must divide both")
    }
}

/// Uniform in ±1/√(second axis · kernel places), as PyTorch starts convolutions.
private func startingValues(
    _ shape: [Int], _ outputs: Int?, _ dtype: DType, _ generator: RandomGenerator
) -> (weight: Parameter, bias: Parameter?) {
    let bound = 1 / Double(shape.dropFirst().reduce(1, *)).squareRoot()
    func draw(_ shape: [Int]) -> Parameter {
        Parameter(Tensor(uniform: shape, low: -bound, high: bound, dtype: dtype, generator: generator))
    }
    return (draw(shape), outputs.map { draw([$0]) })
}

/// Convolution over one axis as a layer; see ``conv1d(_:_:_:stride:padding:dilation:groups:)``.
public final class Conv1d: Convolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
        dilation: SpatialSizes = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
        dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "Conv1d", rank: 1, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
            groups: groups, bias: bias, paddingMode: paddingMode, dtype: dtype, generator: generator)
    }
}

/// Convolution over two axes as a layer; see ``conv2d(_:_:_:stride:padding:dilation:groups:)``.
public final class Conv2d: Convolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
        dilation: SpatialSizes = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
        dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "Conv2d", rank: 2, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
            groups: groups, bias: bias, paddingMode: paddingMode, dtype: dtype, generator: generator)
    }
}

/// Convolution over three axes as a layer; see ``conv3d(_:_:_:stride:padding:dilation:groups:)``.
public final class Conv3d: Convolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: ConvolutionPadding = 0,
        dilation: SpatialSizes = 1, groups: Int = 1, bias: Bool = true, paddingMode: PaddingMode = .zeros,
        dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "Conv3d", rank: 3, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation,
            groups: groups, bias: bias, paddingMode: paddingMode, dtype: dtype, generator: generator)
    }
}

/// What transposed convolutions of one, two and three axes share. Weight `[inputs, outputs / groups, kernel...]` and bias start uniform
/// in ±1/√(outputs / groups · kernel places) (PyTorch's default).
public class TransposedConvolution: Module, WeightedLayer {
    /// `[inputs, outputs / groups, kernel...]`.
    public let weight: Parameter
    /// `[outputs]`, or nil if the layer has none.
    public let bias: Parameter?
    /// Distance in the output between the kernels of neighbouring inputs.
    public let stride: SpatialSizes
    /// Places cut off at both ends of the output.
    public let padding: SpatialSizes
    /// Places added at the end of the output.
    public let outputPadding: SpatialSizes
    /// Groups of channels that do not see each other.
    public let groups: Int
    /// Distance between the kernel's taps.
    public let dilation: SpatialSizes
    /// 1: the outputs are the weight's second axis.
    public var outputAxis: Int { 1 }

    init(
        _ operation: String, rank: Int, _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes,
        padding: SpatialSizes, outputPadding: SpatialSizes, groups: Int, bias: Bool, dilation: SpatialSizes, dtype: DType,
        generator: RandomGenerator
    ) {
        checkChannels(operation, inputs, outputs, groups)
        let kernel = kernelSize.expanded(operation, "kernelSize", rank: rank, atLeast: 1)
        (weight, self.bias) = startingValues([inputs, outputs / groups] + kernel, bias ? outputs : nil, dtype, generator)
        self.stride = stride
        self.padding = padding
        self.outputPadding = outputPadding
        self.groups = groups
        self.dilation = dilation
    }

    /// `[batch, inputs, ...]` (or without batch) gives `[batch, outputs, ...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, weight: weight.value) }

    /// The transposed convolution with the given weight in place of its own.
    public func callAsFunction(_ x: Tensor, weight: Tensor) -> Tensor { apply(x, weight, outputPadding) }

    /// With an output of exactly `outputSize` places per axis, in place of `outputPadding`. Traps if no output padding gives that.
    public func callAsFunction(_ x: Tensor, outputSize: [Int]) -> Tensor {
        let name = "\(type(of: self))", rank = weight.shape.count - 2
        if outputSize.count != rank || x.rank <= rank {
            fail(name, "an output size \(outputSize) for an input of shape \(x.shape)")
        }
        let stride = stride.expanded(name, "stride", rank: rank, atLeast: 1)
        let padding = padding.expanded(name, "padding", rank: rank, atLeast: 0)
        let dilation = dilation.expanded(name, "dilation", rank: rank, atLeast: 1)
        let extra = (0..<rank).map { (i: Int) -> Int in
            let reach = dilation[i] * (weight.shape[i + 2] - 1) + 1
            let smallest = (x.shape[x.rank - rank + i] - 1) * stride[i] - 2 * padding[i] + reach
            return outputSize[i] - smallest
        }
        if extra.contains(where: { $0 < 0 }) {
            fail(name, "an output of \(outputSize) is too small for an input of shape \(x.shape)")
        }
        return apply(x, weight.value, SpatialSizes(extra))
    }

    private func apply(_ x: Tensor, _ weight: Tensor, _ extra: SpatialSizes) -> Tensor {
        let b = bias?.value
        switch weight.rank {
        case 3:
            return convTranspose1d(
                x, weight, b, stride: stride, padding: padding, outputPadding: extra, groups: groups, dilation: dilation)
        case 4:
            return convTranspose2d(
                x, weight, b, stride: stride, padding: padding, outputPadding: extra, groups: groups, dilation: dilation)
        default:
            return convTranspose3d(
                x, weight, b, stride: stride, padding: padding, outputPadding: extra, groups: groups, dilation: dilation)
        }
    }
}

/// Transposed convolution over one axis as a layer; see ``convTranspose1d(_:_:_:stride:padding:outputPadding:groups:dilation:)``.
public final class ConvTranspose1d: TransposedConvolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
        outputPadding: SpatialSizes = 0, groups: Int = 1, bias: Bool = true, dilation: SpatialSizes = 1, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "ConvTranspose1d", rank: 1, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding,
            outputPadding: outputPadding, groups: groups, bias: bias, dilation: dilation, dtype: dtype, generator: generator)
    }
}

/// Transposed convolution over two axes as a layer; see ``convTranspose2d(_:_:_:stride:padding:outputPadding:groups:dilation:)``.
public final class ConvTranspose2d: TransposedConvolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
        outputPadding: SpatialSizes = 0, groups: Int = 1, bias: Bool = true, dilation: SpatialSizes = 1, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "ConvTranspose2d", rank: 2, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding,
            outputPadding: outputPadding, groups: groups, bias: bias, dilation: dilation, dtype: dtype, generator: generator)
    }
}

/// Transposed convolution over three axes as a layer; see ``convTranspose3d(_:_:_:stride:padding:outputPadding:groups:dilation:)``.
public final class ConvTranspose3d: TransposedConvolution {
    /// A layer from `inputs` to `outputs` channels. Traps if the groups do not divide both.
    public init(
        _ inputs: Int, _ outputs: Int, kernelSize: SpatialSizes, stride: SpatialSizes = 1, padding: SpatialSizes = 0,
        outputPadding: SpatialSizes = 0, groups: Int = 1, bias: Bool = true, dilation: SpatialSizes = 1, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            "ConvTranspose3d", rank: 3, inputs, outputs, kernelSize: kernelSize, stride: stride, padding: padding,
            outputPadding: outputPadding, groups: groups, bias: bias, dilation: dilation, dtype: dtype, generator: generator)
    }
}
