import CoreTensor

/// Resampling of the spatial axes as a layer; see ``interpolate(_:size:scaleFactor:mode:alignCorners:recomputeScaleFactor:antialias:)``.
public final class Upsample: Module, Layer {
    /// Sizes of the output, or factors by which the axes grow: one of the two is given.
    public let size: SpatialSizes?
    /// Factors by which the axes grow.
    public let scaleFactor: [Double]?
    /// How values between elements are found.
    public let mode: InterpolationMode
    /// Whether the first and last elements keep their places, and whether the factor is taken anew from the sizes.
    public let alignCorners, recomputeScaleFactor: Bool

    /// Give either a size or a factor.
    public init(
        size: SpatialSizes? = nil, scaleFactor: [Double]? = nil, mode: InterpolationMode = .nearest, alignCorners: Bool = false,
        recomputeScaleFactor: Bool = false
    ) {
        self.size = size
        self.scaleFactor = scaleFactor
        self.mode = mode
        self.alignCorners = alignCorners
        self.recomputeScaleFactor = recomputeScaleFactor
    }

    /// `[batch, channels, 1 to 3 axes]` gives `[batch, channels, size...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        interpolate(
            x, size: size, scaleFactor: scaleFactor, mode: mode, alignCorners: alignCorners,
            recomputeScaleFactor: recomputeScaleFactor)
    }
}

/// Channels spread over space; see ``pixelShuffle(_:factor:)``.
public final class PixelShuffle: Module, Layer {
    /// How much height and width grow.
    public let factor: Int
    /// `[..., channels · factor², height, width]` gives `[..., channels, height · factor, width · factor]`.
    public init(_ factor: Int) { self.factor = factor }
    /// The channels spread out.
    public func callAsFunction(_ x: Tensor) -> Tensor { pixelShuffle(x, factor: factor) }
}

/// Space gathered into channels; see ``pixelUnshuffle(_:factor:)``.
public final class PixelUnshuffle: Module, Layer {
    /// How much height and width shrink.
    public let factor: Int
    /// `[..., channels, height · factor, width · factor]` gives `[..., channels · factor², height, width]`.
    public init(_ factor: Int) { self.factor = factor }
    /// The places gathered.
    public func callAsFunction(_ x: Tensor) -> Tensor { pixelUnshuffle(x, factor: factor) }
}

/// The channels of groups in turn; see ``channelShuffle(_:groups:)``.
public final class ChannelShuffle: Module, Layer {
    /// The number of groups.
    public let groups: Int
    /// `[batch, channels, ...]` to the same shape.
    public init(_ groups: Int) { self.groups = groups }
    /// The channels shuffled.
    public func callAsFunction(_ x: Tensor) -> Tensor { channelShuffle(x, groups: groups) }
}

/// Sliding blocks as columns; see ``unfold(_:kernelSize:dilation:padding:stride:)``.
public final class Unfold: Module, Layer {
    /// The geometry of the blocks.
    public let kernelSize, dilation, padding, stride: SpatialSizes
    /// Blocks of `kernelSize`.
    public init(kernelSize: SpatialSizes, dilation: SpatialSizes = 1, padding: SpatialSizes = 0, stride: SpatialSizes = 1) {
        self.kernelSize = kernelSize
        self.dilation = dilation
        self.padding = padding
        self.stride = stride
    }
    /// `[batch, channels, height, width]` gives `[batch, channels · taps, blocks]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        unfold(x, kernelSize: kernelSize, dilation: dilation, padding: padding, stride: stride)
    }
}

/// Columns added up to an image; see ``fold(_:outputSize:kernelSize:dilation:padding:stride:)``.
public final class Fold: Module, Layer {
    /// Sizes of the output and the geometry of the blocks.
    public let outputSize, kernelSize, dilation, padding, stride: SpatialSizes
    /// Blocks of `kernelSize` in an output of `outputSize`.
    public init(
        outputSize: SpatialSizes, kernelSize: SpatialSizes, dilation: SpatialSizes = 1, padding: SpatialSizes = 0,
        stride: SpatialSizes = 1
    ) {
        self.outputSize = outputSize
        self.kernelSize = kernelSize
        self.dilation = dilation
        self.padding = padding
        self.stride = stride
    }
    /// `[batch, channels · taps, blocks]` gives `[batch, channels, outputSize...]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        fold(x, outputSize: outputSize, kernelSize: kernelSize, dilation: dilation, padding: padding, stride: stride)
    }
}
