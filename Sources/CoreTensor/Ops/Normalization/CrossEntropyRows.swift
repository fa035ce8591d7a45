final class CrossEntropyBackward: Node, @unchecked Sendable {
    let ignoreIndex: Int
    let smoothing: Double
    init(ignoreIndex: Int, smoothing: Double) {
        self.ignoreIndex = ignoreIndex
        self.smoothing = smoothing
        super.init()
    }

    // g (softmax(x) - target), row by row; ignored rows get 0
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let x = saved(0), labels = saved(1)
        if g.isBatched || (isGradEnabled && (x.requiresGrad || g.requiresGrad)) {
            let classes = x.shape[1]
            let column = labels.unsqueezed(1)
            let hit = (Tensor(arange: classes, device: x.device) .== column).to(g.dtype)
            let target = hit * (1 - smoothing) + smoothing / Double(classes)
            let kept = (column .!= ignoreIndex).to(g.dtype)
            return (softmax(x.to(g.dtype)) - target) * kept * g.unsqueezed(1)
        }
        let dense = x.raw.contiguous()
        let out = RawTensor(dense.layout, dense.dtype, dense.device)
        out.backend.crossEntropyGrad(
            dense, labels.raw, lse: saved(2).raw, g.raw.broadcast(to: labels.shape).contiguous(), out,
            ignoreIndex: ignoreIndex, smoothing: smoothing)
        return Tensor(raw: out)
    }
}

/// Cross-entropy of each row, in one pass over the logits: `logits [rows, classes]`, `labels [rows]` gives `[rows]`,
/// -ln softmax(x)[label] (in float32 for 16-bit logits, rounded but for an `autocast` region), mixed with the uniform distribution by `labelSmoothing`; 0 where the label is `ignoreIndex`.
/// Labels out of range trap.
public func crossEntropyRows(
    _ logits: Tensor, _ labels: Tensor, ignoreIndex: Int = -100, labelSmoothing: Double = 0
) -> Tensor {
    if logits.rank != 2 || labels.shape != [logits.shape[0]] || !logits.dtype.isFloatingPoint {
        fail("crossEntropy", "logits \(logits.dtype) \(logits.shape) do not fit labels \(labels.shape)")
    }
    let classes = logits.shape[1]
    if !labels.dtype.isInteger { fail("crossEntropy", "labels must be integers, not \(labels.dtype)") }
    if logits.isBatched || labels.isBatched {
        return liftedTogether([logits, labels]) { plain, hidden in
            crossEntropyRows(
                plain[0].reshaped([-1, classes]), plain[1].flattened(), ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing
            ).reshaped(plain[1].shape)
        }
    }
    requireSameDevice("crossEntropy", logits.raw, labels.raw)
    let ids = labels.detached().to(.int64)
    // Ignored labels pass the range check as class 0.
    _ = checkedIndices(
        "crossEntropy", which(ids .== ignoreIndex, Tensor(zerosLike: ids), ids), limit: classes, what: "label")
    let dense = logits.raw.contiguous()
    let statistics: DType = logits.dtype == .float64 ? .float64 : .float32
    let loss = RawTensor(shape: labels.shape, statistics, logits.device)
    let lse = RawTensor(loss.layout, statistics, logits.device)
    let index = ids.raw.contiguous()
    loss.backend.crossEntropy(
        dense, index, loss: loss, lse: lse, ignoreIndex: ignoreIndex, smoothing: labelSmoothing)
    let rows = record(loss, logits) {
        let node = CrossEntropyBackward(ignoreIndex: ignoreIndex, smoothing: labelSmoothing)
        node.save(logits)
        node.save(Tensor(raw: index))
        node.save(Tensor(raw: lse))
        return node
    }
    return isAutocastEnabled ? rows : rows.to(logits.dtype)
}
