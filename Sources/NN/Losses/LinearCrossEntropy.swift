import Autograd
import CoreTensor

/// Cross-entropy of the logits x Wᵀ + b, a part of the rows at a time, so that the logits of a large vocabulary never are in memory
/// all at once; they are computed again for the gradient. Equal to
/// ``crossEntropy(_:_:weight:ignoreIndex:labelSmoothing:reduction:classAxis:)`` of `linear(x, projection, bias)`.
///
/// - Parameters:
///   - x: `[..., width]`.
///   - projection: W, `[classes, width]`.
///   - labels: integers `[...]`; those out of range trap.
///   - bias: b, `[classes]`.
///   - weight: a factor per class, `[classes]`.
///   - rowsPerChunk: rows whose logits are there at the same time.
public func linearCrossEntropy(
    _ x: Tensor, _ projection: Tensor, _ labels: Tensor, bias: Tensor? = nil, weight: Tensor? = nil,
    ignoreIndex: Int = -100, labelSmoothing: Double = 0, reduction: Reduction = .mean, rowsPerChunk: Int = 1024
) -> Tensor {
    if projection.rank != 2 || x.rank == 0 || x.shape.last != projection.shape[1] {
        fail(
            "linearCrossEntropy",
            "inputs \(x.shape) do not fit a projection \(projection.shape); needs [..., width] and [classes, width]")
    }
    if labels.shape != Array(x.shape.dropLast()) || !labels.dtype.isInteger {
        fail(
            "linearCrossEntropy",
            "labels \(labels.dtype) \(labels.shape) do not fit inputs \(x.shape); needs integers without the last axis")
    }
    if rowsPerChunk < 1 { fail("linearCrossEntropy", "\(rowsPerChunk) rows per chunk") }
    let rows = x.reshaped([labels.count, x.shape.last!]), ids = labels.reshaped([labels.count])
    var parts: [Tensor] = []
    for start in stride(from: 0, to: max(labels.count, 1), by: rowsPerChunk) {
        let end = min(start + rowsPerChunk, labels.count), part = ids[start..<end]
        let some = rows[start..<end]
        parts.append(
            checkpoint {
                crossEntropy(
                    linear(some, projection, bias), part, weight: weight, ignoreIndex: ignoreIndex,
                    labelSmoothing: labelSmoothing, reduction: .none)
            })
    }
    let losses = concatenate(parts).reshaped(labels.shape)
    if reduction != .mean { return reduce(losses, reduction) }
    let (safe, kept) = checkedLabels("linearCrossEntropy", labels, classes: projection.shape[0], ignoreIndex: ignoreIndex)
    var weights = kept.to(losses.dtype)
    if let weight {
        weights = weights * weight.detached().indexSelect(axis: 0, index: safe.reshaped([safe.count])).reshaped(safe.shape)
    }
    return losses.sum() / weights.sum()
}
