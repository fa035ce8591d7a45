import Tapestry
import TestSupport

/// PyTorch's operator names, with the call that does the same here.
enum OpTable {
    typealias Function = @Sendable (GoldenCall) throws -> [Tensor]

    static let functions: [String: Function] =
        elementwise.merging(reductions, uniquingKeysWith: refuse).merging(structure, uniquingKeysWith: refuse)
        .merging(model, uniquingKeysWith: refuse)

    @Sendable private static func refuse(_ a: @escaping Function, _: @escaping Function) -> Function {
        preconditionFailure("an operator is in the table twice")
    }

    private static func one(_ f: @escaping @Sendable (Tensor) -> Tensor) -> Function {
        { call in
            try call.allow()
            return [f(try call.tensor(0))]
        }
    }

    private static func two(_ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> Function {
        { call in
            try call.allow("other")
            // A Python number beside a tensor is weak, as a Swift number is here.
            switch (call.value(0), call.value(1, "other")) {
            case (.tensor(let a), .int(let b)): return [f(a, weak(b, beside: a))]
            case (.tensor(let a), .float(let b)): return [f(a, weak(b, beside: a))]
            case (.int, .int): throw Unsupported("two numbers")
            default: return [f(try call.tensor(0), try call.tensor(1, "other"))]
            }
        }
    }

    private static func weak<S: TensorScalar>(_ number: S, beside tensor: Tensor) -> Tensor {
        Tensor(number, dtype: S.dtypeBeside(tensor.dtype))
    }

    private static func scaled(_ call: GoldenCall, _ sign: Double) throws -> [Tensor] {
        try call.allow("other", "alpha")
        let a = try call.tensor(0), b = try call.tensor(1, "other")
        let alpha = try call.double(9, "alpha", or: 1)
        let factor = sign * alpha
        if factor == 1 { return [a + b] }
        if factor == -1 { return [a - b] }
        return [factor == factor.rounded() ? a + b * Int(factor) : a + b * factor]
    }

    private static let elementwise: [String: Function] = [
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
            return [gelu(try call.tensor(0), approximate: call.string(1, "approximate", or: "none") == "tanh" ? .tanh : .none)]
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
        "pow": two { pow($0, $1) }, "maximum": two { maximum($0, $1) }, "minimum": two { minimum($0, $1) },
        "remainder": two { remainder($0, $1) }, "floor_divide": two { floorDivide($0, $1) }, "atan2": two { atan2($0, $1) },
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
            case .tensor(let t): return [which(mask, t.to(x.dtype), x)]
            default: throw Unsupported("a complex number")
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

    private static func over(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "keepdim")
            return [f(try call.tensor(0), try call.axes(1), call.bool(2, "keepdim"))]
        }
    }

    private static func typed(_ f: @escaping @Sendable (Tensor, Axes, Bool) -> Tensor) -> Function {
        { call in
            try call.allow("dim", "keepdim", "dtype")
            var x = try call.tensor(0)
            if case .dtype(let name) = call.value(9, "dtype") {
                guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
                x = x.to(type)
            }
            return [f(x, try call.axes(1), call.bool(2, "keepdim"))]
        }
    }

    /// PyTorch alone gives `uint8` for any and all of `uint8`; NumPy and the library give bool.
    @Sendable private static func likePyTorch(_ x: Tensor, _ y: Tensor) -> Tensor { x.dtype == .uint8 ? y.to(.uint8) : y }

    private static func spread(_ call: GoldenCall, _ f: (Tensor, Axes, Double, Bool) -> Tensor) throws -> [Tensor] {
        try call.allow("dim", "keepdim", "unbiased", "correction")
        var axes = Axes.all
        var correction = 1.0
        if case .bool(let unbiased) = call.value(1, "unbiased") {
            correction = unbiased ? 1 : 0
            axes = try call.axes(9)
        } else {
            axes = try call.axes(1)
            if call.has("unbiased") { correction = call.bool(9, "unbiased") ? 1 : 0 }
        }
        if call.has("correction") { correction = try call.double(9, "correction", or: 1) }
        return [f(try call.tensor(0), axes, correction, call.bool(9, "keepdim"))]
    }

    private static let reductions: [String: Function] = [
        "sum": typed { $0.sum($1, keepDims: $2) }, "mean": typed { $0.mean($1, keepDims: $2) },
        "prod": typed { $0.prod($1, keepDims: $2) },
        "amax": over { $0.max($1, keepDims: $2) }, "amin": over { $0.min($1, keepDims: $2) },
        "any": over { likePyTorch($0, $0.any($1, keepDims: $2)) }, "all": over { likePyTorch($0, $0.all($1, keepDims: $2)) },
        "logsumexp": over { $0.logSumExp($1, keepDims: $2) },
        "var": { try spread($0) { $0.variance($1, correction: $2, keepDims: $3) } },
        "std": { try spread($0) { $0.standardDeviation($1, correction: $2, keepDims: $3) } },
        "argmax": { try extreme($0, { $0.argmax() }, { $0.argmax(axis: $1, keepDims: $2) }) },
        "argmin": { try extreme($0, { $0.argmin() }, { $0.argmin(axis: $1, keepDims: $2) }) },
        "cumsum": { call in
            try call.allow("dim", "dtype")
            let x = try call.tensor(0), axis = try call.int(1, "dim")
            guard case .dtype(let name) = call.value(9, "dtype") else { return [x.cumsum(axis: axis)] }
            guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
            return [x.to(type).cumsum(axis: axis).to(type)]
        },
    ]

    private static func extreme(
        _ call: GoldenCall, _ whole: (Tensor) -> Tensor, _ along: (Tensor, Int, Bool) -> Tensor
    ) throws -> [Tensor] {
        try call.allow("dim", "keepdim")
        let x = try call.tensor(0)
        if case .none = call.value(1, "dim") {
            let i = whole(x)
            return [call.bool(2, "keepdim") ? i.reshaped(x.shape.map { _ in 1 }) : i]
        }
        return [along(x, try call.int(1, "dim"), call.bool(2, "keepdim"))]
    }

    private static let structure: [String: Function] = [
        "reshape": { [try $0.tensor(0).reshaped(try $0.ints(1))] },
        "view": { call in
            if case .dtype = call.value(1) { throw Unsupported("views of another type") }
            return [try call.tensor(0).reshaped(try call.ints(1))]
        },
        "flatten": {
            [try $0.tensor(0).flattened(from: try $0.int(1, "start_dim", or: 0), through: try $0.int(2, "end_dim", or: -1))]
        },
        "unflatten": { [try $0.tensor(0).unflattened(try $0.int(1), into: try $0.ints(2))] },
        "squeeze": { call in
            if call.arguments.count == 1 { return [try call.tensor(0).squeezed()] }
            return [try call.tensor(0).squeezed(Axes(try call.ints(1)))]
        },
        "unsqueeze": { [try $0.tensor(0).unsqueezed(try $0.int(1))] },
        "permute": { [try $0.tensor(0).permuted(try $0.ints(1, "dims"))] },
        "transpose": { call in
            let x = try call.tensor(0)
            if x.rank == 0 { throw Unsupported("axes of a scalar") }
            return [x.transposed(try call.int(1), try call.int(2))]
        },
        "t": { call in
            let x = try call.tensor(0)
            return [x.rank < 2 ? x : x.T]
        },
        "expand": { [try expand($0)] }, "broadcast_to": { [try expand($0)] },
        "sum_to_size": { [try $0.tensor(0).summed(to: try $0.ints(1))] },
        "flip": { [try $0.tensor(0).flipped(Axes(try $0.ints(1, "dims")))] },
        "tril": { [try $0.tensor(0).tril(diagonal: try $0.int(1, "diagonal", or: 0))] },
        "triu": { [try $0.tensor(0).triu(diagonal: try $0.int(1, "diagonal", or: 0))] },
        "narrow": { [try $0.tensor(0).narrowed(axis: try $0.int(1), start: try $0.int(2), length: try $0.int(3))] },
        "select": { call in
            let x = try call.tensor(0), axis = try call.int(1)
            let lead = [TensorIndex](repeating: .all, count: axis < 0 ? axis + x.rank : axis)
            return [x.slice(lead + [.at(try call.int(2))])]
        },
        "split": { call in
            if case .list = call.value(1) {
                return try call.tensor(0).split(sizes: try call.ints(1), axis: try call.int(2, "dim", or: 0))
            }
            return try call.tensor(0).split(size: try call.int(1), axis: try call.int(2, "dim", or: 0))
        },
        "split_with_sizes": { try $0.tensor(0).split(sizes: try $0.ints(1), axis: try $0.int(2, "dim", or: 0)) },
        "chunk": { try $0.tensor(0).chunked(try $0.int(1), axis: try $0.int(2, "dim", or: 0)) },
        "cat": { [concatenate($0.value(0).tensors, axis: try $0.int(1, "dim", or: 0))] },
        "stack": { [stack($0.value(0).tensors, axis: try $0.int(1, "dim", or: 0))] },
        "gather": { [try $0.tensor(0).gathered(axis: try $0.int(1), index: try $0.tensor(2))] },
        "index_select": { [try $0.tensor(0).indexSelect(axis: try $0.int(1), index: try $0.tensor(2))] },
    ]

    private static func expand(_ call: GoldenCall) throws -> Tensor {
        let x = try call.tensor(0)
        var shape = try call.ints(1)
        let lead = shape.count - x.rank
        for i in shape.indices where shape[i] == -1 && i >= lead { shape[i] = x.shape[i - lead] }
        return x.expanded(to: shape)
    }

    private static func reduction(_ call: GoldenCall) throws -> Reduction {
        let name = call.string(9, "reduction", or: "mean")
        guard let reduction = Reduction(rawValue: name) else { throw Unsupported("reduction \(name)") }
        return reduction
    }

    /// Normalised axes as one: the library's norms take the last axis, which any number of trailing axes can be flattened to.
    private static func overTrailing(_ x: Tensor, _ shape: [Int], _ f: (Tensor) -> Tensor) -> Tensor {
        let lead = Array(x.shape.dropLast(shape.count))
        return f(x.reshaped(lead + [shape.reduce(1, *)])).reshaped(x.shape)
    }

    private static let model: [String: Function] = [
        "matmul": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mm": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "bmm": { [matmul(try $0.tensor(0), try $0.tensor(1))] }, "mv": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "dot": { [matmul(try $0.tensor(0), try $0.tensor(1))] },
        "__rmatmul__": { [matmul(try $0.tensor(1), try $0.tensor(0))] },
        "softmax": { [softmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "log_softmax": { [logSoftmax(try typedInput($0), axis: try $0.int(1, "dim"))] },
        "nn.functional.linear": { [linear(try $0.tensor(0), try $0.tensor(1), try $0.optionalTensor(2, "bias"))] },
        "nn.functional.embedding": { call in
            try call.allow("padding_idx")
            let table = try call.tensor(0)
            var padding: Int?
            if call.has("padding_idx") { padding = try call.int(9, "padding_idx") }
            if let p = padding, p < 0 { padding = p + table.shape[0] }
            return [embedding(try call.tensor(1), table, paddingIndex: padding)]
        },
        "nn.functional.layer_norm": { call in
            try call.allow("eps", "weight", "bias")
            let x = try call.tensor(0), shape = try call.ints(1)
            let eps = try call.double(4, "eps", or: 1e-5)
            if eps < 0 { throw Unsupported("a negative eps") }
            let weight = try call.optionalTensor(2, "weight")?.flattened(), bias = try call.optionalTensor(3, "bias")?.flattened()
            return [overTrailing(x, shape) { layerNorm($0, weight: weight, bias: bias, eps: eps) }]
        },
        "nn.functional.rms_norm": { call in
            try call.allow("eps", "weight")
            let x = try call.tensor(0), shape = try call.ints(1)
            // PyTorch's standard eps is the type's machine epsilon.
            let standard = x.dtype == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
            let eps = try call.double(3, "eps", or: standard)
            if eps < 0 { throw Unsupported("a negative eps") }
            let weight = try call.optionalTensor(2, "weight")?.flattened()
            return [overTrailing(x, shape) { rmsNorm($0, weight: weight, eps: eps) }]
        },
        "nn.functional.scaled_dot_product_attention": { call in
            try call.allow("attn_mask", "is_causal", "dropout_p", "enable_gqa", "scale")
            if try call.double(4, "dropout_p", or: 0) != 0 { throw Unsupported("dropout") }
            let q = try call.tensor(0), k = try call.tensor(1), v = try call.tensor(2)
            let mask = try call.optionalTensor(3, "attn_mask")
            let causal = call.bool(5, "is_causal")
            // PyTorch aligns the causal triangle to the first key, the library to the last, which agree for equal lengths.
            if causal && q.shape[q.rank - 2] != k.shape[k.rank - 2] { throw Unsupported("a causal mask that is not square") }
            let scale = call.has("scale") ? try call.double(9, "scale", or: 1) : nil
            func batched(_ x: Tensor) -> Tensor { x.rank == 3 ? x.unsqueezed(0) : x }
            let out = scaledDotProductAttention(batched(q), batched(k), batched(v), mask: mask, causal: causal, scale: scale)
            return [q.rank == 3 ? out.squeezed(0) : out]
        },
        "nn.functional.mse_loss": { call in
            try call.allow("reduction")
            return [mseLoss(try call.tensor(0), try call.tensor(1), reduction: try reduction(call))]
        },
        "nn.functional.l1_loss": { call in
            try call.allow("reduction")
            return [l1Loss(try call.tensor(0), try call.tensor(1), reduction: try reduction(call))]
        },
        "nn.functional.binary_cross_entropy_with_logits": { call in
            try call.allow("reduction", "weight", "pos_weight")
            return [
                bceWithLogits(
                    try call.tensor(0), try call.tensor(1), weight: try call.optionalTensor(9, "weight"),
                    positiveWeight: try call.optionalTensor(9, "pos_weight"), reduction: try reduction(call))
            ]
        },
        "nn.functional.cross_entropy": { call in
            try call.allow("reduction", "ignore_index", "label_smoothing")
            let x = try call.tensor(0), labels = try call.tensor(1)
            if !labels.dtype.isInteger { throw Unsupported("probabilities as targets") }
            return [
                crossEntropy(
                    x, labels, ignoreIndex: try call.int(9, "ignore_index", or: -100),
                    labelSmoothing: try call.double(9, "label_smoothing", or: 0), reduction: try reduction(call),
                    classAxis: x.rank == 1 ? 0 : 1)
            ]
        },
        "nn.functional.nll_loss": { call in
            try call.allow("reduction", "ignore_index")
            let x = try call.tensor(0)
            return [
                nllLoss(
                    x, try call.tensor(1), ignoreIndex: try call.int(9, "ignore_index", or: -100), reduction: try reduction(call),
                    classAxis: x.rank == 1 ? 0 : 1)
            ]
        },
    ]

    private static func typedInput(_ call: GoldenCall) throws -> Tensor {
        try call.allow("dim", "dtype")
        let x = try call.tensor(0)
        if case .dtype(let name) = call.value(2, "dtype") {
            guard let type = GoldenFile.dtype(name) else { throw Unsupported("type \(name)") }
            return x.to(type)
        }
        return x
    }
}
