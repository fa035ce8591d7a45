final class RecurrenceBackward: Node, @unchecked Sendable {
    let plan: RecurrencePlan
    let hasBias: Bool
    init(_ plan: RecurrencePlan, hasBias: Bool) {
        self.plan = plan
        self.hasBias = hasBias
        super.init()
    }
    override var isJoint: Bool { true }

    // Saved: x, weight, state, bias?, cell?, then the buffers of states, cells? and gates?
    private var firstBuffer: Int { 3 + (hasBias ? 1 : 0) + (plan.kernel == .lstm ? 1 : 0) }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        let shape = [plan.time, plan.batch, plan.hidden], weight = saved(1)
        let g = outputs[0] ?? Tensor(zeros: shape, dtype: weight.dtype, device: weight.device)
        var cellGradient: Tensor?
        if plan.kernel == .lstm {
            cellGradient = outputs[1] ?? Tensor(zeros: Array(shape[1...]), dtype: weight.dtype, device: weight.device)
        }
        let inputs = (0..<firstBuffer).map(saved) + [g] + [cellGradient].compactMap { $0 }
        if g.isBatched || cellGradient?.isBatched == true || (isGradEnabled && inputs.contains(where: \.requiresGrad)) {
            return composed(g, cellGradient)
        }
        let states = saved(firstBuffer).raw, isLSTM = plan.kernel == .lstm
        let cells = isLSTM ? saved(firstBuffer + 1).raw : nil
        let gates = plan.kernel.kept > 0 ? saved(firstBuffer + (isLSTM ? 2 : 1)).raw : nil
        let dx = RawTensor(shape: [plan.time, plan.batch, plan.kernel.gates * plan.hidden], weight.dtype, weight.device)
        let dh = plan.kernel == .gru ? RawTensor(dx.layout, dx.dtype, dx.device) : dx
        let dstate = RawTensor(shape: Array(shape[1...]), weight.dtype, weight.device)
        let dcell = cellGradient?.raw.broadcast(to: dstate.shape).denseCopy()
        dx.backend.recurrenceGrad(
            weight: weight.raw.contiguous(), states: states, cells: cells, gates: gates, g.raw.broadcast(to: shape).contiguous(),
            dx: dx, dh: dh, dstate: dstate, dcell: dcell, plan)
        let rows = Tensor(raw: dh).reshaped([plan.time * plan.batch, dh.shape[2]])
        // The states before each step.
        let size = plan.batch * plan.hidden
        let before = Tensor(
            raw: states.view(Layout(shape: [plan.time * plan.batch, plan.hidden]), offset: plan.reverse ? size : 0))
        var result: [Tensor?] = [Tensor(raw: dx), needs[1] ? matmul(rows.T, before) : nil, Tensor(raw: dstate)]
        if hasBias { result.append(needs[3] ? rows.sum(0) : nil) }
        if let dcell { result.append(Tensor(raw: dcell)) }
        return result
    }

    // The steps again, in tensor operations, and then backwards.
    private func composed(_ g: Tensor, _ cellGradient: Tensor?) -> [Tensor?] {
        let kernel = plan.kernel, x = saved(0), weight = saved(1), bias = hasBias ? saved(3) : nil
        var state = saved(2), cell = kernel == .lstm ? saved(firstBuffer - 1) : nil
        var trace: [(time: Int, state: Tensor, cell: Tensor?, step: RecurrentKernel.Step)] = []
        for t in plan.order {
            var step = kernel.step(x.slice([.at(t)]), linear(state, weight, bias), state: state, cell: cell)
            trace.append((t, state, cell, step))
            plan.hold(t, &step, state, cell)
            (state, cell) = (step.state, step.cell)
        }
        var dstate = Tensor(zerosLike: state), dcell = cellGradient
        var dx = [Tensor](repeating: g, count: plan.time), dh = dx, before = dx
        for (t, state, cell, step) in trace.reversed() {
            let d = dstate + g.slice([.at(t)])
            var (a, b, c, carried) = kernel.stepGradient(d, dcell, after: step, state: state, cell: cell)
            if let active = plan.active(t, d.device) {
                a = which(active, a, Tensor(zerosLike: a))
                b = which(active, b, Tensor(zerosLike: b))
                c = c.map { which(active, $0, dcell!) }
                carried = which(active, carried ?? Tensor(zerosLike: d), d)
            }
            dstate = matmul(b, weight)
            if let carried { dstate = dstate + carried }
            dcell = c
            (dx[t], dh[t], before[t]) = (a, b, state)
        }
        let rows = stack(dh).reshaped([plan.time * plan.batch, weight.shape[0]])
        let states = stack(before).reshaped([plan.time * plan.batch, plan.hidden])
        var result: [Tensor?] = [stack(dx), matmul(rows.T, states), dstate]
        if hasBias { result.append(rows.sum(0)) }
        if let dcell { result.append(dcell) }
        return result
    }
}

extension RecurrencePlan {
    /// The steps in the order in which they are taken.
    var order: [Int] { reverse ? (0..<time).reversed() : Array(0..<time) }

    /// Which sequences have a step `t`, `[batch, 1]`; nil if all.
    func active(_ t: Int, _ device: Device) -> Tensor? {
        guard let lengths, lengths.contains(where: { $0 <= t }) else { return nil }
        return Tensor(lengths.map { t < $0 }, shape: [batch, 1]).to(device: device)
    }

    /// Sequences that are over keep their state.
    func hold(_ t: Int, _ step: inout RecurrentKernel.Step, _ state: Tensor, _ cell: Tensor?) {
        guard let active = active(t, state.device) else { return }
        step.state = which(active, step.state, state)
        step.cell = step.cell.map { which(active, $0, cell!) }
    }
}

/// All steps of one direction of a recurrent layer: what ``RecurrentKernel`` says, applied from step to step.
///
/// - `projected [time, batch, gates · hidden]`: the input's part of the gates, made for all steps by one product.
/// - `weight [gates · hidden, size]`, `bias [gates · hidden]`: the state's part; `size` is `hidden` unless there is a `projection`.
/// - `state [batch, size]` and, in LSTM, `cell [batch, hidden]`: before the first step.
/// - `projection [size, hidden]`: each new state is multiplied by it (Sak et al., 2014).
/// - `lengths [batch]`: the steps of each sequence; its state stays as it is after them. With `reverse` the steps are taken from the
///   last to the first, so that a sequence starts at its own end.
///
/// Gives the state after each step, `[time, batch, size]`, and in LSTM the last cell. The gates of a step are computed at once, with the
/// product before them, in float32 and float64.
public func recurrence(
    _ kernel: RecurrentKernel, projected: Tensor, weight: Tensor, bias: Tensor? = nil, state: Tensor, cell: Tensor? = nil,
    projection: Tensor? = nil, lengths: [Int]? = nil, reverse: Bool = false
) -> (states: Tensor, cell: Tensor?) {
    if projected.rank != 3 || projected.shape[0] == 0 || projected.shape[2] % kernel.gates != 0 {
        fail("recurrence", "needs at least one step of [time, batch, \(kernel.gates) · hidden], not \(projected.shape)")
    }
    let time = projected.shape[0], batch = projected.shape[1], hidden = projected.shape[2] / kernel.gates
    let size = projection?.shape.first ?? hidden
    if weight.shape != [kernel.gates * hidden, size] || projection.map({ $0.shape != [size, hidden] }) == true
        || bias.map({ $0.shape != [kernel.gates * hidden] }) == true
    {
        fail(
            "recurrence",
            "a weight of shape \(weight.shape) does not fit \(hidden) hidden units; needs \([kernel.gates * hidden, size])")
    }
    if state.shape != [batch, size] || (kernel == .lstm) != (cell != nil) || cell.map({ $0.shape != [batch, hidden] }) == true {
        let found = cell.map { "\(state.shape) and \($0.shape)" } ?? "\(state.shape)"
        let wanted = kernel == .lstm ? "\([batch, size]) and \([batch, hidden])" : "\([batch, size])"
        fail("recurrence", "a first state of shape \(found) for sequences \(projected.shape); needs \(wanted)")
    }
    let inputs = [projected, weight, state] + [bias, cell].compactMap { $0 }
    if let odd = inputs.first(where: { $0.dtype != projected.dtype }) {
        fail("recurrence", "an input of type \(projected.dtype) with a state or weight of type \(odd.dtype); convert one of them")
    }
    if let lengths, lengths.count != batch || lengths.contains(where: { $0 < 0 || $0 > time }) {
        fail("recurrence", "lengths \(lengths) for \(batch) sequences of \(time) steps")
    }
    let plan = RecurrencePlan(
        kernel: kernel, time: time, batch: batch, hidden: hidden, reverse: reverse, lengths: lengths?.map { Int64($0) })
    let isKernelType = projected.dtype == .float32 || projected.dtype == .float64
    if projection != nil || !isKernelType || inputs.contains(where: \.isBatched) {
        return composedRecurrence(plan, projected, weight, bias, state, cell, projection)
    }
    for x in inputs { requireSameDevice("recurrence", projected.raw, x.raw) }
    return fusedRecurrence(plan, projected, weight, bias, state, cell)
}

private func composedRecurrence(
    _ plan: RecurrencePlan, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ state: Tensor, _ cell: Tensor?,
    _ projection: Tensor?
) -> (states: Tensor, cell: Tensor?) {
    var state = state, cell = cell
    var states = [Tensor](repeating: state, count: plan.time)
    for t in plan.order {
        var step = plan.kernel.step(x.slice([.at(t)]), linear(state, weight, bias), state: state, cell: cell)
        if let projection { step.state = linear(step.state, projection) }
        plan.hold(t, &step, state, cell)
        (state, cell) = (step.state, step.cell)
        states[t] = state
    }
    return (stack(states), cell)
}

private func fusedRecurrence(
    _ plan: RecurrencePlan, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ state: Tensor, _ cell: Tensor?
) -> (states: Tensor, cell: Tensor?) {
    let inputs = [x, weight, state] + [bias, cell].compactMap { $0 }
    let records = isRecording(inputs), kernel = plan.kernel, size = plan.batch * plan.hidden
    let one = Layout(shape: [plan.batch, plan.hidden])
    // Slot 0 is before the first step (in reverse: the last slot is).
    func slots(_ first: Tensor) -> RawTensor {
        let buffer = RawTensor(shape: [plan.time + 1, plan.batch, plan.hidden], x.dtype, x.device)
        buffer.backend.copy(first.raw, to: buffer.view(one, offset: plan.reverse ? plan.time * size : 0))
        return buffer
    }
    let states = slots(state), cells = cell.map(slots)
    var gates: RawTensor?
    if kernel.kept > 0 {
        gates = RawTensor(shape: [records ? plan.time : 1, plan.batch, kernel.kept * plan.hidden], x.dtype, x.device)
    }
    states.backend.recurrence(
        x.raw.contiguous(), weight: weight.raw.contiguous(), bias: bias?.raw.contiguous(), states: states, cells: cells,
        gates: gates, keepsGates: records, plan)
    var outs = [states.view(Layout(shape: [plan.time, plan.batch, plan.hidden]), offset: plan.reverse ? 0 : size)]
    if let cells { outs.append(cells.view(one, offset: plan.reverse ? 0 : plan.time * size)) }
    let results = record(outs, inputs: inputs) {
        let node = RecurrenceBackward(plan, hasBias: bias != nil)
        for input in inputs { node.save(input) }
        for buffer in [states, cells, gates].compactMap({ $0 }) { node.save(Tensor(raw: buffer)) }
        return node
    }
    return (results[0], results.count > 1 ? results[1] : nil)
}
