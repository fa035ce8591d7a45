import CoreTensor

/// How the losses of single elements become one result.
public enum Reduction: String, Sendable {
    /// The mean over all elements; losses with weights or ignored labels say what they divide by.
    case mean
    /// The sum over all elements.
    case sum
    /// Every element by itself.
    case none
    /// The sum over all elements divided by the size of the first axis (by 1 for a single number).
    case batchMean = "batchmean"
}

func reduce(_ loss: Tensor, _ reduction: Reduction) -> Tensor {
    switch reduction {
    case .mean: loss.mean()
    case .sum: loss.sum()
    case .none: loss
    case .batchMean: loss.rank == 0 ? loss : loss.sum() / Double(loss.shape[0])
    }
}

/// A weighted loss; the mean is over the weights.
func reduce(_ loss: Tensor, weights: @autoclosure () -> Tensor, _ reduction: Reduction) -> Tensor {
    reduction == .mean ? loss.sum() / weights().sum() : reduce(loss, reduction)
}

func checkSameShape(_ operation: String, _ a: Tensor, _ b: Tensor) {
    if a.shape != b.shape {
        fail(operation, "prediction \(a.shape) and target \(b.shape) differ; reshape one of them")
    }
}

/// Checks that shapes broadcast, so that the message is the loss's own.
func checkBroadcast(_ operation: String, _ tensors: Tensor...) {
    var shape: Shape? = []
    for tensor in tensors { shape = shape.flatMap { broadcastShape($0, tensor.shape) } }
    if shape == nil {
        fail(operation, "shapes \(tensors.map(\.shape).map { "\($0)" }.joined(separator: ", ")) do not broadcast")
    }
}

/// Whole numbers and bools as float32, as PyTorch promotes them beside a fraction.
func asFloats(_ x: Tensor) -> Tensor { x.dtype.isFloatingPoint ? x : x.to(.float32) }

/// Scores with the axis of the classes moved to the end.
func classesLast(_ operation: String, _ scores: Tensor, _ classAxis: Int) -> Tensor {
    if scores.rank == 0 { fail(operation, "scores need an axis of classes, not shape []") }
    if !scores.dtype.isFloatingPoint { fail(operation, "scores must be floats, not \(scores.dtype)") }
    var order = Array(0..<scores.rank)
    let axis = classAxis < 0 ? classAxis + scores.rank : classAxis
    if !order.contains(axis) { fail(operation, "class axis \(classAxis) is out of range for scores \(scores.shape)") }
    order.append(order.remove(at: axis))
    return axis == scores.rank - 1 ? scores : scores.permuted(order)
}

/// Labels as int64 within `0 ..< classes`, those that count for nothing as 0, and which ones count. Traps on others.
func checkedLabels(
    _ operation: String, _ labels: Tensor, classes: Int, ignoreIndex: Int
) -> (labels: Tensor, kept: Tensor) {
    if !labels.dtype.isInteger { fail(operation, "labels must be integers, not \(labels.dtype)") }
    let ids = labels.detached().to(.int64)
    let kept = ids .!= ignoreIndex
    let safe = which(kept, ids, Tensor(zerosLike: ids))
    checkIndices(operation, safe, limit: classes, what: "label")
    return (safe, kept)
}

func checkClassWeight(_ operation: String, _ weight: Tensor?, classes: Int) {
    if let weight, weight.shape != [classes] {
        fail(operation, "weight \(weight.shape) for \(classes) classes; needs [\(classes)]")
    }
}
