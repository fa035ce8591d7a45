final class LogSumExpBackward: Node, @unchecked Sendable {
    let kept: Shape, shape: Shape
    init(kept: Shape, shape: Shape) {
        self.kept = kept
        self.shape = shape
        super.init()
    }
    // e^(x - y), where y is finite
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let y = expandReduced(saved(1), kept: kept, to: shape)
        let shift = which(y.detached().isFinite, y, Tensor(zerosLike: y))
        return expandReduced(g, kept: kept, to: shape) * conj(exp(saved(0) - shift))
    }
}

extension Tensor {
    /// ln Σ eˣ over the axes, without overflow; -∞ over nothing. Complex numbers are shifted by their largest real part.
    public func logSumExp(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        if isAutocastEnabled && dtype.byteCount == 2 { return Autocast.raised(self).logSumExp(axes, keepDims: keepDims) }
        let x = dtype.isComplex ? self : asFloatingPoint("logSumExp")
        if isBatched {
            let moved = axes.shifted("logSumExp", rank: rank)
            return x.lifted { x, hidden in x.logSumExp(moved(hidden), keepDims: keepDims) }
        }
        let resolved = axes.resolved("logSumExp", rank: rank)
        let empty = resolved.contains { rank > 0 && shape[$0] == 0 }
        if empty { return log(x.sum(axes, keepDims: keepDims)) }
        let kept = shape.indices.map { resolved.contains($0) ? 1 : shape[$0] }
        let result = withoutGrad { () -> Tensor in
            // An infinite maximum must not give ∞ - ∞.
            let peak = x.detached().real.max(axes, keepDims: true)
            let shift = which(peak.isFinite, peak, Tensor(zerosLike: peak))
            let total = log(exp(x - shift).sum(axes, keepDims: true)) + shift
            return keepDims ? total : total.reshaped(shape.indices.filter { !resolved.contains($0) }.map { shape[$0] })
        }
        return record(result.raw, x) {
            let node = LogSumExpBackward(kept: kept, shape: shape)
            node.save(x)
            node.save(output: result.raw)
            return node
        }
    }
}
