import CoreTensor

/// A module that is a function of one tensor: what ``Sequential`` is made of.
public protocol Layer: Module {
    /// The layer's output for `x`; each layer says which shapes it takes and gives.
    func callAsFunction(_ x: Tensor) -> Tensor
}

/// Layers one after another.
///
/// ```swift
/// let model = Sequential(Linear(2, 8), ReLU(), Linear(8, 1))
/// ```
public final class Sequential: Module, Layer {
    /// The layers in the order they are called; parameters are named by position: `layers.0.weight`.
    public let layers: [any Layer]

    /// Layers called from left to right.
    public init(_ layers: any Layer...) { self.layers = layers }
    /// Layers called in the order of the array; with none, `x` passes through.
    public init(_ layers: [any Layer]) { self.layers = layers }

    /// Each layer applied to the output of the one before, the first to `x`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        var y = x, i = 0
        while i < layers.count {
            // One pass over memory for both.
            if let norm = layers[i] as? BatchNorm, i + 1 < layers.count, layers[i + 1] is ReLU {
                y = norm(y, activation: .relu)
                i += 2
            } else {
                y = layers[i](y)
                i += 1
            }
        }
        return y
    }
}
