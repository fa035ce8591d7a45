// Single steps of recurrent cells in tensor operations: for types without a kernel, inside `vmap`, and for gradients of gradients.

extension RecurrentKernel {
    /// What one step makes: the state after it and what its gradient needs.
    struct Step {
        var state: Tensor
        var cell: Tensor?
        /// The gates after their functions; in GRU also the state's part of the candidate.
        var gates: [Tensor] = []
    }

    /// `x` and `h` `[batch, gates · hidden]`: the input's and the state's part of the gates.
    func step(_ x: Tensor, _ h: Tensor, state: Tensor, cell: Tensor?) -> Step {
        let width = x.shape.last! / gates
        func part(_ t: Tensor, _ gate: Int) -> Tensor { t.narrowed(axis: -1, start: gate * width, length: width) }
        func both(_ gate: Int) -> Tensor { part(x, gate) + part(h, gate) }
        switch self {
        case .tanh: return Step(state: CoreTensor.tanh(x + h))
        case .relu: return Step(state: CoreTensor.relu(x + h))
        case .lstm:
            let gates = [sigmoid(both(0)), sigmoid(both(1)), CoreTensor.tanh(both(2)), sigmoid(both(3))]
            let next = gates[1] * cell! + gates[0] * gates[2]
            return Step(state: gates[3] * CoreTensor.tanh(next), cell: next, gates: gates)
        case .gru:
            let r = sigmoid(both(0)), z = sigmoid(both(1)), inner = part(h, 2)
            let m = CoreTensor.tanh(part(x, 2) + r * inner)
            return Step(state: m + z * (state - m), gates: [r, z, m, inner])
        }
    }

    /// Gradients of a step: of the two parts of the gates, of the cell before it, and what goes to the state before it past the gates.
    func stepGradient(
        _ g: Tensor, _ cellGradient: Tensor?, after step: Step, state: Tensor, cell: Tensor?
    ) -> (x: Tensor, h: Tensor, cell: Tensor?, carried: Tensor?) {
        switch self {
        case .tanh:
            let d = g * (1 - step.state * step.state)
            return (d, d, nil, nil)
        case .relu:
            let d = g * (step.state .> 0).to(g.dtype)
            return (d, d, nil, nil)
        case .lstm:
            let i = step.gates[0], f = step.gates[1], m = step.gates[2], o = step.gates[3]
            let y = CoreTensor.tanh(step.cell!)
            let dk = cellGradient! + g * o * (1 - y * y)
            let d = concatenate(
                [dk * m * i * (1 - i), dk * cell! * f * (1 - f), dk * i * (1 - m * m), g * y * o * (1 - o)], axis: -1)
            return (d, d, dk * f, nil)
        case .gru:
            let r = step.gates[0], z = step.gates[1], m = step.gates[2], inner = step.gates[3]
            let dm = g * (1 - z) * (1 - m * m), dr = dm * inner * r * (1 - r), dz = g * (state - m) * z * (1 - z)
            return (concatenate([dr, dz, dm], axis: -1), concatenate([dr, dz, dm * r], axis: -1), nil, g * z)
        }
    }
}
