import Tapestry

extension OnnxTable {
    static let recurrent: [String: OnnxOperator] = [
        "RNN": { call in
            try OnnxRecurrence(call, gates: 1, states: 1, activations: ["Tanh"]).run { cell, x, states in
                [cell.f[0](cell.clipped(x + matmul(states[0], cell.recurrent.T) + cell.bias(0) + cell.bias(1)))]
            }
        },
        "GRU": { call in
            let isLate = try call.flag("linear_before_reset")
            return try OnnxRecurrence(call, gates: 3, states: 1, activations: ["Sigmoid", "Tanh"]).run { cell, x, states in
                let h = states[0], xs = x.chunked(3, axis: 1), w = cell.recurrent.chunked(3, axis: 0)
                func gate(_ i: Int, _ h: Tensor) -> Tensor { matmul(h, w[i].T) + cell.bias(3 + i) }
                let z = cell.f[0](cell.clipped(xs[0] + cell.bias(0) + gate(0, h)))
                let r = cell.f[0](cell.clipped(xs[1] + cell.bias(1) + gate(1, h)))
                let inner = isLate ? r * gate(2, h) : gate(2, r * h)
                let n = cell.f[1](cell.clipped(xs[2] + cell.bias(2) + inner))
                return [(1 - z) * n + z * h]
            }
        },
        "LSTM": { call in
            let isCoupled = try call.flag("input_forget")
            return try OnnxRecurrence(call, gates: 4, states: 2, activations: ["Sigmoid", "Tanh", "Tanh"]).run {
                cell, x, states in
                let h = states[0], c = states[1]
                // Gates in the order input, output, forget, cell; the peepholes' is input, output, forget.
                let sums = (x + matmul(h, cell.recurrent.T)).chunked(4, axis: 1)
                func gate(_ i: Int) -> Tensor { sums[i] + cell.bias(i) + cell.bias(4 + i) }
                let peep = cell.peephole?.chunked(3, axis: 0)
                func open(_ i: Int, _ c: Tensor) -> Tensor {
                    cell.f[0](cell.clipped(peep.map { gate(i) + $0[i] * c } ?? gate(i)))
                }
                let i = open(0, c), f = isCoupled ? 1 - i : open(2, c)
                let next = f * c + i * cell.f[1](cell.clipped(gate(3)))
                return [open(1, next) * cell.f[2](next), next]
            }
        },
    ]
}

/// One direction of a recurrence, at a step.
struct OnnxCell {
    /// `[gates · hidden, hidden]`.
    let recurrent: Tensor
    /// For every gate that of the input, then for every gate that of the state.
    let biases: [Tensor]?
    let peephole: Tensor?
    let clip: Double
    let f: [@Sendable (Tensor) -> Tensor]

    func bias(_ i: Int) -> Tensor { biases?[i] ?? Tensor(0.0, dtype: recurrent.dtype) }
    func clipped(_ x: Tensor) -> Tensor { clip > 0 ? x.clamped(min: -clip, max: clip) : x }
}

/// The recurrent operators: directions, lengths, activations and layouts are the same for all.
private struct OnnxRecurrence {
    let call: OnnxCall
    let gates, states, hidden: Int
    let standard: [String]

    init(_ call: OnnxCall, gates: Int, states: Int, activations: [String]) throws {
        (self.call, self.gates, self.states, standard) = (call, gates, states, activations)
        hidden = try call.x(2).shape[2]
    }

    /// `step` gives the next states from the input's part `[batch, gates · hidden]` and the states; the first is the output.
    func run(_ step: (OnnxCell, Tensor, [Tensor]) -> [Tensor]) throws -> [OnnxValue] {
        let isBatchFirst = try call.flag("layout")
        let x = isBatchFirst ? try call.x(0).transposed(0, 1) : try call.x(0)
        let direction = try call.string("direction", or: "forward"), directions = try call.x(1).shape[0]
        let lengths = try call.optional(4)?.to(.int64), batch = x.shape[1]
        var sequences: [Tensor] = [], finals: [[Tensor]] = []
        for d in 0..<directions {
            let isReverse = direction == "reverse" || d == 1
            func turned(_ x: Tensor) -> Tensor {
                if !isReverse { return x }
                return lengths.map { x.reversedSequences(lengths: $0, axis: 0, batchAxis: 1) } ?? x.flipped([0])
            }
            var current = try (0..<states).map { s -> Tensor in
                guard let first = try call.optional(5 + s) else { return Tensor(zeros: [batch, hidden], dtype: x.dtype) }
                return isBatchFirst ? first.transposed(0, 1)[d] : first[d]
            }
            let cell = try cell(d), parts = matmul(turned(x), try call.x(1)[d].T)
            var rows: [Tensor] = []
            for t in 0..<x.shape[0] {
                let next = step(cell, parts[t], current)
                guard let lengths else {
                    current = next
                    rows.append(next[0])
                    continue
                }
                // Ended sequences keep their state, and give zeros.
                let isRunning = (lengths .> t).unsqueezed(-1)
                current = zip(next, current).map { which(isRunning, $0, $1) }
                rows.append(which(isRunning, next[0], Tensor(zerosLike: next[0])))
            }
            sequences.append(turned(stack(rows)))
            finals.append(current)
        }
        let all = stack(sequences, axis: 1), last = (0..<states).map { s in stack(finals.map { $0[s] }) }
        if !isBatchFirst { return outputs([all] + last) }
        return outputs([all.permuted([2, 0, 1, 3])] + last.map { $0.transposed(0, 1) })
    }

    private func cell(_ d: Int) throws -> OnnxCell {
        OnnxCell(
            recurrent: try call.x(2)[d], biases: try call.optional(3)?[d].chunked(2 * gates, axis: 0),
            peephole: try call.optional(7)?[d],
            clip: try call.double("clip", or: 0), f: try activations(d))
    }

    private func activations(_ d: Int) throws -> [@Sendable (Tensor) -> Tensor] {
        let names =
            try call.strings("activations").map { Array($0[(d * standard.count)..<((d + 1) * standard.count)]) } ?? standard
        var alphas = try call.doubles("activation_alpha") ?? [], betas = try call.doubles("activation_beta") ?? []
        func next(_ list: inout [Double], _ standard: Double) -> Double { list.isEmpty ? standard : list.removeFirst() }
        return try names.map { name in
            switch name {
            case "Sigmoid": return { sigmoid($0) }
            case "Tanh": return { tanh($0) }
            case "Relu": return { relu($0) }
            case "Softsign": return { softsign($0) }
            case "Softplus": return { softplus($0) }
            case "Affine":
                let a = next(&alphas, 1), b = next(&betas, 0)
                return { $0 * a + b }
            case "LeakyRelu":
                let a = next(&alphas, 0.01)
                return { leakyReLU($0, negativeSlope: a) }
            case "ThresholdedRelu":
                let a = next(&alphas, 1)
                return { thresholded($0, threshold: a, value: 0) }
            case "ScaledTanh":
                let a = next(&alphas, 1), b = next(&betas, 1)
                return { tanh($0 * b) * a }
            case "HardSigmoid":
                let a = next(&alphas, 0.2), b = next(&betas, 0.5)
                return { ($0 * a + b).clamped(min: 0, max: 1) }
            case "Elu":
                let a = next(&alphas, 1)
                return { elu($0, alpha: a) }
            default: throw Unsupported("activation \(name)")
            }
        }
    }
}
