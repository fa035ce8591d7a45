import CCUDA
import CoreTensor

// MARK: Recurrent layers, and connectionist temporal classification

extension CUDABackend {
    /// Where a step finds and leaves the state: slot t before step t and slot t + 1 after it; the other way round in reverse.
    private func slots(_ plan: RecurrencePlan, _ i: Int) -> (step: Int, from: Int, to: Int) {
        let t = plan.reverse ? plan.time - 1 - i : i
        return plan.reverse ? (t, t + 1, t) : (t, t, t + 1)
    }

    private func shape(_ plan: RecurrencePlan, step: Int) -> tk_cuda_recurrence {
        tk_cuda_recurrence(
            kind: Int64(plan.kernel.rawValue), batch: Int64(plan.batch), hidden: Int64(plan.hidden), step: Int64(step))
    }

    /// Step by step, a product and a kernel for the gates; float32 and float64.
    public func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan
    ) {
        let batch = plan.batch, hidden = plan.hidden, width = plan.kernel.gates * hidden, units = batch * hidden
        if units == 0 { return }
        let product = scratch([batch, width], x.dtype), lengths = plan.lengths.map { table($0, .int64) }
        let multiply = MatMulPlan.dense(m: batch, n: width, k: hidden, transposeB: true)
        let name: StaticString = "recurrence", bytes = x.dtype.byteCount
        func at(_ x: RawTensor?, _ element: Int) -> UInt64 { x.map { address($0, name) + UInt64(element * bytes) } ?? 0 }
        for i in 0..<plan.time {
            let (t, from, to) = slots(plan, i)
            matmul(states.part([batch, hidden], from: from * units), weight, product, multiply, bias: nil)
            run(
                KernelName("tk_cell", x.dtype.suffix), pieces: units, at(x, t * batch * width), at(product, 0), at(bias, 0),
                at(states, from * units), at(cells, from * units), at(states, to * units), at(cells, to * units),
                at(gates, keepsGates ? t * 4 * units : 0), address(lengths, name), shape(plan, step: t))
        }
    }

    /// Step by step backwards; float32 and float64.
    public func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan
    ) {
        let batch = plan.batch, hidden = plan.hidden, width = plan.kernel.gates * hidden, units = batch * hidden
        if units == 0 { return }
        let product = scratch([batch, hidden], g.dtype), lengths = plan.lengths.map { table($0, .int64) }
        let multiply = MatMulPlan.dense(m: batch, n: hidden, k: width)
        let name: StaticString = "recurrenceGrad", bytes = g.dtype.byteCount
        func at(_ x: RawTensor?, _ element: Int) -> UInt64 { x.map { address($0, name) + UInt64(element * bytes) } ?? 0 }
        context.setBytes(at(dstate, 0), 0, units * bytes)
        for i in (0..<plan.time).reversed() {
            let (t, from, to) = slots(plan, i)
            run(
                KernelName("tk_cell_grad", g.dtype.suffix), pieces: units, at(g, t * units),
                i == plan.time - 1 ? 0 : at(product, 0), at(states, from * units), at(cells, from * units),
                at(states, to * units), at(cells, to * units), at(gates, t * 4 * units), at(dstate, 0), at(dcell, 0),
                at(dx, t * batch * width), at(dh, t * batch * width), address(lengths, name), shape(plan, step: t))
            matmul(dh.part([batch, width], from: t * batch * width), weight, product, multiply, bias: nil)
        }
        if plan.time > 0 { axpy(1, product, dstate) }
    }

    private func shape(_ x: RawTensor, _ plan: CTCPlan, zeroInfinity: Bool = false) -> tk_cuda_ctc {
        tk_cuda_ctc(
            time: Int64(x.shape[0]), batch: Int64(x.shape[1]), classes: Int64(x.shape[2]), blank: Int64(plan.blank),
            max_states: Int64(plan.states), zero_infinity: zeroInfinity ? 1 : 0)
    }
    /// Where each sequence's labels begin, its steps and its labels.
    private func sequences(_ plan: CTCPlan) -> RawTensor {
        table(plan.offsets.indices.flatMap { [plan.offsets[$0], plan.inputLengths[$0], plan.targetLengths[$0]] }, .int64)
    }

    /// A block to a sequence; float32 and float64.
    public func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor) {
        let x = logProbabilities, sequences = sequences(plan)
        context.launch(
            KernelName("tk_ctc", x.dtype.suffix), grid: (x.shape[1], 1), block: (256, 1), address(x, "ctc"),
            address(plan.targets, "ctc"), address(sequences, "ctc"), address(alpha, "ctc"), address(loss, "ctc"), shape(x, plan))
    }

    /// A block to a sequence; float32 and float64.
    public func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor
    ) {
        let x = logProbabilities, sequences = sequences(plan), name: StaticString = "ctcGrad"
        let beta = scratch([x.shape[1], 2, plan.states], x.dtype), next = scratch([x.shape[1], 2, plan.states], .int64)
        context.launch(
            KernelName("tk_ctc_grad", x.dtype.suffix), grid: (x.shape[1], 1), block: (256, 1), address(x, name),
            address(plan.targets, name), address(sequences, name), address(alpha, name), address(loss, name), address(g, name),
            address(out, name), address(beta, name), address(next, name), shape(x, plan, zeroInfinity: zeroInfinity))
    }
}
