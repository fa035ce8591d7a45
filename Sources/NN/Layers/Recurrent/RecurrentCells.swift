import CoreTensor

/// What the single cells share: parameters with PyTorch's names `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, uniform in ±1/√hidden.
public class RecurrentCell: Module, CustomReflectable {
    /// The cell.
    public final let kernel: RecurrentKernel
    /// Features of the input and of the state.
    public final let inputs, hidden: Int
    /// The parameters.
    public final let direction: RecurrentLayer.Direction

    init(_ kernel: RecurrentKernel, _ inputs: Int, _ hidden: Int, _ bias: Bool, _ dtype: DType, _ generator: RandomGenerator) {
        if inputs < 1 || hidden < 1 { fail("\(Self.self)", "\(inputs) inputs, \(hidden) hidden units") }
        self.kernel = kernel
        self.inputs = inputs
        self.hidden = hidden
        let rows = kernel.gates * hidden
        func parameter(_ shape: [Int]) -> Parameter { recurrentParameter(shape, hidden, dtype, generator) }
        direction = RecurrentLayer.Direction(
            inputWeight: parameter([rows, inputs]), stateWeight: parameter([rows, hidden]),
            inputBias: bias ? parameter([rows]) : nil, stateBias: bias ? parameter([rows]) : nil, projection: nil)
    }

    /// The parameters under PyTorch's names.
    public final var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "weight_ih": direction.inputWeight, "weight_hh": direction.stateWeight, "bias_ih": direction.inputBias as Any,
                "bias_hh": direction.stateBias as Any,
            ])
    }

    final func step(_ x: Tensor, _ state: Tensor?, _ cell: Tensor?) -> (Tensor, Tensor?) {
        let name = "\(Self.self)"
        if x.rank != 1 && x.rank != 2 || x.shape.last != inputs {
            fail(name, "needs [batch, \(inputs)] or [\(inputs)], not \(x.shape)")
        }
        let isBatch = x.rank == 2, batch = isBatch ? x.shape[0] : 1
        func first(_ given: Tensor?) -> Tensor {
            guard let given else { return Tensor(zeros: [batch, hidden], dtype: x.dtype, device: x.device) }
            let full = isBatch ? given : given.unsqueezed(0)
            if full.shape != [batch, hidden] {
                fail(
                    name, "a state of shape \(given.shape) for an input \(x.shape); needs \(Array(x.shape.dropLast()) + [hidden])"
                )
            }
            return full
        }
        let result = direction.run(
            kernel, (isBatch ? x : x.unsqueezed(0)).unsqueezed(0), state: first(state), cell: kernel == .lstm ? first(cell) : nil)
        func out(_ y: Tensor) -> Tensor { isBatch ? y : y.squeezed(0) }
        return (out(result.states.squeezed(0)), result.cell.map(out))
    }
}

/// One step of ``RNN``: `x [batch, inputs]` and `state [batch, hidden]` give the new state; both may lack the batch.
public final class RNNCell: RecurrentCell {
    /// A cell with parameters uniform in ±1/√hidden.
    public init(
        _ inputs: Int, _ hidden: Int, bias: Bool = true, nonlinearity: RNNNonlinearity = .tanh, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(nonlinearity.kernel, inputs, hidden, bias, dtype, generator)
    }
    /// The new state; the old one is 0 unless given.
    public func callAsFunction(_ x: Tensor, state: Tensor? = nil) -> Tensor { step(x, state, nil).0 }
}

/// One step of ``GRU``: `x [batch, inputs]` and `state [batch, hidden]` give the new state; both may lack the batch.
public final class GRUCell: RecurrentCell {
    /// A cell with parameters uniform in ±1/√hidden.
    public init(
        _ inputs: Int, _ hidden: Int, bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        super.init(.gru, inputs, hidden, bias, dtype, generator)
    }
    /// The new state; the old one is 0 unless given.
    public func callAsFunction(_ x: Tensor, state: Tensor? = nil) -> Tensor { step(x, state, nil).0 }
}

/// One step of ``LSTM``: `x [batch, inputs]` and a state of `[batch, hidden]` each give the new state; all may lack the batch.
public final class LSTMCell: RecurrentCell {
    /// A cell with parameters uniform in ±1/√hidden.
    public init(
        _ inputs: Int, _ hidden: Int, bias: Bool = true, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        super.init(.lstm, inputs, hidden, bias, dtype, generator)
    }
    /// The new state; the old one is 0 unless given.
    public func callAsFunction(_ x: Tensor, state: LSTMState? = nil) -> LSTMState {
        let (hidden, cell) = step(x, state?.hidden, state?.cell)
        return LSTMState(hidden: hidden, cell: cell!)
    }
}
