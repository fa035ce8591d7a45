import Tapestry

/// Convolution, pooling, resampling, padding and normalisation per channel.
extension GoldenCall {
    /// A number per spatial axis, or one for all; nil if there is none.
    func sizes(_ position: Int, _ name: String) throws -> SpatialSizes? {
        switch value(position, name) {
        case .none: return nil
        case .int(let i): return SpatialSizes(i)
        case .list(let list):
            if list.isEmpty { return nil }
            return SpatialSizes(
                try list.map {
                    guard case .int(let i) = $0 else { throw Unsupported("\(name) of another kind") }
                    return i
                })
        default: throw Unsupported("\(name) of another kind")
        }
    }

    func sizes(_ position: Int, _ name: String, or standard: SpatialSizes) throws -> SpatialSizes {
        try sizes(position, name) ?? standard
    }

    func needed(_ position: Int, _ name: String) throws -> SpatialSizes {
        guard let sizes = try sizes(position, name) else { throw Unsupported("no \(name)") }
        return sizes
    }

    /// Sizes of which some may be left out.
    func adaptive(_ position: Int, _ name: String = "output_size") throws -> AdaptiveSizes {
        switch value(position, name) {
        case .int(let i): return AdaptiveSizes(i)
        case .list(let list):
            return AdaptiveSizes(
                try list.map { value -> Int? in
                    switch value {
                    case .int(let i): return i
                    case .none: return nil
                    default: throw Unsupported("\(name) of another kind")
                    }
                })
        default: throw Unsupported("\(name) of another kind")
        }
    }

    /// A convolution's padding: sizes or a word.
    func padding(_ position: Int, _ name: String = "padding") throws -> ConvolutionPadding {
        if case .string(let word) = value(position, name) {
            switch word {
            case "same": return .same
            case "valid": return .valid
            default: throw GoldenError("padding \(word)")
            }
        }
        return .sizes(try sizes(position, name, or: 0))
    }

    func doubles(_ position: Int, _ name: String) throws -> [Double]? {
        switch value(position, name) {
        case .none: return nil
        case .int(let i): return [Double(i)]
        case .float(let x): return [x]
        case .list(let list):
            return try list.map {
                switch $0 {
                case .int(let i): return Double(i)
                case .float(let x): return x
                default: throw Unsupported("\(name) of another kind")
                }
            }
        default: throw Unsupported("\(name) of another kind")
        }
    }

    /// A padding mode by PyTorch's name.
    func paddingMode(_ position: Int, _ name: String, value number: Double = 0) throws -> PaddingMode {
        switch string(position, name, or: "constant") {
        case "constant", "zeros": return .constant(number)
        case "reflect": return .reflect
        case "replicate": return .replicate
        case "circular": return .circular
        case let other: throw GoldenError("padding mode \(other)")
        }
    }
}

extension OpTable {
    typealias Convolve = @Sendable (Tensor, Tensor, Tensor?, SpatialSizes, ConvolutionPadding, SpatialSizes, Int) -> Tensor
    typealias ConvolveTransposed =
        @Sendable (Tensor, Tensor, Tensor?, SpatialSizes, SpatialSizes, SpatialSizes, Int, SpatialSizes)
        -> Tensor

    private static func convolution(_ f: @escaping Convolve) -> Function {
        { call in
            try call.allow("weight", "bias", "stride", "padding", "dilation", "groups")
            return [
                f(
                    try call.tensor(0), try call.tensor(1, "weight"), try call.optionalTensor(2, "bias"),
                    try call.sizes(3, "stride", or: 1), try call.padding(4), try call.sizes(5, "dilation", or: 1),
                    try call.int(6, "groups", or: 1))
            ]
        }
    }

    private static func transposed(_ f: @escaping ConvolveTransposed) -> Function {
        { call in
            try call.allow("weight", "bias", "stride", "padding", "output_padding", "dilation", "groups")
            return [
                f(
                    try call.tensor(0), try call.tensor(1, "weight"), try call.optionalTensor(2, "bias"),
                    try call.sizes(3, "stride", or: 1), try call.sizes(4, "padding", or: 0),
                    try call.sizes(5, "output_padding", or: 0), try call.int(6, "groups", or: 1),
                    try call.sizes(7, "dilation", or: 1))
            ]
        }
    }

    private static func maxPooling(_ rank: Int) -> Function {
        { call in
            try call.allow("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
            let x = try call.tensor(0), kernel = try call.needed(1, "kernel_size"), stride = try call.sizes(2, "stride")
            let padding = try call.sizes(3, "padding", or: 0), dilation = try call.sizes(4, "dilation", or: 1)
            let ceil = call.bool(5, "ceil_mode")
            if call.bool(6, "return_indices") {
                let (y, indices) = maxPoolWithIndices(
                    x, rank: rank, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceil)
                return [y, indices]
            }
            switch rank {
            case 1:
                return [maxPool1d(x, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceil)]
            case 2:
                return [maxPool2d(x, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceil)]
            default:
                return [maxPool3d(x, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceil)]
            }
        }
    }

    private static func averagePooling(_ rank: Int) -> Function {
        { call in
            try call.allow("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
            let x = try call.tensor(0), kernel = try call.needed(1, "kernel_size"), stride = try call.sizes(2, "stride")
            let padding = try call.sizes(3, "padding", or: 0), ceil = call.bool(4, "ceil_mode")
            let counts = call.bool(5, "count_include_pad", or: true)
            var divisor: Int?
            if case .int(let i) = call.value(6, "divisor_override") { divisor = i }
            switch rank {
            case 1:
                return [
                    avgPool1d(x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: counts)
                ]
            case 2:
                return [
                    avgPool2d(
                        x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: counts,
                        divisorOverride: divisor)
                ]
            default:
                return [
                    avgPool3d(
                        x, kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: counts,
                        divisorOverride: divisor)
                ]
            }
        }
    }

    private static func adaptiveMaxPooling(_ rank: Int) -> Function {
        { call in
            try call.allow("output_size", "return_indices")
            let (y, indices) = adaptiveMaxPoolWithIndices(try call.tensor(0), rank: rank, outputSize: try call.adaptive(1))
            return call.bool(2, "return_indices") ? [y, indices] : [y]
        }
    }

    private static func adaptiveAveragePooling(_ f: @escaping @Sendable (Tensor, AdaptiveSizes) -> Tensor) -> Function {
        { call in
            try call.allow("output_size")
            return [f(try call.tensor(0), try call.adaptive(1))]
        }
    }

    private typealias PowerPool = @Sendable (Tensor, Double, SpatialSizes, SpatialSizes?, Bool) -> Tensor

    private static func powerPooling(_ f: @escaping PowerPool) -> Function {
        { call in
            try call.allow("norm_type", "kernel_size", "stride", "ceil_mode")
            return [
                f(
                    try call.tensor(0), try call.double(1, "norm_type", or: 2), try call.needed(2, "kernel_size"),
                    try call.sizes(3, "stride"), call.bool(4, "ceil_mode"))
            ]
        }
    }

    private static func unpooling(_ rank: Int) -> Function {
        { call in
            try call.allow("indices", "kernel_size", "stride", "padding", "output_size")
            let x = try call.tensor(0), indices = try call.tensor(1, "indices"), kernel = try call.needed(2, "kernel_size")
            let stride = try call.sizes(3, "stride"), padding = try call.sizes(4, "padding", or: 0)
            var size: [Int]?
            if case .list = call.value(5, "output_size") { size = Array(try call.ints(5, "output_size").suffix(rank)) }
            let layer =
                rank == 1
                ? MaxUnpool1d(kernelSize: kernel, stride: stride, padding: padding)
                : rank == 2
                    ? MaxUnpool2d(kernelSize: kernel, stride: stride, padding: padding)
                    : MaxUnpool3d(kernelSize: kernel, stride: stride, padding: padding)
            return [layer(x, indices: indices, outputSize: size)]
        }
    }

    static let windows: [String: Function] = [
        "nn.functional.conv1d": convolution { conv1d($0, $1, $2, stride: $3, padding: $4, dilation: $5, groups: $6) },
        "nn.functional.conv2d": convolution { conv2d($0, $1, $2, stride: $3, padding: $4, dilation: $5, groups: $6) },
        "nn.functional.conv3d": convolution { conv3d($0, $1, $2, stride: $3, padding: $4, dilation: $5, groups: $6) },
        "nn.functional.conv_transpose1d": transposed {
            convTranspose1d($0, $1, $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, dilation: $7)
        },
        "nn.functional.conv_transpose2d": transposed {
            convTranspose2d($0, $1, $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, dilation: $7)
        },
        "nn.functional.conv_transpose3d": transposed {
            convTranspose3d($0, $1, $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, dilation: $7)
        },
        "nn.functional.max_pool1d": maxPooling(1), "nn.functional.max_pool2d": maxPooling(2),
        "nn.functional.max_pool3d": maxPooling(3),
        "nn.functional.avg_pool1d": averagePooling(1), "nn.functional.avg_pool2d": averagePooling(2),
        "nn.functional.avg_pool3d": averagePooling(3),
        "nn.functional.adaptive_max_pool1d": adaptiveMaxPooling(1), "nn.functional.adaptive_max_pool2d": adaptiveMaxPooling(2),
        "nn.functional.adaptive_max_pool3d": adaptiveMaxPooling(3),
        "nn.functional.adaptive_avg_pool1d": adaptiveAveragePooling { adaptiveAvgPool1d($0, outputSize: $1) },
        "nn.functional.adaptive_avg_pool2d": adaptiveAveragePooling { adaptiveAvgPool2d($0, outputSize: $1) },
        "nn.functional.adaptive_avg_pool3d": adaptiveAveragePooling { adaptiveAvgPool3d($0, outputSize: $1) },
        "nn.functional.lp_pool1d": powerPooling { lpPool1d($0, norm: $1, kernelSize: $2, stride: $3, ceilMode: $4) },
        "nn.functional.lp_pool2d": powerPooling { lpPool2d($0, norm: $1, kernelSize: $2, stride: $3, ceilMode: $4) },
        "nn.functional.lp_pool3d": powerPooling { lpPool3d($0, norm: $1, kernelSize: $2, stride: $3, ceilMode: $4) },
        "nn.functional.max_unpool1d": unpooling(1), "nn.functional.max_unpool2d": unpooling(2),
        "nn.functional.max_unpool3d": unpooling(3),
        "nn.functional.unfold": { call in
            try call.allow("kernel_size", "dilation", "padding", "stride")
            return [
                unfold(
                    try call.tensor(0), kernelSize: try call.needed(1, "kernel_size"),
                    dilation: try call.sizes(2, "dilation", or: 1),
                    padding: try call.sizes(3, "padding", or: 0), stride: try call.sizes(4, "stride", or: 1))
            ]
        },
        "nn.functional.fold": { call in
            try call.allow("output_size", "kernel_size", "dilation", "padding", "stride")
            return [
                fold(
                    try call.tensor(0), outputSize: try call.needed(1, "output_size"),
                    kernelSize: try call.needed(2, "kernel_size"), dilation: try call.sizes(3, "dilation", or: 1),
                    padding: try call.sizes(4, "padding", or: 0), stride: try call.sizes(5, "stride", or: 1))
            ]
        },
    ]
}
