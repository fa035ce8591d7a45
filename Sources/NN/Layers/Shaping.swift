import CoreTensor

/// Axes `from` through `through` merged: by default `[batch, ...]` gives `[batch, features]`.
public final class Flatten: Module, Layer {
    /// The first and the last of the merged axes; negative ones count from the last.
    public let from, through: Int
    /// All axes but the first are merged unless told otherwise.
    public init(from: Int = 1, through: Int = -1) {
        self.from = from
        self.through = through
    }
    /// A view where the elements are dense.
    public func callAsFunction(_ x: Tensor) -> Tensor { x.flattened(from: from, through: through) }
}

/// One axis taken apart: `[..., n, ...]` gives `[..., sizes..., ...]`.
public final class Unflatten: Module, Layer {
    /// The axis; negative ones count from the last.
    public let axis: Int
    /// What it becomes; one size may be -1, which is worked out.
    public let sizes: [Int]
    /// Takes `axis` apart into `sizes`, whose product is its size.
    public init(_ axis: Int, into sizes: [Int]) {
        self.axis = axis
        self.sizes = sizes
    }
    /// A view.
    public func callAsFunction(_ x: Tensor) -> Tensor { x.unflattened(axis, into: sizes) }
}

/// `x` itself: holds the place of a layer.
public final class Identity: Module, Layer {
    /// `x`.
    public func callAsFunction(_ x: Tensor) -> Tensor { x }
}
