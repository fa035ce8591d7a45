import CoreTensor

/// max(x, 0), as a layer.
public final class ReLU: Module, Layer {
    /// max(x, 0) of every element; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { relu(x) }
}

/// Gaussian error linear unit, as a layer.
public final class GELU: Module, Layer {
    /// Whether x Φ(x) is computed exactly (`none`) or by its `tanh` approximation.
    public let approximate: GELUApproximation
    /// GELU in the exact form unless told otherwise (Hendrycks and Gimpel, 2016).
    public init(approximate: GELUApproximation = .none) { self.approximate = approximate }
    /// x Φ(x) of every element, Φ being the standard normal distribution; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { gelu(x, approximate: approximate) }
}

/// x · sigmoid(x), as a layer.
public final class SiLU: Module, Layer {
    /// x · sigmoid(x) of every element; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { silu(x) }
}

/// Hyperbolic tangent, as a layer.
public final class Tanh: Module, Layer {
    /// tanh x of every element; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { tanh(x) }
}

/// 1 / (1 + e⁻ˣ), as a layer.
public final class Sigmoid: Module, Layer {
    /// 1 / (1 + e⁻ˣ) of every element; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { sigmoid(x) }
}

/// e^x / Σ e^x along an axis, as a layer.
public final class Softmax: Module, Layer {
    /// The axis along which the results sum to 1; negative ones count from the last.
    public let axis: Int
    /// Softmax along `axis`, the last unless told otherwise.
    public init(axis: Int = -1) { self.axis = axis }
    /// Shares along the axis, not negative and summing to 1; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { softmax(x, axis: axis) }
}
