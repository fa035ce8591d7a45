import CoreTensor

/// A module that is a function of one tensor: what ``Sequential`` is made of.
public protocol Layer: Module {
    /// The layer's output for `x`; each layer says which shapes it takes and gives.
    func callAsFunction(_ x: Tensor) -> Tensor
    /// What a backend needs to compute this layer within a larger step, if it is `x · Wᵀ + bias` for inputs of type `dtype`, without
    /// gradients; else nil, the default.
    func linearPlan(for dtype: DType) -> LinearPlan?
}

extension Layer {
    /// Nil: the layer is computed by calling it.
    public func linearPlan(for dtype: DType) -> LinearPlan? { nil }
}

/// Layers one after another.
///
/// ```swift
/// let model = Sequential(Linear(2, 8), ReLU(), Linear(8, 1))
/// ```
public final class Sequential: Module, Layer {
    /// The layers in the order they are called; parameters are named by position: `layers.0.weight`.
    public let layers: [any Layer]
    /// Where a batch norm and the ReLU after it become one pass over memory.
    private let normThenReLU: [Bool]

    /// Layers called from left to right.
    public convenience init(_ layers: any Layer...) { self.init(layers) }
    /// Layers called in the order of the array; with none, `x` passes through.
    public init(_ layers: [any Layer]) {
        self.layers = layers
        normThenReLU = layers.indices.map { layers[$0] is BatchNorm && $0 + 1 < layers.count && layers[$0 + 1] is ReLU }
    }

    /// Each layer applied to the output of the one before, the first to `x`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        var x = x, i = 0
        while i < layers.count {
            if normThenReLU[i] {
                x = (layers[i] as! BatchNorm)(x, activation: .relu)
                i += 1
            } else {
                x = layers[i](x)
            }
            i += 1
        }
        return x
    }
}
