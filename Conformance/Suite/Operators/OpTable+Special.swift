import ComplexModule
import Tapestry

extension OpTable {
    /// A tensor, or a number as weak beside the other operand.
    static func pair(_ call: GoldenCall, _ first: Int = 0, _ second: Int = 1, _ name: String = "other") throws -> (Tensor, Tensor)
    {
        switch (call.value(first), call.value(second, name)) {
        case (.tensor(let a), .int(let b)): (a, weak(b, beside: a))
        case (.tensor(let a), .float(let b)): (a, weak(b, beside: a))
        case (.tensor(let a), .bool(let b)): (a, weak(b, beside: a))
        case (.tensor(let a), .complex(let re, let im)): (a, weak(Complex(re, im), beside: a))
        case (.int, _), (.float, _), (.bool, _), (.complex, _): throw GoldenError("a number where a tensor is due")
        default: (try call.tensor(first), try call.tensor(second, name))
        }
    }

    static func number(_ f: @escaping @Sendable (Tensor, Double) -> Tensor, _ name: String, or standard: Double) -> Function {
        { call in
            try call.allow(name)
            return [f(try call.tensor(0), try call.double(1, name, or: standard))]
        }
    }

    static let special: [String: Function] = [
        "asinh": one { asinh($0) }, "acosh": one { acosh($0) }, "atanh": one { atanh($0) },
        "arcsinh": one { asinh($0) }, "arccosh": one { acosh($0) }, "arctanh": one { atanh($0) },
        "lgamma": one { lgamma($0) }, "digamma": one { digamma($0) }, "erfinv": one { erfinv($0) },
        "special.erfcx": one { erfcx($0) }, "special.ndtr": one { ndtr($0) }, "special.ndtri": one { ndtri($0) },
        "special.log_ndtr": one { logNdtr($0) }, "i0": one { i0($0) }, "special.i0e": one { i0e($0) },
        "special.i1": one { i1($0) },
        "special.i1e": one { i1e($0) }, "special.entr": one { entr($0) }, "sinc": one { sinc($0) },
        "polygamma": { [polygamma(try $0.int(0), try $0.tensor(1))] },
        "special.polygamma": { call in
            if case .tensor(let x) = call.value(0) { return [polygamma(try call.int(1), x)] }
            return [polygamma(try call.int(0), try call.tensor(1))]
        },
        "mvlgamma": { [multivariateLgamma(try $0.tensor(0), dimension: try $0.int(1, "p"))] },
        "special.zeta": two { zeta($0, $1) }, "xlogy": two { xlogy($0, $1) }, "special.xlog1py": two { xlog1py($0, $1) },
        "logaddexp": twoTensors { logAddExp($0, $1) }, "logaddexp2": twoTensors { logAddExp2($0, $1) },
        "hypot": twoTensors { hypot($0, $1) },
        "fmod": two { fmod($0, $1) }, "copysign": two { copySign($0, $1) }, "nextafter": twoTensors { nextAfter($0, $1) },
        "heaviside": twoTensors { heaviside($0, $1) }, "fmax": twoTensors { fmax($0, $1) }, "fmin": twoTensors { fmin($0, $1) },
        "gcd": twoTensors { gcd($0, $1) }, "lcm": twoTensors { lcm($0, $1) }, "ldexp": two { ldexp($0, $1) },
        "bitwise_left_shift": two { leftShift($0, $1) }, "bitwise_right_shift": two { rightShift($0, $1) },
        "bitwise_and": two { $0 .& $1 }, "bitwise_or": two { $0 .| $1 }, "bitwise_xor": two { $0 .^ $1 },
        "bitwise_not": one { .!$0 },
        "__rand__": two { $1 .& $0 }, "__ror__": two { $1 .| $0 }, "__rxor__": two { $1 .^ $0 },
        "logical_and": twoTensors { $0.to(.bool) .& $1.to(.bool) }, "logical_or": twoTensors { $0.to(.bool) .| $1.to(.bool) },
        "logical_xor": twoTensors { $0.to(.bool) .^ $1.to(.bool) }, "logical_not": one { .!($0.to(.bool)) },
        "div.floor_rounding": { call in
            let (a, b) = try pair(call)
            return [floorDivide(a, b)]
        },
        "div.trunc_rounding": { call in
            let (a, b) = try pair(call)
            return [truncatedDivide(a, b)]
        },
        "float_power": { call in
            let (a, b) = try pair(call)
            let type: DType = a.dtype.isComplex || b.dtype.isComplex ? .complex128 : .float64
            return [pow(a.to(type), b.to(type))]
        },
        "__rpow__": two { pow($1, $0) }, "__rmod__": two { remainder($1, $0) },
        "rsub": { call in
            try call.allow("alpha")
            let (a, b) = try pair(call)
            switch call.value(9, "alpha") {
            case .none, .int(1): return [b - a]
            case .int(let i): return [b - a * i]
            case .complex(let re, let im): return [b - a * Complex(re, im)]
            default: return [b - a * (try call.double(9, "alpha", or: 1))]
            }
        },
        "lerp": { call in
            let a = try call.tensor(0), b = try call.tensor(1)
            if case .tensor(let w) = call.value(2, "weight") { return [lerp(a, b, weight: w)] }
            return [lerp(a, b, weight: try call.double(2, "weight", or: 0))]
        },
        "addcmul": { call in
            try call.allow("value")
            let a = try call.tensor(0), b = try call.tensor(1), c = try call.tensor(2)
            switch call.value(9, "value") {
            case .none: return [addcmul(a, b, c)]
            case .int(let v): return [addcmul(a, b, c, value: v)]
            case .complex(let re, let im): return [addcmul(a, b, c, value: Complex(re, im))]
            default: return [addcmul(a, b, c, value: try call.double(9, "value", or: 1))]
            }
        },
        "addcdiv": { call in
            try call.allow("value")
            let a = try call.tensor(0), b = try call.tensor(1), c = try call.tensor(2)
            if case .complex(let re, let im) = call.value(9, "value") { return [addcdiv(a, b, c, value: Complex(re, im))] }
            return [addcdiv(a, b, c, value: try call.double(9, "value", or: 1))]
        },
        "frac": one { frac($0) }, "signbit": one { $0.signBit }, "isreal": one { $0.isReal }, "positive": one { $0 },
        "isposinf": one { $0.isPositiveInfinity }, "isneginf": one { $0.isNegativeInfinity }, "sgn": one { sign($0) },
        "nan_to_num": { call in
            try call.allow("nan", "posinf", "neginf")
            let x = try call.tensor(0)
            func optional(_ i: Int, _ name: String) throws -> Double? {
                if case .none = call.value(i, name) { return nil }
                return try call.double(i, name, or: 0)
            }
            return [
                x.replacingNonFinite(
                    nan: try call.double(1, "nan", or: 0), positiveInfinity: try optional(2, "posinf"),
                    negativeInfinity: try optional(3, "neginf"))
            ]
        },
        "round.decimals_0": { [round(try $0.tensor(0), decimals: try $0.int(1, "decimals", or: 0))] },
        "round.decimals_3": { [round(try $0.tensor(0), decimals: try $0.int(1, "decimals", or: 0))] },
        "round.decimals_neg_3": { [round(try $0.tensor(0), decimals: try $0.int(1, "decimals", or: 0))] },
        "rad2deg": one { degrees(fromRadians: $0) }, "deg2rad": one { radians(fromDegrees: $0) },
        "logit": { call in
            if case .none = call.value(1, "eps") { return [logit(try call.tensor(0))] }
            return [logit(try call.tensor(0), epsilon: try call.double(1, "eps", or: 0))]
        },
        "clamp_min": two { maximum($0, $1) }, "clamp_max": two { minimum($0, $1) },
        "isclose": { call in
            try call.allow("rtol", "atol", "equal_nan")
            guard case .tensor = call.value(0), case .tensor = call.value(1) else { throw GoldenError("takes tensors alone") }
            return [
                try call.tensor(0).closeElements(
                    to: try call.tensor(1), rtol: try call.double(2, "rtol", or: 1e-5),
                    atol: try call.double(3, "atol", or: 1e-8),
                    equalNaN: call.bool(4, "equal_nan"))
            ]
        },
        "allclose": { call in
            try call.allow("rtol", "atol", "equal_nan")
            return [
                Tensor(
                    try call.tensor(0).isClose(
                        to: try call.tensor(1), rtol: try call.double(2, "rtol", or: 1e-5),
                        atol: try call.double(3, "atol", or: 1e-8),
                        equalNaN: call.bool(4, "equal_nan")))
            ]
        },
        "equal": { call in [Tensor(try call.tensor(0).isEqual(to: try call.tensor(1)))] },

        // Complex numbers
        "real": one { $0.real }, "imag": one { $0.imaginary }, "conj": one { conj($0) }, "conj_physical": one { conj($0) },
        "resolve_conj": one { $0 }, "resolve_neg": one { $0 }, "angle": one { angle($0) },
        "view_as_real": one { $0.viewAsReal }, "view_as_complex": one { $0.viewAsComplex },
        "complex": two { complex(real: $0, imaginary: $1) }, "polar": two { polar(magnitude: $0, angle: $1) },
        "H": one { $0.rank < 2 ? conj($0) : $0.adjoint }, "mH": one { $0.adjoint }, "mT": one { $0.T },
        "T": one { $0.rank < 2 ? $0 : $0.permuted(Array((0..<$0.rank).reversed())) }, "adjoint": one { $0.adjoint },

        // Activations
        "nn.functional.relu6": one { relu6($0) }, "nn.functional.selu": one { selu($0) }, "nn.functional.mish": one { mish($0) },
        "nn.functional.hardswish": one { hardswish($0) }, "nn.functional.hardsigmoid": one { hardsigmoid($0) },
        "nn.functional.softsign": one { softsign($0) }, "nn.functional.tanhshrink": one { tanhshrink($0) },
        "nn.functional.celu": number({ celu($0, alpha: $1) }, "alpha", or: 1),
        "nn.functional.softshrink": number({ softshrink($0, lambda: $1) }, "lambd", or: 0.5),
        "nn.functional.hardshrink": number({ hardshrink($0, lambda: $1) }, "lambd", or: 0.5),
        "nn.functional.hardtanh": { call in
            try call.allow("min_val", "max_val")
            let x = try call.tensor(0)
            var low = try call.double(1, "min_val", or: -1), high = try call.double(2, "max_val", or: 1)
            // PyTorch cuts the bounds of integers.
            if x.dtype.isInteger { (low, high) = (low.rounded(.towardZero), high.rounded(.towardZero)) }
            return [hardtanh(x, min: low, max: high)]
        },
        "nn.functional.threshold": { call in
            [
                thresholded(
                    try call.tensor(0), threshold: try call.double(1, "threshold", or: 0),
                    value: try call.double(2, "value", or: 0))
            ]
        },
        "nn.functional.prelu": { [prelu(try $0.tensor(0), slope: try $0.tensor(1, "weight"))] },
        "nn.functional.glu": { [glu(try $0.tensor(0), axis: try $0.int(1, "dim", or: -1))] },
        "nn.functional.rrelu": { call in
            if call.bool(9, "training") { throw Unsupported("random numbers of another generator") }
            return [
                rrelu(
                    try call.tensor(0), lower: try call.double(1, "lower", or: 1.0 / 8),
                    upper: try call.double(2, "upper", or: 1.0 / 3))
            ]
        },
        "nn.functional.softmin": { [softmin(try typedInput($0), axis: try $0.int(1, "dim"))] },
    ]
}
