import Tapestry

extension OnnxTable {
    static let elementwise: [String: OnnxOperator] = [
        "Abs": one { abs($0) }, "Neg": one { -$0 }, "Sign": one { sign($0) }, "Reciprocal": one { reciprocal($0) },
        "Sqrt": one { sqrt($0) }, "Exp": one { exp($0) }, "Log": one { log($0) }, "Erf": one { erf($0) },
        "Sin": one { sin($0) }, "Cos": one { cos($0) }, "Tan": one { tan($0) }, "Asin": one { asin($0) },
        "Acos": one { acos($0) }, "Atan": one { atan($0) }, "Sinh": one { sinh($0) }, "Cosh": one { cosh($0) },
        "Tanh": one { tanh($0) }, "Asinh": one { asinh($0) }, "Acosh": one { acosh($0) }, "Atanh": one { atanh($0) },
        "Floor": one { floor($0) }, "Ceil": one { ceil($0) }, "Round": one { round($0) }, "IsNaN": one { $0.isNaN },
        "Sigmoid": one { sigmoid($0) }, "Relu": one { relu($0) }, "Softplus": one { softplus($0) },
        "Softsign": one { softsign($0) },
        "HardSwish": one { hardswish($0) }, "Mish": one { mish($0) }, "Identity": { $0.inputs[0] },
        "Not": one { .!$0 },
        "Equal": two { $0 .== $1 }, "Greater": two { $0 .> $1 }, "GreaterOrEqual": two { $0 .>= $1 }, "Less": two { $0 .< $1 },
        "LessOrEqual": two { $0 .<= $1 }, "And": two { $0 .& $1 }, "Or": two { $0 .| $1 }, "Xor": two { $0 .^ $1 },
        "Add": two { $0 + $1 }, "Sub": two { $0 - $1 }, "Mul": two { $0 * $1 },
        "Div": two { $0.dtype.isInteger ? truncatedDivide($0, $1) : $0 / $1 },
        "Where": { which(try $0.x(0), try $0.x(1), try $0.x(2)) },
        "Max": { try folded($0) { maximum($0, $1) } }, "Min": { try folded($0) { minimum($0, $1) } },
        "Sum": { try folded($0) { $0 + $1 } },
        "Mean": { call in try folded(call) { $0 + $1 } / Double(call.inputs.count) },
        "Pow": two { base, exponent in
            // The result has the base's type.
            if base.dtype.isInteger && exponent.dtype.isFloatingPoint {
                return pow(base.to(.float64), exponent.to(.float64)).to(base.dtype)
            }
            return pow(base, exponent).to(base.dtype)
        },
        "Mod": { call in
            let a = try call.x(0), b = try call.x(1)
            return try call.flag("fmod") ? fmod(a, b) : remainder(a, b)
        },
        "Clip": { call in
            var x = try call.x()
            let type = x.dtype
            if let low = try call.optional(1) ?? (call.has("min") ? Tensor(try call.double("min", or: 0), dtype: type) : nil) {
                x = maximum(x, low)
            }
            if let high = try call.optional(2) ?? (call.has("max") ? Tensor(try call.double("max", or: 0), dtype: type) : nil) {
                x = minimum(x, high)
            }
            return x
        },
        "IsInf": { call in
            let x = try call.x()
            let negative = try call.flag("detect_negative", or: true), positive = try call.flag("detect_positive", or: true)
            switch (negative, positive) {
            case (true, true): return x.isInfinite
            case (true, false): return x.isNegativeInfinity
            case (false, true): return x.isPositiveInfinity
            case (false, false): return Tensor(zeros: x.shape, dtype: .bool)
            }
        },
        "Elu": { elu(try $0.x(), alpha: try $0.double("alpha", or: 1)) },
        "Celu": { celu(try $0.x(), alpha: try $0.double("alpha", or: 1)) },
        "Selu": { call in
            let alpha = try call.double("alpha", or: 1.67326319217681884765625)
            return elu(try call.x(), alpha: alpha) * (try call.double("gamma", or: 1.05070102214813232421875))
        },
        "LeakyRelu": { leakyReLU(try $0.x(), negativeSlope: try $0.double("alpha", or: 0.01)) },
        "ThresholdedRelu": { thresholded(try $0.x(), threshold: try $0.double("alpha", or: 1), value: 0) },
        "HardSigmoid": { call in
            (try call.x() * (try call.double("alpha", or: 0.2)) + (try call.double("beta", or: 0.5))).clamped(min: 0, max: 1)
        },
        "Gelu": { gelu(try $0.x(), approximate: try $0.string("approximate", or: "none") == "tanh" ? .tanh : .none) },
        "Swish": { call in
            let x = try call.x()
            return x * sigmoid(x * (try call.double("alpha", or: 1)))
        },
        "PRelu": { call in
            let x = try call.x()
            var slope = try call.x(1)
            if call.opset < 7 { slope = slope.facing(axis: 1, rank: x.rank) }
            return which(x .< 0, x * slope, x)
        },
        "Shrink": { call in
            let x = try call.x(), lambda = try call.double("lambd", or: 0.5), bias = try call.double("bias", or: 0)
            return which(x .< -lambda, x + bias, which(x .> lambda, x - bias, Tensor(zerosLike: x))).to(x.dtype)
        },
    ]

    /// All inputs combined from left to right.
    private static func folded(_ call: OnnxCall, _ f: (Tensor, Tensor) -> Tensor) throws -> Tensor {
        let tensors = try call.tensors
        return tensors.dropFirst().reduce(tensors[0], f)
    }
}
