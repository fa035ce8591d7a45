import Tapestry

extension ModuleTable {
    /// Linear maps, normalisation of rows.
    static let simple: [String: Maker] = [
        "Linear": { o in
            try o.allow("in_features", "out_features", "bias")
            let layer = Linear(
                try o.call.int(0, "in_features"), try o.call.int(1, "out_features"), bias: o.call.bool(2, "bias", or: true),
                dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias])
        },
        "LayerNorm": { o in
            try o.allow("normalized_shape", "eps", "elementwise_affine", "bias")
            let layer = LayerNorm(
                try shape(o), eps: try o.call.double(1, "eps", or: 1e-5), affine: o.call.bool(2, "elementwise_affine", or: true),
                bias: o.call.bool(3, "bias", or: true), dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight, "bias": layer.bias])
        },
        "RMSNorm": { o in
            try o.allow("normalized_shape", "eps", "elementwise_affine")
            let standard = o.dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
            let layer = RMSNorm(
                try shape(o), eps: try o.call.double(1, "eps", or: standard),
                affine: o.call.bool(2, "elementwise_affine", or: true),
                dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight])
        },
    ]

    private static func shape(_ o: ModuleOptions) throws -> [Int] {
        if case .int(let i) = o.call.value(0, "normalized_shape") { return [i] }
        return try o.call.ints(0, "normalized_shape")
    }

    private static func plain(_ make: @escaping @Sendable () -> any Layer) -> Maker {
        { o in
            try o.allow("inplace")
            return GoldenModule(make())
        }
    }

    private static func withNumber(_ name: String, _ standard: Double, _ make: @escaping @Sendable (Double) -> any Layer) -> Maker
    {
        { o in
            try o.allow(name, "inplace")
            return GoldenModule(make(try o.call.double(0, name, or: standard)))
        }
    }

    private static func withAxis(_ make: @escaping @Sendable (Int) -> any Layer) -> Maker {
        { o in
            try o.allow("dim")
            return GoldenModule(make(try o.call.int(0, "dim", or: -1)))
        }
    }

    /// Elementwise functions and softmax.
    static let activations: [String: Maker] = [
        "ReLU": plain { ReLU() }, "SiLU": plain { SiLU() }, "Tanh": plain { Tanh() }, "Sigmoid": plain { Sigmoid() },
        "SELU": plain { SELU() }, "ReLU6": plain { ReLU6() }, "Hardswish": plain { Hardswish() },
        "Hardsigmoid": plain { Hardsigmoid() }, "Tanhshrink": plain { Tanhshrink() }, "Mish": plain { Mish() },
        "Softsign": plain { Softsign() }, "LogSigmoid": plain { LogSigmoid() }, "Softmax2d": plain { Softmax2d() },
        "LeakyReLU": withNumber("negative_slope", 0.01) { LeakyReLU(negativeSlope: $0) },
        "ELU": withNumber("alpha", 1) { ELU(alpha: $0) }, "CELU": withNumber("alpha", 1) { CELU(alpha: $0) },
        "Hardshrink": withNumber("lambd", 0.5) { Hardshrink(lambda: $0) },
        "Softshrink": withNumber("lambd", 0.5) { Softshrink(lambda: $0) },
        "Softmax": withAxis { Softmax(axis: $0) }, "LogSoftmax": withAxis { LogSoftmax(axis: $0) },
        "Softmin": withAxis { Softmin(axis: $0) }, "GLU": withAxis { GLU(axis: $0) },
        "GELU": { o in
            try o.allow("approximate")
            return GoldenModule(GELU(approximate: o.call.string(0, "approximate", or: "none") == "tanh" ? .tanh : .none))
        },
        "Hardtanh": { o in
            try o.allow("min_val", "max_val", "inplace")
            return GoldenModule(
                Hardtanh(min: try o.call.double(0, "min_val", or: -1), max: try o.call.double(1, "max_val", or: 1)))
        },
        "Softplus": { o in
            try o.allow("beta", "threshold")
            return GoldenModule(
                Softplus(beta: try o.call.double(0, "beta", or: 1), threshold: try o.call.double(1, "threshold", or: 20)))
        },
        "Threshold": { o in
            try o.allow("threshold", "value", "inplace")
            return GoldenModule(
                Threshold(try o.call.double(0, "threshold", or: 0), value: try o.call.double(1, "value", or: 0)))
        },
        "PReLU": { o in
            try o.allow("num_parameters", "init")
            let layer = PReLU(
                try o.call.int(0, "num_parameters", or: 1), start: try o.call.double(1, "init", or: 0.25), dtype: o.dtype)
            return GoldenModule(layer, parameters: ["weight": layer.weight])
        },
    ]
}
