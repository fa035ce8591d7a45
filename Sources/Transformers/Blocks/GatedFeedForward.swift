import CoreTensor
import NN

/// A position-wise part with a gate (Shazeer, 2020): `down(f(gate(x)) · up(x))`, SwiGLU with SiLU as f, GEGLU with GELU.
/// `[..., model]` to the same shape.
public final class GatedFeedForward: Module, Layer {
    /// `[..., model]` to `[..., hidden]`, passed through the activation.
    public let gate: Linear
    /// `[..., model]` to `[..., hidden]`, multiplied by the gate.
    public let up: Linear
    /// `[..., hidden]` to `[..., model]`.
    public let down: Linear
    /// What makes the gate.
    public let activation: FeedForwardActivation
    /// Applied before `down`.
    public let dropout: Dropout

    /// SwiGLU without biases unless told otherwise.
    public init(
        model: Int, hidden: Int, activation: FeedForwardActivation = .silu, bias: Bool = false, dropout: Double = 0,
        weights: WeightInitializer = .normal(), outputDeviation: Double? = nil, generator: RandomGenerator = .default
    ) {
        if model < 1 || hidden < 1 { fail("GatedFeedForward", "\(model) features and \(hidden) hidden ones; needs at least 1") }
        gate = weights.linear(model, hidden, bias: bias)
        up = weights.linear(model, hidden, bias: bias)
        down = weights.linear(hidden, model, bias: bias, deviation: outputDeviation)
        self.activation = activation
        self.dropout = Dropout(dropout, generator: generator)
    }

    /// `down(f(gate(x)) · up(x))`: `[..., model]` to the same shape.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let opened = activation.fusedForm.map { gate(x, activation: $0) } ?? activation(gate(x))
        return down(dropout(opened * up(x)))
    }
}
