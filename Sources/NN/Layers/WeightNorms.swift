import CoreTensor

/// A layer whose weight is g · v / ‖v‖ (Salimans and Kingma, 2016): its length and its direction are trained apart.
///
/// Parameters are `magnitude` (g, of size 1 but along `axis`), `direction` (v, of the weight's shape) and the layer's bias.
public final class WeightNorm<Wrapped: WeightedLayer>: Module, Layer, CustomReflectable {
    /// The layer, whose own weight is not used any more.
    public let layer: Wrapped
    /// g.
    public let magnitude: Parameter
    /// v.
    public let direction: Parameter
    /// The axis along which norms are separate; nil: one norm of all.
    public let axis: Int?

    /// Starts with the layer's weight. Traps if there is no such axis.
    public init(_ layer: Wrapped, axis: Int? = 0) {
        let v = layer.weight.value.detached()
        if let axis, !(-v.rank..<v.rank).contains(axis) { fail("WeightNorm", "axis \(axis) of a weight \(v.shape)") }
        self.axis = axis.map { $0 < 0 ? $0 + v.rank : $0 }
        self.layer = layer
        magnitude = Parameter(Self.norm(v, self.axis))
        direction = Parameter(v)
    }

    private static func norm(_ v: Tensor, _ axis: Int?) -> Tensor {
        guard let axis else { return sqrt((v * v).sum()) }
        return sqrt((v * v).sum(Axes((0..<v.rank).filter { $0 != axis }), keepDims: true))
    }

    /// g · v / ‖v‖.
    public var weight: Tensor {
        let v = direction.value
        return v * (magnitude.value / Self.norm(v, axis))
    }

    /// The layer's function with that weight.
    public func callAsFunction(_ x: Tensor) -> Tensor { layer(x, weight: weight) }

    /// What holds parameters; the layer's own weight does not count.
    public var customMirror: Mirror {
        Mirror(self, children: ["magnitude": magnitude, "direction": direction, "bias": layer.bias as Any])
    }
}

/// A layer whose weight is divided by its largest singular value (Miyato et al., 2018), found by power iteration: one step in every
/// call in training.
///
/// Parameters are `original`, the weight before the division, and the layer's bias; buffers the singular vectors `left` and `right`.
public final class SpectralNorm<Wrapped: WeightedLayer>: Module, Layer, CustomReflectable {
    /// The layer, whose own weight is not used any more.
    public let layer: Wrapped
    /// The weight before the division.
    public let original: Parameter
    /// The estimates of the first singular vectors, `[outputs]` and `[the rest]`.
    public let left, right: Buffer
    /// Steps of the power iteration per call.
    public let iterations: Int
    /// The least norm that is divided by in the iteration.
    public let eps: Double

    /// Starts with the layer's weight and 15 steps of the iteration.
    public init(_ layer: Wrapped, iterations: Int = 1, eps: Double = 1e-12, generator: RandomGenerator = .default) {
        if iterations < 1 { fail("SpectralNorm", "\(iterations) iterations; needs at least 1") }
        self.layer = layer
        original = Parameter(layer.weight.value.detached())
        self.iterations = iterations
        self.eps = eps
        let w = Self.matrix(original.value.detached(), layer.outputAxis)
        let (u, v) = withoutGrad {
            Self.iterate(
                w, Self.unit(Tensor(normal: [w.shape[0]], dtype: w.dtype, generator: generator), eps),
                Self.unit(Tensor(normal: [w.shape[1]], dtype: w.dtype, generator: generator), eps), 15, eps)
        }
        left = Buffer(u)
        right = Buffer(v)
    }

    /// Outputs as rows.
    private static func matrix(_ w: Tensor, _ axis: Int) -> Tensor {
        let front = axis == 0 ? w : w.transposed(0, axis)
        return front.reshaped([front.shape[0], front.shape[1...].reduce(1, *)])
    }

    private static func unit(_ x: Tensor, _ eps: Double) -> Tensor { x / maximum(sqrt((x * x).sum()), eps) }

    private static func iterate(_ w: Tensor, _ u: Tensor, _ v: Tensor, _ steps: Int, _ eps: Double) -> (Tensor, Tensor) {
        var u = u, v = v
        for _ in 0..<steps {
            u = unit(matmul(w, v), eps)
            v = unit(matmul(u, w), eps)
        }
        return (u, v)
    }

    /// The weight over its largest singular value. In training the estimate moves on by ``iterations`` steps.
    public var weight: Tensor {
        let w = original.value, flat = Self.matrix(w, layer.outputAxis)
        if flat.shape.contains(0) { return w }
        if isTraining {
            let (u, v) = withoutGrad { Self.iterate(flat.detached(), left.value, right.value, iterations, eps) }
            left.value = u
            right.value = v
        }
        return w / matmul(left.value, matmul(flat, right.value))
    }

    /// The layer's function with that weight.
    public func callAsFunction(_ x: Tensor) -> Tensor { layer(x, weight: weight) }

    /// What holds parameters and buffers; the layer's own weight does not count.
    public var customMirror: Mirror {
        Mirror(self, children: ["original": original, "left": left, "right": right, "bias": layer.bias as Any])
    }
}
