import Tapestry

extension ModuleTable {
    private typealias Convolve =
        @Sendable (
            Int, Int, SpatialSizes, SpatialSizes, ConvolutionPadding, SpatialSizes, Int, Bool, PaddingMode, DType
        ) -> Convolution
    private typealias Transpose =
        @Sendable (
            Int, Int, SpatialSizes, SpatialSizes, SpatialSizes, SpatialSizes, Int, Bool, SpatialSizes, DType
        ) -> TransposedConvolution

    private static func convolution(_ make: @escaping Convolve) -> Maker {
        { o in
            try o.allow(
                "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
            let c = o.call
            let layer = make(
                try c.int(0, "in_channels"), try c.int(1, "out_channels"), try c.needed(2, "kernel_size"),
                try c.sizes(3, "stride", or: 1), try c.padding(4), try c.sizes(5, "dilation", or: 1),
                try c.int(6, "groups", or: 1),
                c.bool(7, "bias", or: true), try c.paddingMode(8, "padding_mode"), o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias])
        }
    }

    private static func transposed(_ make: @escaping Transpose) -> Maker {
        { o in
            try o.allow(
                "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation")
            let c = o.call
            let layer = make(
                try c.int(0, "in_channels"), try c.int(1, "out_channels"), try c.needed(2, "kernel_size"),
                try c.sizes(3, "stride", or: 1), try c.sizes(4, "padding", or: 0), try c.sizes(5, "output_padding", or: 0),
                try c.int(6, "groups", or: 1), c.bool(7, "bias", or: true), try c.sizes(8, "dilation", or: 1), o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias]) { call in
                if case .list = call.value(1, "output_size") {
                    let rank = layer.weight.shape.count - 2
                    let size = Array(try call.ints(1, "output_size").suffix(rank))
                    return ["out": layer(try call.tensor(0, "input"), outputSize: size)]
                }
                return ["out": layer(try call.tensor(0, "input"))]
            }
        }
    }

    private static func running(_ layer: RunningNorm & Layer) -> GoldenModule {
        GoldenModule(
            layer, parameters: ["weight": layer.weight, "bias": layer.bias],
            buffers: [
                "running_mean": layer.runningMean, "running_var": layer.runningVariance,
                "num_batches_tracked": layer.batchesTracked,
            ])
    }

    private static func batchNorm(
        _ make: @escaping @Sendable (Int, Double, Double?, Bool, Bool, Bool, DType) -> BatchNorm
    ) -> Maker {
        { o in
            try o.allow("num_features", "eps", "momentum", "affine", "track_running_stats", "bias")
            let c = o.call
            var momentum: Double? = 0.1
            if c.arguments.count > 2 || c.named["momentum"] != nil {
                if case .none = c.value(2, "momentum") { momentum = nil } else { momentum = try c.double(2, "momentum", or: 0.1) }
            }
            return running(
                make(
                    try c.int(0, "num_features"), try c.double(1, "eps", or: 1e-5), momentum, c.bool(3, "affine", or: true),
                    c.bool(4, "track_running_stats", or: true), c.bool(5, "bias", or: true), o.dtype))
        }
    }

    private static func instanceNorm(
        _ make: @escaping @Sendable (Int, Double, Double, Bool, Bool, Bool, DType) -> InstanceNorm
    ) -> Maker {
        { o in
            try o.allow("num_features", "eps", "momentum", "affine", "track_running_stats", "bias")
            let c = o.call
            return running(
                make(
                    try c.int(0, "num_features"), try c.double(1, "eps", or: 1e-5), try c.double(2, "momentum", or: 0.1),
                    c.bool(3, "affine"), c.bool(4, "track_running_stats"), c.bool(5, "bias", or: true), o.dtype))
        }
    }

    /// Convolution, and normalisation per channel.
    static let channels: [String: Maker] = [
        "Conv1d": convolution {
            Conv1d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, dilation: $5, groups: $6, bias: $7, paddingMode: $8, dtype: $9)
        },
        "ConvTranspose1d": transposed {
            ConvTranspose1d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, bias: $7, dilation: $8, dtype: $9)
        },
        "BatchNorm1d": batchNorm {
            BatchNorm1d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "InstanceNorm1d": instanceNorm {
            InstanceNorm1d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "Conv2d": convolution {
            Conv2d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, dilation: $5, groups: $6, bias: $7, paddingMode: $8, dtype: $9)
        },
        "ConvTranspose2d": transposed {
            ConvTranspose2d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, bias: $7, dilation: $8, dtype: $9)
        },
        "BatchNorm2d": batchNorm {
            BatchNorm2d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "InstanceNorm2d": instanceNorm {
            InstanceNorm2d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "Conv3d": convolution {
            Conv3d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, dilation: $5, groups: $6, bias: $7, paddingMode: $8, dtype: $9)
        },
        "ConvTranspose3d": transposed {
            ConvTranspose3d(
                $0, $1, kernelSize: $2, stride: $3, padding: $4, outputPadding: $5, groups: $6, bias: $7, dilation: $8, dtype: $9)
        },
        "BatchNorm3d": batchNorm {
            BatchNorm3d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "InstanceNorm3d": instanceNorm {
            InstanceNorm3d($0, eps: $1, momentum: $2, affine: $3, tracksStatistics: $4, bias: $5, dtype: $6)
        },
        "GroupNorm": { o in
            try o.allow("num_groups", "num_channels", "eps", "affine", "bias")
            let layer = GroupNorm(
                groups: try o.call.int(0, "num_groups"), try o.call.int(1, "num_channels"),
                eps: try o.call.double(2, "eps", or: 1e-5),
                affine: o.call.bool(3, "affine", or: true), bias: o.call.bool(4, "bias", or: true), dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias])
        },
        "LocalResponseNorm": { o in
            try o.allow("size", "alpha", "beta", "k")
            return GoldenModule(
                LocalResponseNorm(
                    try o.call.int(0, "size"), alpha: try o.call.double(1, "alpha", or: 1e-4),
                    beta: try o.call.double(2, "beta", or: 0.75), k: try o.call.double(3, "k", or: 1)))
        },
        "Unfold": { o in
            try o.allow("kernel_size", "dilation", "padding", "stride")
            return GoldenModule(
                Unfold(
                    kernelSize: try o.call.needed(0, "kernel_size"), dilation: try o.call.sizes(1, "dilation", or: 1),
                    padding: try o.call.sizes(2, "padding", or: 0), stride: try o.call.sizes(3, "stride", or: 1)))
        },
        "Fold": { o in
            try o.allow("output_size", "kernel_size", "dilation", "padding", "stride")
            return GoldenModule(
                Fold(
                    outputSize: try o.call.needed(0, "output_size"), kernelSize: try o.call.needed(1, "kernel_size"),
                    dilation: try o.call.sizes(2, "dilation", or: 1), padding: try o.call.sizes(3, "padding", or: 0),
                    stride: try o.call.sizes(4, "stride", or: 1)))
        },
        "PixelShuffle": { o in GoldenModule(PixelShuffle(try o.call.int(0, "upscale_factor"))) },
        "PixelUnshuffle": { o in GoldenModule(PixelUnshuffle(try o.call.int(0, "downscale_factor"))) },
        "ChannelShuffle": { o in GoldenModule(ChannelShuffle(try o.call.int(0, "groups"))) },
        "Upsample": { o in
            try o.allow("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
            guard let mode = InterpolationMode(rawValue: o.call.string(2, "mode", or: "nearest")) else {
                throw Unsupported("mode")
            }
            return GoldenModule(
                Upsample(
                    size: try o.call.sizes(0, "size"), scaleFactor: try o.call.doubles(1, "scale_factor"), mode: mode,
                    alignCorners: o.call.bool(3, "align_corners"), recomputeScaleFactor: o.call.bool(4, "recompute_scale_factor"))
            )
        },
    ]
}
