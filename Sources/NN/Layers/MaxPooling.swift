import CoreTensor

/// Max pooling over the last axis as a layer; see ``maxPool1d(_:kernelSize:stride:padding:dilation:ceilMode:)``.
public final class MaxPool1d: Module, Layer {
    /// Places of a window, and the distance between them.
    public let kernelSize, dilation: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Places of -∞ added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
        ceilMode: Bool = false
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the maxima.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        maxPool1d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }

    /// The maxima and their places, for ``MaxUnpool1d``.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        maxPoolWithIndices(
            x, rank: 1, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }
}

/// Max pooling over the last two axes as a layer; see ``maxPool2d(_:kernelSize:stride:padding:dilation:ceilMode:)``.
public final class MaxPool2d: Module, Layer {
    /// Places of a window, and the distance between them.
    public let kernelSize, dilation: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Places of -∞ added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
        ceilMode: Bool = false
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the maxima.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        maxPool2d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }

    /// The maxima and their places, for ``MaxUnpool2d``.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        maxPoolWithIndices(
            x, rank: 2, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }
}

/// Max pooling over the last three axes as a layer; see ``maxPool3d(_:kernelSize:stride:padding:dilation:ceilMode:)``.
public final class MaxPool3d: Module, Layer {
    /// Places of a window, and the distance between them.
    public let kernelSize, dilation: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Places of -∞ added at both ends.
    public let padding: SpatialSizes
    /// Whether a last window may go over the end.
    public let ceilMode: Bool

    /// Windows of `kernelSize`, side by side unless `stride` says otherwise.
    public init(
        kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0, dilation: SpatialSizes = 1,
        ceilMode: Bool = false
    ) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceilMode = ceilMode
    }

    /// `[batch, channels, ...]` (or without batch) gives the maxima.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        maxPool3d(x, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }

    /// The maxima and their places, for ``MaxUnpool3d``.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        maxPoolWithIndices(
            x, rank: 3, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
    }
}
