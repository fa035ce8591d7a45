import CoreTensor

/// Layer normalisation over the last axis or axes (Ba et al., 2016): `[..., width]` to the same shape.
public final class LayerNorm: Module, Layer {
    /// Sizes of the axes that are normalised, the last of the input.
    public let shape: [Int]
    /// The scale of the normalised shape, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// The shift of the normalised shape, which starts as 0; nil if there is none.
    public let bias: Parameter?
    /// What is added to the variance before the root is taken.
    public let eps: Double

    /// - Parameters:
    ///   - affine: whether there is a weight (and, with `bias`, a bias).
    public convenience init(
        _ width: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32
    ) {
        self.init([width], eps: eps, affine: affine, bias: bias, dtype: dtype)
    }

    /// A layer for inputs whose shape ends in `shape`; otherwise as ``init(_:eps:affine:bias:dtype:)-(Int,_,_,_,_)``.
    public init(_ shape: [Int], eps: Double = 1e-5, affine: Bool = true, bias: Bool = true, dtype: DType = .float32) {
        self.shape = shape
        weight = affine ? Parameter(Tensor(ones: shape, dtype: dtype)) : nil
        self.bias = affine && bias ? Parameter(Tensor(zeros: shape, dtype: dtype)) : nil
        self.eps = eps
    }

    /// A layer with the given parameters; the weight's shape is what is normalised.
    public init(weight: Parameter, bias: Parameter?, eps: Double = 1e-5) {
        shape = weight.shape
        self.weight = weight
        self.bias = bias
        self.eps = eps
    }

    /// `(x - mean) / √(variance + eps) · weight + bias` over the normalised axes, with the variance over n; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        layerNorm(x, normalizedShape: shape, weight: weight?.value, bias: bias?.value, eps: eps)
    }
}

/// Root-mean-square normalisation over the last axis or axes (Zhang and Sennrich, 2019): `[..., width]` to the same shape.
public final class RMSNorm: Module, Layer {
    /// Sizes of the axes that are normalised, the last of the input.
    public let shape: [Int]
    /// The scale of the normalised shape, which starts as 1; nil if the layer is not affine.
    public let weight: Parameter?
    /// What is added to the mean square before the root is taken.
    public let eps: Double

    /// A layer for a last axis of `width`, with a weight of ones if `affine`.
    public convenience init(_ width: Int, eps: Double = 1e-6, affine: Bool = true, dtype: DType = .float32) {
        self.init([width], eps: eps, affine: affine, dtype: dtype)
    }

    /// A layer for inputs whose shape ends in `shape`, with a weight of ones if `affine`.
    public init(_ shape: [Int], eps: Double = 1e-6, affine: Bool = true, dtype: DType = .float32) {
        self.shape = shape
        weight = affine ? Parameter(Tensor(ones: shape, dtype: dtype)) : nil
        self.eps = eps
    }

    /// A layer with the given weight, whose shape is what is normalised.
    public init(weight: Parameter, eps: Double = 1e-6) {
        shape = weight.shape
        self.weight = weight
        self.eps = eps
    }

    /// `x / √(mean(x²) + eps) · weight` over the normalised axes; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        rmsNorm(x, normalizedShape: shape, weight: weight?.value, eps: eps)
    }
}
