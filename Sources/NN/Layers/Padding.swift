import CoreTensor

/// What padding layers share: the last `spatialRank` axes are extended.
public class PaddingLayer: Module, Layer {
    /// Pairs of places before and after, for the last axis first.
    public let padding: [Int]
    /// What the places hold.
    public let mode: PaddingMode
    let spatialRank: Int

    init(_ padding: SpatialSizes, _ mode: PaddingMode, rank: Int) {
        self.padding = padding.expanded("padding layer", "padding", rank: 2 * rank, atLeast: .min)
        self.mode = mode
        spatialRank = rank
    }

    /// `[batch, channels, ...]` (or without batch) with longer last axes.
    public final func callAsFunction(_ x: Tensor) -> Tensor {
        if x.rank != spatialRank + 1 && x.rank != spatialRank + 2 {
            fail(
                "\(type(of: self))", "an input of shape \(x.shape); needs [batch, channels, \(spatialRank) axes] or without batch"
            )
        }
        return x.padded(padding, mode: mode)
    }
}

/// Extends the last axis by `[left, right]` places of zeros.
public final class ZeroPad1d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .zeros, rank: 1) }
}

/// Extends the last two axes by `[left, right, top, bottom]` places of zeros.
public final class ZeroPad2d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .zeros, rank: 2) }
}

/// Extends the last three axes by `[left, right, top, bottom, front, back]` places of zeros.
public final class ZeroPad3d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .zeros, rank: 3) }
}

/// Extends the last axis by `[left, right]` places of the input mirrored.
public final class ReflectionPad1d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .reflect, rank: 1) }
}

/// Extends the last two axes by `[left, right, top, bottom]` places of the input mirrored.
public final class ReflectionPad2d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .reflect, rank: 2) }
}

/// Extends the last three axes by `[left, right, top, bottom, front, back]` places of the input mirrored.
public final class ReflectionPad3d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .reflect, rank: 3) }
}

/// Extends the last axis by `[left, right]` places of its border elements.
public final class ReplicationPad1d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .replicate, rank: 1) }
}

/// Extends the last two axes by `[left, right, top, bottom]` places of its border elements.
public final class ReplicationPad2d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .replicate, rank: 2) }
}

/// Extends the last three axes by `[left, right, top, bottom, front, back]` places of its border elements.
public final class ReplicationPad3d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .replicate, rank: 3) }
}

/// Extends the last axis by `[left, right]` places of its other end.
public final class CircularPad1d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .circular, rank: 1) }
}

/// Extends the last two axes by `[left, right, top, bottom]` places of its other end.
public final class CircularPad2d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .circular, rank: 2) }
}

/// Extends the last three axes by `[left, right, top, bottom, front, back]` places of its other end.
public final class CircularPad3d: PaddingLayer {
    /// One number for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes) { super.init(padding, .circular, rank: 3) }
}

/// Extends the last axis by `[left, right]` places of a number.
public final class ConstantPad1d: PaddingLayer {
    /// One number of places for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes, value: Double) { super.init(padding, .constant(value), rank: 1) }
}

/// Extends the last two axes by `[left, right, top, bottom]` places of a number.
public final class ConstantPad2d: PaddingLayer {
    /// One number of places for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes, value: Double) { super.init(padding, .constant(value), rank: 2) }
}

/// Extends the last three axes by `[left, right, top, bottom, front, back]` places of a number.
public final class ConstantPad3d: PaddingLayer {
    /// One number of places for all sides, or one for each; negative numbers cut off.
    public init(_ padding: SpatialSizes, value: Double) { super.init(padding, .constant(value), rank: 3) }
}
