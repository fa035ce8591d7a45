import CoreTensor

/// A layer whose main parameter can be replaced by a tensor made for the call: what ``WeightNorm`` and ``SpectralNorm`` wrap.
public protocol WeightedLayer: Layer {
    /// The parameter that is replaced.
    var weight: Parameter { get }
    /// The other parameter, if there is one.
    var bias: Parameter? { get }
    /// The axis of the weight along which outputs lie: 0, or 1 for transposed convolutions.
    var outputAxis: Int { get }
    /// The layer's function with `weight` in place of its own.
    func callAsFunction(_ x: Tensor, weight: Tensor) -> Tensor
}

extension WeightedLayer {
    /// 0: `[outputs, ...]`.
    public var outputAxis: Int { 0 }
}

extension Linear: WeightedLayer {
    /// `x · weightᵀ + bias` with the given weight `[outputs, inputs]`.
    public func callAsFunction(_ x: Tensor, weight: Tensor) -> Tensor { linear(x, weight, bias?.value) }
}
