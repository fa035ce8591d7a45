/// The last axis brought to the end and back, for kernels that work on rows.
private func alongLast(_ operation: String, _ x: Tensor, _ axis: Int, _ body: (Tensor) -> Tensor) -> Tensor {
    if x.rank == 0 { return body(x.reshaped([1])).reshaped([]) }
    let axis = resolveAxis(operation, axis, rank: x.rank)
    if axis == x.rank - 1 { return body(x) }
    return body(x.transposed(axis, -1)).transposed(axis, -1)
}

final class SoftmaxBackward: Node, @unchecked Sendable {
    let isLog: Bool
    init(log: Bool) {
        isLog = log
        super.init()
    }
    override var name: String { isLog ? "LogSoftmaxBackward" : "SoftmaxBackward" }

    // softmax: y (g - Σ g y); log-softmax: g - e^y Σ g
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let y = saved(0)
        if g.isBatched || (isGradEnabled && (y.requiresGrad || g.requiresGrad)) {
            return isLog
                ? g - exp(y) * g.sum(-1, keepDims: true) : y * (g - (g * y).sum(-1, keepDims: true))
        }
        let dense = g.raw.broadcast(to: y.shape).contiguous()
        let out = RawTensor(dense.layout, dense.dtype, dense.device)
        out.backend.softmaxGrad(output: y.raw.contiguous(), dense, out, log: isLog)
        return Tensor(raw: out)
    }
}

private func rowSoftmax(_ x: Tensor, log: Bool) -> Tensor {
    if x.isBatched { return x.lifted { x, _ in rowSoftmax(x, log: log) } }
    let dense = x.raw.contiguous()
    let out = RawTensor(dense.layout, dense.dtype, dense.device)
    out.backend.softmax(dense, out, log: log)
    return record(out, x) {
        let node = SoftmaxBackward(log: log)
        node.save(output: out)
        return node
    }
}

/// e^x / Σ e^x along an axis, the maximum subtracted first.
public func softmax(_ x: Tensor, axis: Int = -1) -> Tensor {
    alongLast("softmax", Autocast.raised(x).asFloatingPoint("softmax"), axis) { rowSoftmax($0, log: false) }
}

/// x - ln Σ e^x along an axis, without overflow.
public func logSoftmax(_ x: Tensor, axis: Int = -1) -> Tensor {
    alongLast("logSoftmax", Autocast.raised(x).asFloatingPoint("logSoftmax"), axis) { rowSoftmax($0, log: true) }
}
