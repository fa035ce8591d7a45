import ComplexModule
import Tapestry

extension OpTable {
    static let elementwise: [String: Function] = [
        "abs": one { abs($0) }, "neg": one { -$0 }, "sign": one { sign($0) }, "square": one { square($0) },
        "reciprocal": one { reciprocal($0) }, "sqrt": one { sqrt($0) }, "rsqrt": one { rsqrt($0) },
        "exp": one { exp($0) }, "exp2": one { exp2($0) }, "expm1": one { expm1($0) },
        "log": one { log($0) }, "log2": one { log2($0) }, "log10": one { log10($0) }, "log1p": one { log1p($0) },
        "sin": one { sin($0) }, "cos": one { cos($0) }, "tan": one { tan($0) }, "asin": one { asin($0) },
        "acos": one { acos($0) }, "atan": one { atan($0) }, "sinh": one { sinh($0) }, "cosh": one { cosh($0) },
        "tanh": one { tanh($0) }, "sigmoid": one { sigmoid($0) }, "erf": one { erf($0) }, "erfc": one { erfc($0) },
        "floor": one { floor($0) }, "ceil": one { ceil($0) }, "trunc": one { trunc($0) },
        "isnan": one { $0.isNaN }, "isinf": one { $0.isInfinite }, "isfinite": one { $0.isFinite },
        "round": one { round($0) },
        "nn.functional.relu": one { relu($0) }, "nn.functional.silu": one { silu($0) },
        "nn.functional.logsigmoid": one { logSigmoid($0) },
        "nn.functional.gelu": { call in
            try call.allow("approximate")
            guard let form = GELUApproximation(rawValue: call.string(1, "approximate", or: "none")) else {
                throw GoldenError("no such approximation")
            }
            return [gelu(try call.tensor(0), approximate: form)]
        },
        "nn.functional.elu": { call in
            try call.allow("alpha")
            return [elu(try call.tensor(0), alpha: try call.double(1, "alpha", or: 1))]
        },
        "nn.functional.leaky_relu": { call in
            try call.allow("negative_slope")
            return [leakyReLU(try call.tensor(0), negativeSlope: try call.double(1, "negative_slope", or: 0.01))]
        },
        "nn.functional.softplus": { call in
            try call.allow("beta", "threshold")
            if !call.has("beta") && !call.has("threshold") { return [softplus(try call.tensor(0))] }
            return [
                softplus(
                    try call.tensor(0), beta: try call.double(1, "beta", or: 1),
                    threshold: try call.double(2, "threshold", or: 20))
            ]
        },
        "add": { try scaled($0, 1) }, "sub": { try scaled($0, -1) },
        "mul": two { $0 * $1 }, "div": two { $0 / $1 }, "true_divide": two { $0 / $1 },
        "__radd__": two { $1 + $0 }, "__rsub__": two { $1 - $0 }, "__rmul__": two { $1 * $0 }, "__rdiv__": two { $1 / $0 },
        "pow": two { pow($0, $1) }, "maximum": twoTensors { maximum($0, $1) }, "minimum": twoTensors { minimum($0, $1) },
        "remainder": two { remainder($0, $1) }, "floor_divide": two { floorDivide($0, $1) },
        "atan2": twoTensors { atan2($0, $1) },
        "eq": two { $0 .== $1 }, "ne": two { $0 .!= $1 }, "lt": two { $0 .< $1 }, "le": two { $0 .<= $1 },
        "gt": two { $0 .> $1 }, "ge": two { $0 .>= $1 },
        "where": { call in
            guard case .tensor(let condition) = call.value(1) else { throw Unsupported("no condition") }
            return [which(condition, try call.tensor(0), try call.tensor(2))]
        },
        "masked_fill": { call in
            let x = try call.tensor(0), mask = try call.tensor(1)
            switch call.value(2) {
            case .int(let i): return [x.maskedFill(mask, i)]
            case .float(let f): return [x.maskedFill(mask, f)]
            case .bool(let b): return [x.maskedFill(mask, b)]
            case .complex(let re, let im): return [x.maskedFill(mask, Complex(re, im))]
            case .tensor(let t): return [x.maskedFill(mask, t)]
            default: throw Unsupported("a value of this kind")
            }
        },
        "clamp": { call in
            var x = try call.tensor(0)
            for (position, name) in [(1, "min"), (2, "max")] {
                switch call.value(position, name) {
                case .none: continue
                case .tensor(let bound): x = position == 1 ? maximum(x, bound) : minimum(x, bound)
                default:
                    let bound = try call.double(position, name, or: 0)
                    x = position == 1 ? x.clamped(min: bound) : x.clamped(max: bound)
                }
            }
            return [x]
        },
    ]
}
