/// Batch, group and instance normalisation: they differ in what shares a mean and a variance.
final class ChannelNormBackward: Node, @unchecked Sendable {
    let plan: ChannelNormPlan
    let fixed: Bool
    let hasWeight: Bool, hasBias: Bool
    init(_ plan: ChannelNormPlan, fixed: Bool, hasWeight: Bool, hasBias: Bool) {
        self.plan = plan
        self.fixed = fixed
        self.hasWeight = hasWeight
        self.hasBias = hasBias
        super.init()
    }
    override var name: String { plan.groups == 0 ? "BatchNormBackward" : "GroupNormBackward" }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return needs.map { _ in nil } }
        let x = saved(0)
        let weight = hasWeight ? saved(3) : nil, bias = savesBias ? saved(hasWeight ? 4 : 3) : nil
        if g.isBatched || (isGradEnabled && (x.requiresGrad || g.requiresGrad || weight?.requiresGrad == true)) {
            return composed(x, weight, plan.isRectified ? passed(g, x, weight, bias) : g)
        }
        let dense = x.raw.contiguous()
        func gradient(_ wanted: Bool, _ shape: Shape) -> RawTensor? {
            wanted ? RawTensor(shape: shape, dense.dtype, dense.device) : nil
        }
        let dx = gradient(needs[0], dense.shape)
        let dw = gradient(hasWeight && needs[1], [plan.channels])
        let db = gradient(hasBias && needs.last!, [plan.channels])
        dense.backend.channelNormGrad(
            dense, g.raw.contiguous(), weight: weight?.raw.contiguous(), bias: bias?.raw.contiguous(), mean: saved(1).raw,
            variance: saved(2).raw, dx: dx, dweight: dw, dbias: db, plan, fixed: fixed)
        var result: [Tensor?] = [dx.map { Tensor(raw: $0) }]
        if hasWeight { result.append(dw.map { Tensor(raw: $0) }) }
        if hasBias { result.append(db.map { Tensor(raw: $0) }) }
        return result
    }

    /// The bias decides with the rest where a ReLU passes the gradient.
    private var savesBias: Bool { hasBias && plan.isRectified }

    // g where the output is above 0.
    private func passed(_ g: Tensor, _ x: Tensor, _ weight: Tensor?, _ bias: Tensor?) -> Tensor {
        let y = withoutGrad {
            channelNorm(
                x.detached(), weight: weight?.detached(), bias: bias?.detached(), fixed: (saved(1), saved(2)), plan
            ).output
        }
        return g.maskedFill(y .<= 0, 0)
    }

    // With h = (x - mean) rstd and s = g w: dx = rstd (s - mean(s) - h mean(s h)), dw = Σ g h, db = Σ g; with fixed statistics
    // dx = rstd s.
    private func composed(_ x: Tensor, _ weight: Tensor?, _ g: Tensor) -> [Tensor?] {
        let flat = [plan.batch, plan.channels, plan.inner]
        // What shares statistics, brought to one or two axes.
        let sets = plan.groups == 0 ? flat : [plan.batch, plan.groups, plan.channels / plan.groups * plan.inner]
        let axes: Axes = plan.groups == 0 ? [0, 2] : [2]
        let statistics = plan.groups == 0 ? [1, plan.channels, 1] : [plan.batch, plan.groups, 1]
        let values = x.reshaped(sets)
        let mean = fixed ? saved(1).reshaped(statistics) : values.mean(axes, keepDims: true)
        let centred = values - mean
        let variance = fixed ? saved(2).reshaped(statistics) : (centred * centred).mean(axes, keepDims: true)
        let rstd = rsqrt(variance + plan.eps)
        let h = centred * rstd
        let flatG = g.reshaped(flat)
        let s = (weight.map { flatG * $0.reshaped([plan.channels, 1]) } ?? flatG).reshaped(sets)
        let dx = fixed ? s * rstd : rstd * (s - s.mean(axes, keepDims: true) - h * (s * h).mean(axes, keepDims: true))
        var result: [Tensor?] = [dx.reshaped(x.shape)]
        if hasWeight { result.append((flatG * h.reshaped(flat)).sum([0, 2])) }
        if hasBias { result.append(flatG.sum([0, 2])) }
        return result
    }
}

/// The normalised tensor and the statistics used, of `plan.sets` elements each; given ones if `fixed`.
func channelNorm(
    _ x: Tensor, weight: Tensor?, bias: Tensor?, fixed: (mean: Tensor, variance: Tensor)?, _ plan: ChannelNormPlan
) -> (output: Tensor, mean: Tensor, variance: Tensor) {
    if [x, weight, bias, fixed?.mean, fixed?.variance].contains(where: { $0?.isBatched == true }) {
        let inputs = [x, weight, bias, fixed?.mean, fixed?.variance].compactMap { $0 }
        let all = loopOverExamples(plan.groups == 0 ? "batchNorm" : "groupNorm", inputs) { parts in
            var rest = parts[1...]
            let w = weight == nil ? nil : rest.removeFirst(), b = bias == nil ? nil : rest.removeFirst()
            let statistics = fixed == nil ? nil : (mean: rest.removeFirst(), variance: rest.removeFirst())
            let (y, mean, variance) = channelNorm(parts[0], weight: w, bias: b, fixed: statistics, plan)
            return [y, mean, variance]
        }
        return (all[0], all[1], all[2])
    }
    for case let other? in [weight, bias, fixed?.mean, fixed?.variance] { requireSameDevice("normalization", x.raw, other.raw) }
    let dense = x.raw.contiguous()
    let out = RawTensor(dense.layout, x.dtype, x.device)
    let mean = fixed?.mean.raw.contiguous() ?? RawTensor(shape: [plan.sets], x.dtype, x.device)
    let variance = fixed?.variance.raw.contiguous() ?? RawTensor(shape: [plan.sets], x.dtype, x.device)
    let w = weight?.raw.contiguous(), b = bias?.raw.contiguous()
    if fixed == nil {
        out.backend.channelNorm(dense, weight: w, bias: b, out, mean: mean, variance: variance, plan)
    } else {
        out.backend.channelNormApply(dense, weight: w, bias: b, out, mean: mean, variance: variance, plan)
    }
    let y = record(out, inputs: [x, weight, bias].compactMap { $0 }) {
        let node = ChannelNormBackward(plan, fixed: fixed != nil, hasWeight: weight != nil, hasBias: bias != nil)
        node.save(x)
        node.save(Tensor(raw: mean))
        node.save(Tensor(raw: variance))
        if let weight { node.save(weight) }
        if let bias, plan.isRectified { node.save(bias) }
        return node
    }
    return (y, Tensor(raw: mean), Tensor(raw: variance))
}

/// Checks what normalisations per channel have in common and gives their type of computation and the inner size.
func checkChannels(_ operation: String, _ x: Tensor, _ parameters: Tensor?...) -> DType {
    if x.rank < 2 || !x.dtype.isFloatingPoint {
        fail(operation, "an input of shape \(x.shape) and type \(x.dtype); needs floats [batch, channels, ...]")
    }
    for case let parameter? in parameters where parameter.shape != [x.shape[1]] || !parameter.dtype.isFloatingPoint {
        fail(
            operation,
            "a parameter \(parameter.dtype) of shape \(parameter.shape) does not fit an input of shape \(x.shape); needs [\(x.shape[1])]"
        )
    }
    return x.dtype == .float64 ? .float64 : .float32
}
