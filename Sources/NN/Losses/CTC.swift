import CoreTensor

/// Connectionist temporal classification (Graves et al., 2006): the negative log-likelihood of label sequences, over all ways to
/// spread them over the steps with blanks between.
///
/// The gradient is that of the scores whose log-softmax the log-probabilities are; there is no second one.
///
/// - Parameters:
///   - logProbabilities: `[time, batch, classes]`, or `[time, classes]` for one sequence.
///   - targets: labels, `[batch, longest]` padded, or those of all sequences one after another in one axis.
///   - inputLengths: steps of each sequence.
///   - targetLengths: labels of each sequence.
///   - blank: the class that stands for no label.
///   - reduction: the mean divides each loss by its number of labels (at least 1) first.
///   - zeroInfinity: infinite losses (labels that do not fit into the input) and their gradients become 0.
public func ctcLoss(
    _ logProbabilities: Tensor, _ targets: Tensor, inputLengths: [Int], targetLengths: [Int], blank: Int = 0,
    reduction: Reduction = .mean, zeroInfinity: Bool = false
) -> Tensor {
    let logProbabilities = Autocast.raised(logProbabilities), targets = Autocast.raised(targets)
    if logProbabilities.rank == 2 {
        let loss = ctcLoss(
            logProbabilities.unsqueezed(1), targets.rank < 2 ? targets.unsqueezed(0) : targets, inputLengths: inputLengths,
            targetLengths: targetLengths, blank: blank, reduction: reduction, zeroInfinity: zeroInfinity)
        return reduction == .none ? loss.squeezed(0) : loss
    }
    if !targets.dtype.isInteger && targets.count > 0 { fail("ctcLoss", "targets must be integers, not \(targets.dtype)") }
    var offsets: [Int] = []
    switch targets.rank {
    case 1:
        var next = 0
        for length in targetLengths {
            offsets.append(next)
            next += max(length, 0)
        }
        if next != targets.count { fail("ctcLoss", "target lengths add up to \(next), but targets have \(targets.count) labels") }
    case 2:
        if targets.shape[0] != targetLengths.count {
            fail("ctcLoss", "targets \(targets.shape) for \(targetLengths.count) target lengths")
        }
        for (n, length) in targetLengths.enumerated() where length > targets.shape[1] {
            fail("ctcLoss", "target length \(length) of sequence \(n) in targets \(targets.shape)")
        }
        offsets = targetLengths.indices.map { $0 * targets.shape[1] }
    default: fail("ctcLoss", "targets \(targets.shape); needs [batch, longest] or one axis")
    }
    let losses = ctcRows(
        logProbabilities, targets: targets, offsets: offsets, inputLengths: inputLengths, targetLengths: targetLengths,
        blank: blank, zeroInfinity: zeroInfinity)
    if reduction != .mean { return reduce(losses, reduction) }
    let lengths = Tensor(
        targetLengths.map { Double(max($0, 1)) }, shape: [targetLengths.count], dtype: losses.dtype, device: losses.device)
    return (losses / lengths).mean()
}
