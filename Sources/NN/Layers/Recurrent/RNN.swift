import CoreTensor

/// The function of a plain recurrent cell.
public enum RNNNonlinearity: String, Sendable {
    case tanh, relu
    var kernel: RecurrentKernel { self == .tanh ? .tanh : .relu }
}

/// The plain recurrent network (Elman, 1990): h' = tanh(W x + b + U h + c), or with relu, over one or more layers and directions.
///
/// ```swift
/// let rnn = RNN(10, 20, layers: 2, batchFirst: true)
/// let (output, state) = rnn(x)                     // [batch, time, 20], [2, batch, 20]
/// let next = rnn(y, state: state.detached())       // truncated backpropagation through time
/// ```
public final class RNN: RecurrentLayer {
    /// - Parameters:
    ///   - layers: how many lie on top of each other.
    ///   - batchFirst: batches are `[batch, time, features]` rather than `[time, batch, features]`.
    ///   - dropout: the probability of dropout between layers, in training.
    ///   - bidirectional: a second run goes backwards; outputs lie side by side.
    public init(
        _ inputs: Int, _ hidden: Int, layers: Int = 1, nonlinearity: RNNNonlinearity = .tanh, bias: Bool = true,
        batchFirst: Bool = false, dropout: Double = 0, bidirectional: Bool = false, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        super.init(
            nonlinearity.kernel, inputs, hidden, layers: layers, bias: bias, batchFirst: batchFirst, dropout: dropout,
            bidirectional: bidirectional, projection: nil, dtype: dtype, generator: generator)
    }

    /// `x [time, batch, inputs]`, `[batch, time, inputs]` if `batchFirst`, or `[time, inputs]` gives the last layer's states at every
    /// step, `[..., directions · hidden]`, and each layer's and direction's last state, `[layers · directions, batch, hidden]`
    /// (without a batch `[layers · directions, hidden]`), which is also the shape of `state`, 0 unless given.
    /// - Parameter lengths: steps of each sequence. Outputs past them are 0, the last state is that after the last step of the
    ///   sequence, and the reverse direction starts there.
    public func callAsFunction(_ x: Tensor, state: Tensor? = nil, lengths: [Int]? = nil) -> (output: Tensor, state: Tensor) {
        let result = run(x, state: state, cell: nil, lengths: lengths)
        return (result.0, result.state)
    }
}

/// The gated recurrent unit (Cho et al., 2014), as PyTorch has it: r, z = σ(W x + b + U h + c), n = tanh(W x + b + r (U h + c)),
/// h' = (1 - z) n + z h, over one or more layers and directions. Used as ``RNN``.
public final class GRU: RecurrentLayer {
    /// - Parameters: as of ``RNN``.
    public init(
        _ inputs: Int, _ hidden: Int, layers: Int = 1, bias: Bool = true, batchFirst: Bool = false, dropout: Double = 0,
        bidirectional: Bool = false, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        super.init(
            .gru, inputs, hidden, layers: layers, bias: bias, batchFirst: batchFirst, dropout: dropout,
            bidirectional: bidirectional, projection: nil, dtype: dtype, generator: generator)
    }

    /// Output and last state; shapes and `lengths` as of ``RNN/callAsFunction(_:state:lengths:)``.
    public func callAsFunction(_ x: Tensor, state: Tensor? = nil, lengths: [Int]? = nil) -> (output: Tensor, state: Tensor) {
        let result = run(x, state: state, cell: nil, lengths: lengths)
        return (result.0, result.state)
    }
}
