import Tapestry

/// Normalisation, softmax and their like.
extension OnnxTable {
    static let normalization: [String: OnnxOperator] = [
        "BatchNormalization": { call in
            let x = try call.x(0), weight = try call.x(1), bias = try call.x(2), mean = try call.x(3), variance = try call.x(4)
            let eps = try call.double("epsilon", or: 1e-5)
            if !(try call.flag("training_mode")) {
                return batchNorm(x, mean: mean, variance: variance, weight: weight, bias: bias, eps: eps)
            }
            let keep = try call.double("momentum", or: 0.9)
            let y = batchNormWithStatistics(x, weight: weight, bias: bias, eps: eps)
            return outputs(
                y.output, mean * keep + y.mean.to(mean.dtype) * (1 - keep),
                variance * keep + y.variance.to(variance.dtype) * (1 - keep))
        },
        "InstanceNormalization": {
            instanceNorm(try $0.x(0), weight: try $0.x(1), bias: try $0.x(2), eps: try $0.double("epsilon", or: 1e-5))
        },
        "GroupNormalization": { call in
            let x = try call.x(0), groups = try call.int("num_groups", or: 1), each = x.shape[1] / groups
            // Before opset 21 there was a weight per group.
            func perChannel(_ w: Tensor) -> Tensor { call.opset < 21 ? w.repeatInterleaved(each, axis: 0) : w }
            return groupNorm(
                x, groups: groups, weight: perChannel(try call.x(1)), bias: perChannel(try call.x(2)),
                eps: try call.double("epsilon", or: 1e-5))
        },
        "LayerNormalization": { call in
            let x = try call.x(0), axis = try call.axis(-1, rank: x.rank), eps = try call.double("epsilon", or: 1e-5)
            let shape = Array(x.shape[axis...]), axes = Axes(Array(axis..<x.rank))
            let y = layerNorm(
                x, normalizedShape: shape, weight: try call.x(1).expanded(to: shape).contiguous(),
                bias: try call.optional(2)?.expanded(to: shape).contiguous(), eps: eps)
            let wide = x.to(x.dtype == .float64 ? .float64 : .float32)
            return outputs(
                y, wide.mean(axes, keepDims: true), rsqrt(wide.variance(axes, correction: 0, keepDims: true) + eps))
        },
        "RMSNormalization": { call in
            let x = try call.x(0), shape = Array(x.shape[(try call.axis(-1, rank: x.rank))...])
            return rmsNorm(
                x, normalizedShape: shape, weight: try call.x(1).expanded(to: shape).contiguous(),
                eps: try call.double("epsilon", or: 1e-5))
        },
        "MeanVarianceNormalization": { call in
            let x = try call.x(), axes = Axes(try call.ints("axes") ?? [0, 2, 3])
            return (x - x.mean(axes, keepDims: true)) / (x.standardDeviation(axes, correction: 0, keepDims: true) + 1e-9)
        },
        "LRN": {
            localResponseNorm(
                try $0.x(), size: try $0.int("size", or: 1), alpha: try $0.double("alpha", or: 1e-4),
                beta: try $0.double("beta", or: 0.75), k: try $0.double("bias", or: 1))
        },
        "LpNormalization": {
            let x = try $0.x()
            return normalized(
                x, p: try $0.double("p", or: 2), axis: try $0.axis(-1, rank: x.rank), epsilon: x.dtype == .float16 ? 1e-7 : 1e-12)
        },
        "Softmax": { try rows($0) { softmax($0, axis: $1) } },
        "LogSoftmax": { try rows($0) { logSoftmax($0, axis: $1) } },
        "Hardmax": { try rows($0) { hardmax($0, axis: $1) } },
        "Dropout": { call in
            let x = try call.x(), ratio = try call.inputDoubles(1)?.first ?? call.double("ratio", or: 0.5)
            let isTraining = try call.inputInts(2).map { $0.first != 0 } ?? false
            if isTraining && ratio > 0 { throw Unsupported("Dropout in training: the random numbers are another library's") }
            return outputs(x, Tensor(ones: x.shape, dtype: .bool))
        },
    ]

    /// Along an axis; before opset 13 over all axes from one on.
    private static func rows(_ call: OnnxCall, _ f: (Tensor, Int) -> Tensor) throws -> Tensor {
        let x = try call.x()
        if call.opset >= 13 { return f(x, try call.int("axis", or: -1)) }
        let axis = try call.axis(1, rank: x.rank)
        return f(x.reshaped([x.shape[..<axis].reduce(1, *), x.shape[axis...].reduce(1, *)]), 1).reshaped(x.shape)
    }
}
