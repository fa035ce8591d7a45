import CoreTensor

/// max(x, 0), as a layer.
public final class ReLU: Module, Layer {
    public func callAsFunction(_ x: Tensor) -> Tensor { relu(x) }
}

/// Gaussian error linear unit, as a layer.
public final class GELU: Module, Layer {
    public let approximate: GELUApproximation
    public init(approximate: GELUApproximation = .none) { self.approximate = approximate }
    public func callAsFunction(_ x: Tensor) -> Tensor { gelu(x, approximate: approximate) }
}

/// x · sigmoid(x), as a layer.
public final class SiLU: Module, Layer {
    public func callAsFunction(_ x: Tensor) -> Tensor { silu(x) }
}

/// Hyperbolic tangent, as a layer.
public final class Tanh: Module, Layer {
    public func callAsFunction(_ x: Tensor) -> Tensor { tanh(x) }
}

/// 1 / (1 + e⁻ˣ), as a layer.
public final class Sigmoid: Module, Layer {
    public func callAsFunction(_ x: Tensor) -> Tensor { sigmoid(x) }
}

/// e^x / Σ e^x along an axis, as a layer.
public final class Softmax: Module, Layer {
    public let axis: Int
    public init(axis: Int = -1) { self.axis = axis }
    public func callAsFunction(_ x: Tensor) -> Tensor { softmax(x, axis: axis) }
}

/// All axes but the first merged: `[batch, ...]` gives `[batch, features]`.
public final class Flatten: Module, Layer {
    public func callAsFunction(_ x: Tensor) -> Tensor { x.flattened(from: 1) }
}
