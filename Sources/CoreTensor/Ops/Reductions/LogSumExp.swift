extension Tensor {
    /// ln Σ eˣ over the axes, without overflow; -∞ over nothing.
    public func logSumExp(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        let x = asFloatingPoint()
        let resolved = axes.resolved("logSumExp", rank: rank)
        let empty = resolved.contains { rank > 0 && shape[$0] == 0 }
        if empty { return log(x.sum(axes, keepDims: keepDims)) }
        // An infinite maximum must not give ∞ - ∞.
        let peak = x.detached().max(axes, keepDims: true)
        let shift = which(peak.isFinite, peak, Tensor(zerosLike: peak))
        let total = log(exp(x - shift).sum(axes, keepDims: true)) + shift
        return keepDims ? total : total.reshaped(Reduction("logSumExp", raw, axes).droppedShape)
    }
}
