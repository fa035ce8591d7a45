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
        var x = x
        for layer in layers { x = layer(x) }
        return x
    }
}
