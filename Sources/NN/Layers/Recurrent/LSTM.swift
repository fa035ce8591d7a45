import CoreTensor

/// What an LSTM carries from step to step.
public struct LSTMState: Sendable {
    /// h, what the cell gives out.
    public var hidden: Tensor
    /// c, what it remembers.
    public var cell: Tensor
    /// The two, of shapes that fit the layer.
    public init(hidden: Tensor, cell: Tensor) {
        self.hidden = hidden
        self.cell = cell
    }
    /// Without history: cuts backpropagation through time.
    public func detached() -> LSTMState { LSTMState(hidden: hidden.detached(), cell: cell.detached()) }
}

/// Long short-term memory (Hochreiter and Schmidhuber, 1997): i, f, o = σ(W x + b + U h + c), g = tanh(...), c' = f c + i g,
/// h' = o tanh c', over one or more layers and directions; with a `projection`, h' is multiplied by a matrix (Sak et al., 2014).
///
/// ```swift
/// let lstm = LSTM(65, 512, layers: 2, batchFirst: true)
/// let (output, state) = lstm(x)                    // [batch, time, 512]; hidden and cell [2, batch, 512]
/// let next = lstm(y, state: state.detached())      // truncated backpropagation through time
/// ```
public final class LSTM: RecurrentLayer {
    /// - Parameters: as of ``RNN``; `projection` is the size of the outputs, less than `hidden`, or nil.
    public init(
        _ inputs: Int, _ hidden: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false, dropout: Double = 0,
        bidirectional: Bool = false, projection: Int? = nil, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        super.init(
            .lstm, inputs, hidden, layers: layers, bias: bias, batchFirst: batchFirst, dropout: dropout,
            bidirectional: bidirectional, projection: projection, dtype: dtype, generator: generator)
    }

    /// Output and last state; shapes and `lengths` as of ``RNN/callAsFunction(_:state:lengths:)``. With a projection, outputs and
    /// hidden states have its size, cells have `hidden`.
    public func callAsFunction(_ x: Tensor, state: LSTMState? = nil, lengths: [Int]? = nil) -> (output: Tensor, state: LSTMState)
    {
        let result = run(x, state: state?.hidden, cell: state?.cell, lengths: lengths)
        return (result.0, LSTMState(hidden: result.state, cell: result.cell!))
    }
}
