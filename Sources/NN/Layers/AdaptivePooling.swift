import CoreTensor

/// Average pooling to a given size of the last axis as a layer; see ``adaptiveAvgPool1d(_:outputSize:)``.
public final class AdaptiveAvgPool1d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Means of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveAvgPool1d(x, outputSize: outputSize) }
}

/// Max pooling to a given size of the last axis as a layer; see ``adaptiveMaxPool1d(_:outputSize:)``.
public final class AdaptiveMaxPool1d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Maxima of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveMaxPool1d(x, outputSize: outputSize) }
    /// The maxima and their places in the input's plane.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        adaptiveMaxPoolWithIndices(x, rank: 1, outputSize: outputSize)
    }
}

/// Average pooling to a given size of the last two axes as a layer; see ``adaptiveAvgPool2d(_:outputSize:)``.
public final class AdaptiveAvgPool2d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Means of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveAvgPool2d(x, outputSize: outputSize) }
}

/// Max pooling to a given size of the last two axes as a layer; see ``adaptiveMaxPool2d(_:outputSize:)``.
public final class AdaptiveMaxPool2d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Maxima of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveMaxPool2d(x, outputSize: outputSize) }
    /// The maxima and their places in the input's plane.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        adaptiveMaxPoolWithIndices(x, rank: 2, outputSize: outputSize)
    }
}

/// Average pooling to a given size of the last three axes as a layer; see ``adaptiveAvgPool3d(_:outputSize:)``.
public final class AdaptiveAvgPool3d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Means of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveAvgPool3d(x, outputSize: outputSize) }
}

/// Max pooling to a given size of the last three axes as a layer; see ``adaptiveMaxPool3d(_:outputSize:)``.
public final class AdaptiveMaxPool3d: Module, Layer {
    /// Sizes of the output; nil keeps the input's.
    public let outputSize: AdaptiveSizes
    /// Maxima of windows that share the input out evenly.
    public init(_ outputSize: AdaptiveSizes) { self.outputSize = outputSize }
    /// `[batch, channels, ...]` (or without batch) gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { adaptiveMaxPool3d(x, outputSize: outputSize) }
    /// The maxima and their places in the input's plane.
    public func withIndices(_ x: Tensor) -> (values: Tensor, indices: Tensor) {
        adaptiveMaxPoolWithIndices(x, rank: 3, outputSize: outputSize)
    }
}
