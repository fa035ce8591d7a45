import CoreTensor

/// Layer normalisation over the last axis (Ba et al., 2016): `[..., width]` to the same shape.
public final class LayerNorm: Module, Layer {
    public let weight: Parameter?
    public let bias: Parameter?
    public let eps: Double

    /// - Parameters:
    ///   - affine: whether there is a weight (and, with `bias`, a bias).
    public init(_ width: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32) {
        weight = affine ? Parameter(Tensor(ones: [width], dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor(zeros: [width], dtype: dtype)) : nil
        self.eps = eps
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        layerNorm(x, weight: weight?.value, bias: bias?.value, eps: eps)
    }
}

/// Root-mean-square normalisation over the last axis (Zhang and Sennrich, 2019): `[..., width]` to the same shape.
public final class RMSNorm: Module, Layer {
    public let weight: Parameter?
    public let eps: Double

    public init(_ width: Int, eps: Double = 1e-6, affine: Bool = true, dtype: DType = .float32) {
        weight = affine ? Parameter(Tensor(ones: [width], dtype: dtype)) : nil
        self.eps = eps
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { rmsNorm(x, weight: weight?.value, eps: eps) }
}
