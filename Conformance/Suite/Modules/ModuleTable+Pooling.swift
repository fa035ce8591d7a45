import Tapestry

extension ModuleTable {
    private typealias Pool =
        @Sendable (SpatialSizes, SpatialSizes?, SpatialSizes, SpatialSizes, Bool) -> (
            any Layer, (Tensor) -> (values: Tensor, indices: Tensor)
        )

    private static func maxPool(_ make: @escaping Pool) -> Maker {
        { o in
            try o.allow("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")
            let (layer, both) = make(
                try o.call.needed(0, "kernel_size"), try o.call.sizes(1, "stride"), try o.call.sizes(2, "padding", or: 0),
                try o.call.sizes(3, "dilation", or: 1), o.call.bool(5, "ceil_mode"))
            if !o.call.bool(4, "return_indices") { return GoldenModule(layer) }
            return GoldenModule(layer) { call in
                let (y, indices) = both(try call.tensor(0, "input"))
                return ["out.0": y, "out.1": indices]
            }
        }
    }

    private static func averagePool(
        _ make: @escaping @Sendable (SpatialSizes, SpatialSizes?, SpatialSizes, Bool, Bool, Int?) -> any Layer
    ) -> Maker {
        { o in
            try o.allow("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
            var divisor: Int?
            if case .int(let i) = o.call.value(5, "divisor_override") { divisor = i }
            return GoldenModule(
                make(
                    try o.call.needed(0, "kernel_size"), try o.call.sizes(1, "stride"), try o.call.sizes(2, "padding", or: 0),
                    o.call.bool(3, "ceil_mode"), o.call.bool(4, "count_include_pad", or: true), divisor))
        }
    }

    private static func powerPool(_ make: @escaping @Sendable (Double, SpatialSizes, SpatialSizes?, Bool) -> any Layer) -> Maker {
        { o in
            try o.allow("norm_type", "kernel_size", "stride", "ceil_mode")
            return GoldenModule(
                make(
                    try o.call.double(0, "norm_type", or: 2), try o.call.needed(1, "kernel_size"), try o.call.sizes(2, "stride"),
                    o.call.bool(3, "ceil_mode")))
        }
    }

    private static func adaptiveAverage(_ make: @escaping @Sendable (AdaptiveSizes) -> any Layer) -> Maker {
        { o in
            try o.allow("output_size")
            return GoldenModule(make(try o.call.adaptive(0)))
        }
    }

    private static func adaptiveMax(
        _ make: @escaping @Sendable (AdaptiveSizes) -> (any Layer, (Tensor) -> (values: Tensor, indices: Tensor))
    ) -> Maker {
        { o in
            try o.allow("output_size", "return_indices")
            let (layer, both) = make(try o.call.adaptive(0))
            if !o.call.bool(1, "return_indices") { return GoldenModule(layer) }
            return GoldenModule(layer) { call in
                let (y, indices) = both(try call.tensor(0, "input"))
                return ["out.0": y, "out.1": indices]
            }
        }
    }

    /// Pooling.
    static let pooling: [String: Maker] = [
        "MaxPool1d": maxPool {
            let layer = MaxPool1d(kernelSize: $0, stride: $1, padding: $2, dilation: $3, ceilMode: $4)
            return (layer, layer.withIndices)
        },
        "AvgPool1d": averagePool { kernel, stride, padding, ceil, counts, _ in
            AvgPool1d(kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil, countIncludePad: counts)
        },
        "LPPool1d": powerPool { LPPool1d(norm: $0, kernelSize: $1, stride: $2, ceilMode: $3) },
        "AdaptiveAvgPool1d": adaptiveAverage { AdaptiveAvgPool1d($0) },
        "AdaptiveMaxPool1d": adaptiveMax {
            let layer = AdaptiveMaxPool1d($0)
            return (layer, layer.withIndices)
        },
        "MaxUnpool1d": { o in
            try o.allow("kernel_size", "stride", "padding")
            let layer = MaxUnpool1d(
                kernelSize: try o.call.needed(0, "kernel_size"), stride: try o.call.sizes(1, "stride"),
                padding: try o.call.sizes(2, "padding", or: 0))
            return GoldenModule(layer) { call in
                var size: [Int]?
                if case .list = call.value(2, "output_size") { size = Array(try call.ints(2, "output_size").suffix(1)) }
                return ["out": layer(try call.tensor(0, "input"), indices: try call.tensor(1, "indices"), outputSize: size)]
            }
        },
        "MaxPool2d": maxPool {
            let layer = MaxPool2d(kernelSize: $0, stride: $1, padding: $2, dilation: $3, ceilMode: $4)
            return (layer, layer.withIndices)
        },
        "AvgPool2d": averagePool {
            AvgPool2d(
                kernelSize: $0, stride: $1, padding: $2, ceilMode: $3, countIncludePad: $4, divisorOverride: $5)
        },
        "LPPool2d": powerPool { LPPool2d(norm: $0, kernelSize: $1, stride: $2, ceilMode: $3) },
        "AdaptiveAvgPool2d": adaptiveAverage { AdaptiveAvgPool2d($0) },
        "AdaptiveMaxPool2d": adaptiveMax {
            let layer = AdaptiveMaxPool2d($0)
            return (layer, layer.withIndices)
        },
        "MaxUnpool2d": { o in
            try o.allow("kernel_size", "stride", "padding")
            let layer = MaxUnpool2d(
                kernelSize: try o.call.needed(0, "kernel_size"), stride: try o.call.sizes(1, "stride"),
                padding: try o.call.sizes(2, "padding", or: 0))
            return GoldenModule(layer) { call in
                var size: [Int]?
                if case .list = call.value(2, "output_size") { size = Array(try call.ints(2, "output_size").suffix(2)) }
                return ["out": layer(try call.tensor(0, "input"), indices: try call.tensor(1, "indices"), outputSize: size)]
            }
        },
        "MaxPool3d": maxPool {
            let layer = MaxPool3d(kernelSize: $0, stride: $1, padding: $2, dilation: $3, ceilMode: $4)
            return (layer, layer.withIndices)
        },
        "AvgPool3d": averagePool {
            AvgPool3d(
                kernelSize: $0, stride: $1, padding: $2, ceilMode: $3, countIncludePad: $4, divisorOverride: $5)
        },
        "LPPool3d": powerPool { LPPool3d(norm: $0, kernelSize: $1, stride: $2, ceilMode: $3) },
        "AdaptiveAvgPool3d": adaptiveAverage { AdaptiveAvgPool3d($0) },
        "AdaptiveMaxPool3d": adaptiveMax {
            let layer = AdaptiveMaxPool3d($0)
            return (layer, layer.withIndices)
        },
        "MaxUnpool3d": { o in
            try o.allow("kernel_size", "stride", "padding")
            let layer = MaxUnpool3d(
                kernelSize: try o.call.needed(0, "kernel_size"), stride: try o.call.sizes(1, "stride"),
                padding: try o.call.sizes(2, "padding", or: 0))
            return GoldenModule(layer) { call in
                var size: [Int]?
                if case .list = call.value(2, "output_size") { size = Array(try call.ints(2, "output_size").suffix(3)) }
                return ["out": layer(try call.tensor(0, "input"), indices: try call.tensor(1, "indices"), outputSize: size)]
            }
        },
    ]

    private static func pad(_ make: @escaping @Sendable (SpatialSizes) -> any Layer) -> Maker {
        { o in
            try o.allow("padding")
            return GoldenModule(make(try o.call.needed(0, "padding")))
        }
    }

    private static func constantPad(_ make: @escaping @Sendable (SpatialSizes, Double) -> any Layer) -> Maker {
        { o in
            try o.allow("padding", "value")
            return GoldenModule(make(try o.call.needed(0, "padding"), try o.call.double(1, "value", or: 0)))
        }
    }

    /// Padding.
    static let padding: [String: Maker] = [
        "ZeroPad1d": pad { ZeroPad1d($0) },
        "ReflectionPad1d": pad { ReflectionPad1d($0) },
        "ReplicationPad1d": pad { ReplicationPad1d($0) },
        "CircularPad1d": pad { CircularPad1d($0) },
        "ConstantPad1d": constantPad { ConstantPad1d($0, value: $1) },
        "ZeroPad2d": pad { ZeroPad2d($0) },
        "ReflectionPad2d": pad { ReflectionPad2d($0) },
        "ReplicationPad2d": pad { ReplicationPad2d($0) },
        "CircularPad2d": pad { CircularPad2d($0) },
        "ConstantPad2d": constantPad { ConstantPad2d($0, value: $1) },
        "ZeroPad3d": pad { ZeroPad3d($0) },
        "ReflectionPad3d": pad { ReflectionPad3d($0) },
        "ReplicationPad3d": pad { ReplicationPad3d($0) },
        "CircularPad3d": pad { CircularPad3d($0) },
        "ConstantPad3d": constantPad { ConstantPad3d($0, value: $1) },
    ]
}
