import Tapestry

/// Padding, resampling and normalisation per channel.
extension OpTable {
    private static func padding(_ call: GoldenCall) throws -> [Tensor] {
        try call.allow("pad", "mode", "value")
        let number = try call.double(3, "value", or: 0)
        return [try call.tensor(0).padded(try call.ints(1, "pad"), mode: try call.paddingMode(2, "mode", value: number))]
    }

    /// PyTorch's running statistics, taken to nil if one is missing.
    private static func running(_ mean: Tensor?, _ variance: Tensor?) -> ChannelStatistics? {
        mean.flatMap { mean in variance.map { ChannelStatistics(mean: mean, variance: $0) } }
    }

    private static func interpolated(_ call: GoldenCall, _ mode: InterpolationMode, alignCorners: Bool) throws -> [Tensor] {
        let scale = try call.doubles(2, "scale_factor")
        return [
            interpolate(
                try call.tensor(0), size: try call.sizes(1, "size"), scaleFactor: scale, mode: mode, alignCorners: alignCorners,
                recomputeScaleFactor: call.bool(9, "recompute_scale_factor"), antialias: call.bool(9, "antialias"))
        ]
    }

    static let images: [String: Function] = [
        "nn.functional.pad": { try padding($0) },
        "constant_pad_nd": { call in
            try call.allow("pad", "value")
            return [try call.tensor(0).padded(try call.ints(1, "pad"), mode: .constant(try call.double(2, "value", or: 0)))]
        },
        "nn.functional.interpolate": { call in
            try call.allow("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
            guard let mode = InterpolationMode(rawValue: call.string(3, "mode", or: "nearest")) else { throw Unsupported("mode") }
            return try interpolated(call, mode, alignCorners: call.bool(4, "align_corners"))
        },
        "nn.functional.upsample_nearest": { call in
            try call.allow("size", "scale_factor")
            return try interpolated(call, .nearest, alignCorners: false)
        },
        "nn.functional.upsample_bilinear": { call in
            try call.allow("size", "scale_factor")
            return try interpolated(call, .bilinear, alignCorners: true)
        },
        "nn.functional.grid_sample": { call in
            try call.allow("mode", "padding_mode", "align_corners")
            guard let mode = GridSampleMode(rawValue: call.string(2, "mode", or: "bilinear")),
                let padding = GridPaddingMode(rawValue: call.string(3, "padding_mode", or: "zeros"))
            else { throw Unsupported("mode") }
            return [
                gridSample(
                    try call.tensor(0), try call.tensor(1), mode: mode, paddingMode: padding,
                    alignCorners: call.bool(4, "align_corners"))
            ]
        },
        "nn.functional.affine_grid": { call in
            try call.allow("size", "align_corners")
            return [affineGrid(try call.tensor(0), size: try call.ints(1, "size"), alignCorners: call.bool(2, "align_corners"))]
        },
        "nn.functional.pixel_shuffle": { [pixelShuffle(try $0.tensor(0), factor: try $0.int(1, "upscale_factor"))] },
        "nn.functional.pixel_unshuffle": { [pixelUnshuffle(try $0.tensor(0), factor: try $0.int(1, "downscale_factor"))] },
        "nn.functional.channel_shuffle": { [channelShuffle(try $0.tensor(0), groups: try $0.int(1, "groups"))] },
        "nn.functional.batch_norm": { call in
            try call.allow("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
            var statistics = running(try call.optionalTensor(1, "running_mean"), try call.optionalTensor(2, "running_var"))
            return [
                batchNorm(
                    try call.tensor(0), running: &statistics, weight: try call.optionalTensor(3, "weight"),
                    bias: try call.optionalTensor(4, "bias"), training: call.bool(5, "training"),
                    momentum: try call.double(6, "momentum", or: 0.1), eps: try call.double(7, "eps", or: 1e-5))
            ]
        },
        "native_batch_norm": { call in
            let x = try call.tensor(0), eps = try call.double(7, "eps", or: 1e-5), empty = Tensor(zeros: [0], dtype: x.dtype)
            let weight = try call.optionalTensor(1, "weight"), bias = try call.optionalTensor(2, "bias")
            if call.bool(5, "training") {
                let y = batchNormWithStatistics(x, weight: weight, bias: bias, eps: eps).output
                // The statistics have gradients of their own.
                let axes = Axes([0] + Array(2..<x.rank))
                return [y, x.mean(axes), rsqrt(x.variance(axes, correction: 0) + eps)]
            }
            let mean = try call.tensor(3, "running_mean"), variance = try call.tensor(4, "running_var")
            return [batchNorm(x, mean: mean, variance: variance, weight: weight, bias: bias, eps: eps), empty, empty]
        },
        "nn.functional.group_norm": { call in
            try call.allow("num_groups", "weight", "bias", "eps")
            return [
                groupNorm(
                    try call.tensor(0), groups: try call.int(1, "num_groups"), weight: try call.optionalTensor(2, "weight"),
                    bias: try call.optionalTensor(3, "bias"), eps: try call.double(4, "eps", or: 1e-5))
            ]
        },
        "native_group_norm": { call in
            let x = try call.tensor(0), eps = try call.double(7, "eps", or: 1e-5), groups = try call.int(6, "group")
            let y = groupNorm(
                x, groups: groups, weight: try call.optionalTensor(1, "weight"), bias: try call.optionalTensor(2, "bias"),
                eps: eps)
            // The statistics have gradients of their own.
            let flat = x.reshaped([x.shape[0], groups, -1])
            return [y, flat.mean(-1), rsqrt(flat.variance(-1, correction: 0) + eps)]
        },
        "nn.functional.instance_norm": { call in
            try call.allow("running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps")
            var statistics = running(try call.optionalTensor(1, "running_mean"), try call.optionalTensor(2, "running_var"))
            return [
                instanceNorm(
                    try call.tensor(0), running: &statistics, weight: try call.optionalTensor(3, "weight"),
                    bias: try call.optionalTensor(4, "bias"), useInputStatistics: call.bool(5, "use_input_stats", or: true),
                    momentum: try call.double(6, "momentum", or: 0.1), eps: try call.double(7, "eps", or: 1e-5))
            ]
        },
        "nn.functional.local_response_norm": { call in
            try call.allow("size", "alpha", "beta", "k")
            return [
                localResponseNorm(
                    try call.tensor(0), size: try call.int(1, "size"), alpha: try call.double(2, "alpha", or: 1e-4),
                    beta: try call.double(3, "beta", or: 0.75), k: try call.double(4, "k", or: 1))
            ]
        },
        "nn.functional.layer_norm": { call in
            try call.allow("eps", "weight", "bias")
            return [
                layerNorm(
                    try call.tensor(0), normalizedShape: try call.ints(1, "normalized_shape"),
                    weight: try call.optionalTensor(2, "weight"), bias: try call.optionalTensor(3, "bias"),
                    eps: try call.double(4, "eps", or: 1e-5))
            ]
        },
        "native_layer_norm": { call in
            let x = try call.tensor(0), shape = try call.ints(1, "normalized_shape"), eps = try call.double(4, "eps", or: 1e-5)
            let y = layerNorm(
                x, normalizedShape: shape, weight: try call.optionalTensor(2, "weight"), bias: try call.optionalTensor(3, "bias"),
                eps: eps)
            let axes = Axes(Array((x.rank - shape.count)..<x.rank)), values = x
            let variance = values.variance(axes, correction: 0, keepDims: true)
            return [y, values.mean(axes, keepDims: true), rsqrt(variance + eps)]
        },
        "nn.functional.rms_norm": { call in
            try call.allow("eps", "weight")
            let x = try call.tensor(0), shape = try call.ints(1, "normalized_shape")
            // PyTorch's standard eps is the type's machine epsilon.
            let isDouble = x.dtype == .float64 || x.dtype == .complex128
            let standard = isDouble ? Double.ulpOfOne : Double(Float.ulpOfOne)
            return [
                rmsNorm(
                    x, normalizedShape: shape, weight: try call.optionalTensor(2, "weight"),
                    eps: try call.double(3, "eps", or: standard))
            ]
        },
    ]
}
