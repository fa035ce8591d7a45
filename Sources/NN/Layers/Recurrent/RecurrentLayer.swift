import CoreTensor

/// What ``RNN``, ``LSTM`` and ``GRU`` share: layers of one or two directions, their parameters and how sequences run through them.
///
/// Parameters have PyTorch's names and layouts: `weight_ih_l0 [gates · hidden, inputs]`, `weight_hh_l0 [gates · hidden, hidden]`,
/// `bias_ih_l0`, `bias_hh_l0`, in LSTM with a projection `weight_hr_l0`; then `..._l0_reverse`, `..._l1` and so on. All start
/// uniform in ±1/√hidden.
public class RecurrentLayer: Module, CustomReflectable {
    /// The parameters of one direction of one layer.
    public struct Direction {
        /// `[gates · hidden, inputs]`.
        public let inputWeight: Parameter
        /// `[gates · hidden, hidden]`.
        public let stateWeight: Parameter
        /// `[gates · hidden]`, of the input's and of the state's part of the gates.
        public let inputBias, stateBias: Parameter?
        /// `[projection, hidden]`, in LSTM.
        public let projection: Parameter?
    }

    /// The cell.
    public final let kernel: RecurrentKernel
    /// Features of the input and of the state.
    public final let inputs, hidden: Int
    /// Layers on top of each other.
    public final let layerCount: Int
    /// Whether a second run goes from the last step to the first.
    public final let isBidirectional: Bool
    /// Whether batches are `[batch, time, features]` rather than `[time, batch, features]`.
    public final let batchFirst: Bool
    /// The probability of dropout between the layers, in training.
    public final let dropout: Double
    /// By layer and direction: forward, then reverse.
    public final let directions: [Direction]
    private let generator: RandomGenerator

    init(
        _ kernel: RecurrentKernel, _ inputs: Int, _ hidden: Int, layers: Int, bias: Bool, batchFirst: Bool, dropout: Double,
        bidirectional: Bool, projection: Int?, dtype: DType, generator: RandomGenerator
    ) {
        let name = "\(Self.self)"
        if inputs < 1 || hidden < 1 || layers < 1 { fail(name, "\(inputs) inputs, \(hidden) hidden units, \(layers) layers") }
        if !(0...1).contains(dropout) { fail(name, "a dropout of \(dropout); must be in 0 ... 1") }
        if let projection, !(1..<hidden).contains(projection) {
            fail(name, "a projection to \(projection) of \(hidden) hidden units; must be in 1 ..< \(hidden)")
        }
        self.kernel = kernel
        self.inputs = inputs
        self.hidden = hidden
        layerCount = layers
        isBidirectional = bidirectional
        self.batchFirst = batchFirst
        self.dropout = dropout
        self.generator = generator
        let ways = bidirectional ? 2 : 1, rows = kernel.gates * hidden, size = projection ?? hidden
        func parameter(_ shape: [Int]) -> Parameter { recurrentParameter(shape, hidden, dtype, generator) }
        directions = (0..<layers * ways).map { i in
            Direction(
                inputWeight: parameter([rows, i < ways ? inputs : ways * size]), stateWeight: parameter([rows, size]),
                inputBias: bias ? parameter([rows]) : nil, stateBias: bias ? parameter([rows]) : nil,
                projection: projection.map { parameter([$0, hidden]) })
        }
    }

    /// Features of the output of one direction.
    final var size: Int { directions[0].stateWeight.shape[1] }

    /// The parameters under PyTorch's names.
    public final var customMirror: Mirror {
        var children: [(String?, Any)] = []
        for (i, direction) in directions.enumerated() {
            let ways = isBidirectional ? 2 : 1, suffix = "_l\(i / ways)" + (i % ways == 1 ? "_reverse" : "")
            children += [("weight_ih" + suffix, direction.inputWeight), ("weight_hh" + suffix, direction.stateWeight)]
            if let bias = direction.inputBias { children.append(("bias_ih" + suffix, bias)) }
            if let bias = direction.stateBias { children.append(("bias_hh" + suffix, bias)) }
            if let projection = direction.projection { children.append(("weight_hr" + suffix, projection)) }
        }
        return Mirror(self, children: children.map { (label: $0.0, value: $0.1) })
    }

    /// Output and last states (and cells) of `x`, each with the axes the caller's have.
    final func run(_ x: Tensor, state: Tensor?, cell: Tensor?, lengths: [Int]?) -> (Tensor, state: Tensor, cell: Tensor?) {
        let name = "\(Self.self)"
        if x.rank != 2 && x.rank != 3 || x.shape.last != inputs {
            let order = batchFirst ? "[batch, time, \(inputs)]" : "[time, batch, \(inputs)]"
            fail(name, "needs \(order) or [time, \(inputs)], not \(x.shape)")
        }
        let isBatch = x.rank == 3, swaps = isBatch && batchFirst
        var y = swaps ? x.permuted(1, 0, 2) : isBatch ? x : x.unsqueezed(1)
        let time = y.shape[0], batch = y.shape[1]
        if time == 0 { fail(name, "a sequence of no steps: \(x.shape)") }
        if let lengths, lengths.count != batch || lengths.contains(where: { !(0...time).contains($0) }) {
            fail(name, "lengths \(lengths) for \(batch) sequences of \(time) steps")
        }
        func first(_ given: Tensor?, _ width: Int) -> Tensor {
            guard let given else { return Tensor(zeros: [directions.count, batch, width], dtype: x.dtype, device: x.device) }
            let full = isBatch ? given : given.unsqueezed(1)
            if full.shape != [directions.count, batch, width] {
                let needed = isBatch ? [directions.count, batch, width] : [directions.count, width]
                fail(name, "a state of shape \(given.shape) for an input \(x.shape); needs \(needed)")
            }
            return full
        }
        let states = first(state, size), cells = kernel == .lstm ? first(cell, hidden) : nil
        var lastStates: [Tensor] = [], lastCells: [Tensor] = []
        let ways = isBidirectional ? 2 : 1
        for layer in 0..<layerCount {
            if layer > 0 { y = CoreTensor.dropout(y, probability: dropout, training: isTraining, generator: generator) }
            var outputs: [Tensor] = []
            for way in 0..<ways {
                let i = layer * ways + way
                let result = directions[i].run(
                    kernel, y, state: states[i], cell: cells?[i], lengths: lengths, reverse: way == 1)
                outputs.append(result.states)
                lastStates.append(result.states[way == 1 ? 0 : time - 1])
                if let cell = result.cell { lastCells.append(cell) }
            }
            y = ways == 1 ? outputs[0] : concatenate(outputs, axis: -1)
        }
        if let lengths, lengths.contains(where: { $0 < time }) {
            // Past its end a sequence carries its state on; the output there is 0.
            let steps = Tensor(arange: time, device: x.device).unsqueezed(1)
            let active = steps .< Tensor(lengths, shape: [1, batch]).to(device: x.device)
            y = which(active.unsqueezed(-1), y, Tensor(zeros: [], dtype: y.dtype, device: y.device))
        }
        func last(_ parts: [Tensor]) -> Tensor {
            let all = stack(parts)
            return isBatch ? all : all.squeezed(1)
        }
        let out = swaps ? y.permuted(1, 0, 2) : isBatch ? y : y.squeezed(1)
        return (out, last(lastStates), lastCells.isEmpty ? nil : last(lastCells))
    }
}

extension RecurrentLayer.Direction {
    /// `x [time, batch, inputs]` through all steps; the input's part of the gates is one product.
    func run(
        _ kernel: RecurrentKernel, _ x: Tensor, state: Tensor, cell: Tensor?, lengths: [Int]? = nil, reverse: Bool = false
    ) -> (states: Tensor, cell: Tensor?) {
        // GRU's reset gate acts on the state's part, bias included; elsewhere the two biases only add up.
        let isSeparate = kernel == .gru
        var bias = inputBias?.value
        if !isSeparate, let sum = bias, let other = stateBias?.value { bias = sum + other }
        return recurrence(
            kernel, projected: linear(x, inputWeight.value, bias), weight: stateWeight.value,
            bias: isSeparate ? stateBias?.value : nil, state: state, cell: cell, projection: projection?.value, lengths: lengths,
            reverse: reverse)
    }
}

/// Uniform in ±1/√hidden.
func recurrentParameter(_ shape: [Int], _ hidden: Int, _ dtype: DType, _ generator: RandomGenerator) -> Parameter {
    let bound = 1 / Double(hidden).squareRoot()
    return Parameter(Tensor(uniform: shape, low: -bound, high: bound, dtype: dtype, generator: generator))
}
