final class VarianceBackward: Node, @unchecked Sendable {
    let kept: Shape, shape: Shape
    let axes: Axes
    let divisor: Double
    init(kept: Shape, shape: Shape, axes: Axes, divisor: Double) {
        self.kept = kept
        self.shape = shape
        self.axes = axes
        self.divisor = divisor
        super.init()
    }
    // d/dx Σ (x - mean)² / divisor = 2 (x - mean) / divisor
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        return expandReduced(g, kept: kept, to: shape) * (x - x.mean(axes, keepDims: true)) * (2 / divisor)
    }
}

extension Tensor {
    /// Variance over the axes: Σ (x - mean)² / (n - correction); correction 1 (Bessel's) by default, as PyTorch.
    public func variance(_ axes: Axes = .all, correction: Double = 1, keepDims: Bool = false) -> Tensor {
        if isAutocastEnabled && dtype.byteCount == 2 {
            return Autocast.raised(self).variance(axes, correction: correction, keepDims: keepDims)
        }
        if isBatched {
            let moved = axes.shifted("variance", rank: rank)
            return lifted { x, hidden in x.variance(moved(hidden), correction: correction, keepDims: keepDims) }
        }
        if dtype.isComplex {
            return real.variance(axes, correction: correction, keepDims: keepDims)
                + imaginary.variance(axes, correction: correction, keepDims: keepDims)
        }
        if !dtype.isFloatingPoint { fail("variance", "\(dtype) has no variance; convert with to(.float32)") }
        let reduction = Reduction("variance", raw, axes)
        let mean = RawTensor(shape: reduction.shape(keepDims: keepDims), dtype, device)
        let out = RawTensor(mean.layout, dtype, device)
        out.backend.meanAndM2(reduction.x, mean: mean, m2: out, reduction.view)
        let divisor = Swift.max(Double(reduction.view.n) - correction, 0)
        let scale = scalarRaw(divisor, 0, 0, dtype, device)
        let result = binaryForward("variance", .div, out, scale)
        return record(result, self) {
            let node = VarianceBackward(kept: reduction.keptShape, shape: shape, axes: axes, divisor: divisor)
            node.save(self)
            return node
        }
    }

    /// Standard deviation over the axes: the root of ``variance(_:correction:keepDims:)``.
    public func standardDeviation(_ axes: Axes = .all, correction: Double = 1, keepDims: Bool = false) -> Tensor {
        sqrt(variance(axes, correction: correction, keepDims: keepDims))
    }
}
