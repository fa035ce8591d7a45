import CoreTensor

/// Layer normalisation over the last axis (Ba et al., 2016): `[..., width]` to the same shape.
public final class LayerNorm: Module, Layer {
    /// The scale `[width]`, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// The shift `[width]`, which starts as 0; nil if there is none.
    public let bias: Parameter?
    /// What is added to the variance before the root is taken.
    public let eps: Double

    /// - Parameters:
    ///   - affine: whether there is a weight (and, with `bias`, a bias).
    public init(_ width: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32) {
        weight = affine ? Parameter(Tensor(ones: [width], dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor(zeros: [width], dtype: dtype)) : nil
        self.eps = eps
    }

    /// `(x - mean) / √(variance + eps) · weight + bias` over the last axis, with the variance over n; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        layerNorm(x, weight: weight?.value, bias: bias?.value, eps: eps)
    }
}

/// Root-mean-square normalisation over the last axis (Zhang and Sennrich, 2019): `[..., width]` to the same shape.
public final class RMSNorm: Module, Layer {
    /// The scale `[width]`, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// What is added to the mean square before the root is taken.
    public let eps: Double

    /// A layer for a last axis of `width`, with a weight of ones if `affine`.
    public init(_ width: Int, eps: Double = 1e-6, affine: Bool = true, dtype: DType = .float32) {
        weight = affine ? Parameter(Tensor(ones: [width], dtype: dtype)) : nil
        self.eps = eps
    }

    /// `x / √(mean(x²) + eps) · weight` over the last axis; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor { rmsNorm(x, weight: weight?.value, eps: eps) }
}
