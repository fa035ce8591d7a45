import Tapestry

/// The attributes of a sliding window: kernel, strides, dilations and padding of the spatial axes.
struct OnnxGeometry {
    let input, kernel, stride, dilation: [Int]
    /// What lies around the input, as the node says.
    var before, after: [Int]
    let isCeil: Bool

    var rank: Int { input.count }
    var reach: [Int] { zip(kernel, dilation).map { $1 * ($0 - 1) + 1 } }

    init(_ call: OnnxCall, _ x: Tensor, kernel: [Int]) throws {
        let rank = x.rank - 2
        guard (1...3).contains(rank) else { throw Unsupported("\(call.op) over \(rank) axes") }
        input = Array(x.shape[2...])
        self.kernel = kernel
        let ones = [Int](repeating: 1, count: rank)
        stride = try call.ints("strides") ?? ones
        dilation = try call.ints("dilations") ?? ones
        isCeil = try call.flag("ceil_mode")
        let pads = try call.ints("pads") ?? [Int](repeating: 0, count: 2 * rank)
        (before, after) = (Array(pads[..<rank]), Array(pads[rank...]))
        let mode = try call.string("auto_pad", or: "NOTSET")
        if mode == "NOTSET" { return }
        for i in 0..<rank {
            let output = (input[i] + stride[i] - 1) / stride[i]
            let total =
                mode == "VALID" ? 0 : Swift.max((output - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 - input[i], 0)
            before[i] = mode == "SAME_LOWER" ? total - total / 2 : total / 2
            after[i] = total - before[i]
        }
    }

    /// The number of windows. With `ceil_mode` the last may go over the end, if it starts inside the input or before it.
    var output: [Int] {
        (0..<rank).map { i in
            let room = input[i] + before[i] + after[i] - reach[i]
            var size = (room + (isCeil ? stride[i] - 1 : 0)) / stride[i] + 1
            if isCeil && (size - 1) * stride[i] >= input[i] + before[i] { size -= 1 }
            return size
        }
    }

    /// What `ceil_mode` needs after the padding.
    var excess: [Int] {
        let output = output
        return (0..<rank).map { Swift.max((output[$0] - 1) * stride[$0] + reach[$0] - input[$0] - before[$0] - after[$0], 0) }
    }

    /// Whether the library's own padding can express it.
    var isPlain: Bool { before == after && (0..<rank).allSatisfy { before[$0] <= reach[$0] / 2 } }

    /// The input with its padding, and with what `ceil_mode` adds.
    func padded(_ x: Tensor, value: Double, withExcess: Bool = false) -> Tensor {
        let extra = withExcess ? excess : [Int](repeating: 0, count: rank)
        return x.padded((0..<rank).reversed().flatMap { [before[$0], after[$0] + extra[$0]] }, mode: .constant(value))
    }
}

/// ``conv1d(_:_:_:stride:padding:dilation:groups:)`` and its like by rank.
func convolved(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, stride: [Int], padding: [Int], dilation: [Int], groups: Int
) -> Tensor {
    let stride = SpatialSizes(stride), padding = ConvolutionPadding.sizes(SpatialSizes(padding)),
        dilation = SpatialSizes(dilation)
    switch x.rank {
    case 3: return conv1d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    case 4: return conv2d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    default: return conv3d(x, weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }
}

/// ONNX's convolution: padding may differ at the two ends.
func convolved(_ call: OnnxCall, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> Tensor {
    let geometry = try OnnxGeometry(call, x, kernel: Array(weight.shape[2...])), isEven = geometry.before == geometry.after
    return convolved(
        isEven ? x : geometry.padded(x, value: 0), weight, bias, stride: geometry.stride,
        padding: isEven ? geometry.before : [Int](repeating: 0, count: geometry.rank), dilation: geometry.dilation,
        groups: try call.int("group", or: 1))
}
