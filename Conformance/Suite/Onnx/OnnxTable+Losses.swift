import Foundation
import Tapestry

/// Losses, and the optimizer steps of the training domain.
extension OnnxTable {
    static let losses: [String: OnnxOperator] = [
        "NegativeLogLikelihoodLoss": { call in
            nllLoss(
                try call.x(0), try call.x(1), weight: try call.optional(2), ignoreIndex: try call.int("ignore_index", or: -100),
                reduction: try reduction(call), classAxis: 1)
        },
        "SoftmaxCrossEntropyLoss": { call in
            let x = try call.x(0)
            let loss = crossEntropy(
                x, try call.x(1), weight: try call.optional(2), ignoreIndex: try call.int("ignore_index", or: -100),
                reduction: try reduction(call), classAxis: 1)
            return outputs(loss, logSoftmax(x, axis: 1))
        },
    ]

    static let training: [String: OnnxOperator] = [
        "Adagrad": { call in
            let (rate, step) = (try call.x(0), try call.x(1).item(Double.self))
            let decayed = rate / (1 + step * (try call.double("decay_factor", or: 0))), eps = try call.double("epsilon", or: 1e-6)
            return try updated(call, states: 1) { x, g, states in
                let h = states[0] + g * g
                return (x - decayed * g / (sqrt(h) + eps), [h])
            }
        },
        "Adam": { call in
            let rate = try call.x(0), step = try call.x(1).item(Double.self), eps = try call.double("epsilon", or: 1e-6)
            let alpha = try call.double("alpha", or: 0.9), beta = try call.double("beta", or: 0.999)
            let after = try call.double("norm_coefficient_post", or: 0)
            let adjusted =
                step > 0 ? rate * sqrt(Tensor(1 - Foundation.pow(beta, step))) / (1 - Foundation.pow(alpha, step)) : rate
            return try updated(call, states: 2) { x, g, states in
                let v = states[0] * alpha + g * (1 - alpha), h = states[1] * beta + g * g * (1 - beta)
                return ((x - adjusted * v / (sqrt(h) + eps)) * (1 - after), [v, h])
            }
        },
        "Momentum": { call in
            let rate = try call.x(0), isFirst = try call.x(1).item(Int.self) == 0
            let alpha = try call.double("alpha", or: 0), beta = isFirst ? 1 : try call.double("beta", or: 0)
            let isNesterov = try call.string("mode", or: "standard") == "nesterov"
            return try updated(call, states: 1) { x, g, states in
                let v = states[0] * alpha + g * beta
                return (x - rate * (isNesterov ? g + v * alpha : v), [v])
            }
        },
    ]

    private static func reduction(_ call: OnnxCall) throws -> Reduction {
        switch try call.string("reduction", or: "mean") {
        case "none": .none
        case "sum": .sum
        default: .mean
        }
    }

    /// Inputs: rate, step, tensors, gradients, then each kind of state; outputs: tensors, then each kind of state.
    private static func updated(
        _ call: OnnxCall, states: Int, _ step: (Tensor, Tensor, [Tensor]) -> (Tensor, [Tensor])
    ) throws -> [OnnxValue] {
        let n = (call.inputs.count - 2) / (2 + states), decay = try call.double("norm_coefficient", or: 0)
        var results = [Tensor?](repeating: nil, count: n * (1 + states))
        for i in 0..<n {
            let x = try call.x(2 + i), g = try call.x(2 + n + i) + x * decay
            let (next, kept) = step(x, g, try (0..<states).map { try call.x(2 + (2 + $0) * n + i) })
            results[i] = next
            for (k, state) in kept.enumerated() { results[(1 + k) * n + i] = state }
        }
        return outputs(results)
    }
}
