import CoreTensor

/// Average pooling over the last axis as a layer; see ``avgPool1d(_:kernelSize:stride:padding:ceilMode:countIncludePad:)``.
public final class AvgPool1d: Module, Layer {
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Zeros added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end, and whether the padding counts in the mean.
    public let ceilMode, countIncludePad: Bool

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
        countIncludePad: Bool = true
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.ceilMode = ceilMode
        self.countIncludePad = countIncludePad
    }

    /// `[batch, channels, ...]` (or without batch) gives the means.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        avgPool1d(
            x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countIncludePad: countIncludePad)
    }
}

/// Power-average pooling over the last axis as a layer; see ``lpPool1d(_:norm:kernelSize:stride:ceilMode:)``.
public final class LPPool1d: Module, Layer {
    /// The power p.
    public let norm: Double
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// (Σ xᵖ)^(1/p) with p = `norm` over windows of `kernelSize`.
    public init(norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false) {
        self.norm = norm
        self.kernelSize = kernelSize
        self.stride = stride
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the power averages.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        lpPool1d(x, norm: norm, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    }
}

/// Average pooling over the last two axes as a layer; see ``avgPool2d(_:kernelSize:stride:padding:ceilMode:countIncludePad:divisorOverride:)``.
public final class AvgPool2d: Module, Layer {
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Zeros added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end, and whether the padding counts in the mean.
    public let ceilMode, countIncludePad: Bool
    /// What sums are divided by; nil: the places of the window.
    public let divisorOverride: Int?

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
        countIncludePad: Bool = true, divisorOverride: Int? = nil
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.ceilMode = ceilMode
        self.countIncludePad = countIncludePad
        self.divisorOverride = divisorOverride
    }

    /// `[batch, channels, ...]` (or without batch) gives the means.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        avgPool2d(
            x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countIncludePad: countIncludePad,
            divisorOverride: divisorOverride)
    }
}

/// Power-average pooling over the last two axes as a layer; see ``lpPool2d(_:norm:kernelSize:stride:ceilMode:)``.
public final class LPPool2d: Module, Layer {
    /// The power p.
    public let norm: Double
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// (Σ xᵖ)^(1/p) with p = `norm` over windows of `kernelSize`.
    public init(norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false) {
        self.norm = norm
        self.kernelSize = kernelSize
        self.stride = stride
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the power averages.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        lpPool2d(x, norm: norm, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    }
}

/// Average pooling over the last three axes as a layer; see ``avgPool3d(_:kernelSize:stride:padding:ceilMode:countIncludePad:divisorOverride:)``.
public final class AvgPool3d: Module, Layer {
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Zeros added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end, and whether the padding counts in the mean.
    public let ceilMode, countIncludePad: Bool
    /// What sums are divided by; nil: the places of the window.
    public let divisorOverride: Int?

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, ceilMode: Bool = false,
        countIncludePad: Bool = true, divisorOverride: Int? = nil
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.ceilMode = ceilMode
        self.countIncludePad = countIncludePad
        self.divisorOverride = divisorOverride
    }

    /// `[batch, channels, ...]` (or without batch) gives the means.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        avgPool3d(
            x, kernelSize: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode, countIncludePad: countIncludePad,
            divisorOverride: divisorOverride)
    }
}

/// Power-average pooling over the last three axes as a layer; see ``lpPool3d(_:norm:kernelSize:stride:ceilMode:)``.
public final class LPPool3d: Module, Layer {
    /// The power p.
    public let norm: Double
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// (Σ xᵖ)^(1/p) with p = `norm` over windows of `kernelSize`.
    public init(norm: Double, kernelSize: SpatialSizes, stride: SpatialSizes? = nil, ceilMode: Bool = false) {
        self.norm = norm
        self.kernelSize = kernelSize
        self.stride = stride
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the power averages.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        lpPool3d(x, norm: norm, kernelSize: kernelSize, stride: stride, ceilMode: ceilMode)
    }
}
