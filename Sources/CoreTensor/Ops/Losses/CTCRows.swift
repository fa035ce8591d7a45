final class CTCBackward: Node, @unchecked Sendable {
    let plan: CTCPlan
    let zeroInfinity: Bool
    init(_ plan: CTCPlan, zeroInfinity: Bool) {
        self.plan = plan
        self.zeroInfinity = zeroInfinity
        super.init()
    }

    // Each sequence's scores move with the gradient of its loss alone.
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0)
        if g.isBatched || (isGradEnabled && (x.requiresGrad || g.requiresGrad)) {
            let each = record(slope(x, Tensor(onesLike: saved(2))), x) { CTCSlopeBackward() }
            return each * g.unsqueezed(-1)
        }
        return Tensor(raw: slope(x, g))
    }

    private func slope(_ x: Tensor, _ g: Tensor) -> RawTensor {
        let dense = x.raw.contiguous()
        let out = Tensor(zeros: x.shape, dtype: x.dtype, device: x.device).raw
        dense.backend.ctcGrad(
            dense, plan, alpha: saved(1).raw, loss: saved(2).raw, g.raw.broadcast(to: [x.shape[1]]).contiguous(),
            zeroInfinity: zeroInfinity, out)
        return out
    }
}

/// Stands where a second derivative would have to come from.
final class CTCSlopeBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { fail("ctcLoss", "has no second derivative", recordedAt: site) }
}

/// The negative log-likelihood of each sequence under connectionist temporal classification (Graves et al., 2006), by the forward
/// algorithm in logarithms: `logProbabilities [time, batch, classes]` gives `[batch]`.
///
/// The gradient is that of the scores whose log-softmax the log-probabilities are, exp(x) less the label's share of all paths (as
/// PyTorch's); there is no second one. Labels are those of `targets` from each sequence's offset on. Traps on lengths and labels
/// out of range.
///
/// - Parameter zeroInfinity: infinite losses (labels that do not fit into the input) and their gradients become 0.
public func ctcRows(
    _ logProbabilities: Tensor, targets: Tensor, offsets: [Int], inputLengths: [Int], targetLengths: [Int], blank: Int = 0,
    zeroInfinity: Bool = false
) -> Tensor {
    let shape = logProbabilities.shape
    if shape.count != 3 || !logProbabilities.dtype.isFloatingPoint {
        fail("ctcLoss", "log-probabilities \(logProbabilities.dtype) \(shape); needs floats [time, batch, classes]")
    }
    if logProbabilities.isBatched || targets.isBatched {
        return looped("ctcLoss", [logProbabilities, targets]) {
            ctcRows(
                $0[0], targets: $0[1], offsets: offsets, inputLengths: inputLengths, targetLengths: targetLengths, blank: blank,
                zeroInfinity: zeroInfinity)
        }
    }
    let (time, batch, classes) = (shape[0], shape[1], shape[2])
    if offsets.count != batch || inputLengths.count != batch || targetLengths.count != batch {
        fail(
            "ctcLoss", "\(inputLengths.count) input lengths and \(targetLengths.count) target lengths for \(batch) sequences")
    }
    if !(0..<classes).contains(blank) { fail("ctcLoss", "blank \(blank) is out of range 0 ..< \(classes)") }
    for (n, length) in inputLengths.enumerated() where !(0...time).contains(length) {
        fail("ctcLoss", "input length \(length) of sequence \(n); there are \(time) steps")
    }
    for n in 0..<batch where targetLengths[n] < 0 || offsets[n] < 0 || offsets[n] + targetLengths[n] > targets.count {
        fail("ctcLoss", "target length \(targetLengths[n]) of sequence \(n) does not fit targets \(targets.shape)")
    }
    if logProbabilities.dtype != .float32 && logProbabilities.dtype != .float64 {
        return ctcRows(
            logProbabilities.to(.float32), targets: targets, offsets: offsets, inputLengths: inputLengths,
            targetLengths: targetLengths, blank: blank, zeroInfinity: zeroInfinity
        ).to(logProbabilities.dtype)
    }
    // Padding may hold anything: only the labels within the lengths count.
    let ids = targets.detached().to(.int64).to(logProbabilities.device).reshaped([targets.count])
    for n in 0..<batch where targetLengths[n] > 0 {
        let part = ids.narrowed(axis: 0, start: offsets[n], length: targetLengths[n])
        _ = checkedIndices("ctcLoss", part, limit: classes, what: "label")
    }
    let plan = CTCPlan(
        targets: ids.raw.contiguous(), offsets: offsets.map(Int64.init), inputLengths: inputLengths.map(Int64.init),
        targetLengths: targetLengths.map(Int64.init), blank: blank)
    let dense = logProbabilities.raw.contiguous()
    let alpha = RawTensor(shape: [batch, time, plan.states], dense.dtype, dense.device)
    let loss = RawTensor(shape: [batch], dense.dtype, dense.device)
    dense.backend.ctc(dense, plan, alpha: alpha, loss: loss)
    var out = Tensor(raw: loss)
    if zeroInfinity { out = out.maskedFill(out .== Double.infinity, 0) }
    return record(out.raw, logProbabilities) {
        let node = CTCBackward(plan, zeroInfinity: zeroInfinity)
        node.save(logProbabilities)
        node.save(Tensor(raw: alpha))
        node.save(Tensor(raw: loss))
        return node
    }
}
