// A convolution is linear in the input and in the weight. Three operations belong together: the convolution y of x and w, the
// gradient dx of g and w, and the gradient dw of x and g. The derivatives of each are the other two.

/// y = x * w (+ b).
final class ConvolutionBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan
    init(_ plan: ConvolutionPlan) {
        self.plan = plan
        super.init()
    }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return needs.map { _ in nil } }
        let x = saved(0), w = saved(1)
        var result: [Tensor?]
        if needs[0] && needs[1] && plan.isDepthwise && !isRecorded(x, g, w) {
            let (dx, dw) = convolutionGradients(x, g, w, plan)
            result = [dx, dw]
        } else {
            result = [
                needs[0] ? convolutionGradInput(g, w, plan, like: x.shape) : nil,
                needs[1] ? convolutionGradWeight(x, g, plan, like: w.shape) : nil,
            ]
        }
        // First over the places, which lie together.
        if needs.count > 2 {
            result.append(needs[2] ? g.reshaped([g.shape[0], g.shape[1], g.shape[2...].reduce(1, *)]).sum(2).sum(0) : nil)
        }
        return result
    }

    /// Whether the gradients are operations of their own, on the tape or inside `vmap`.
    private func isRecorded(_ tensors: Tensor...) -> Bool {
        tensors.contains { $0.isBatched || (isGradEnabled && $0.requiresGrad) }
    }
}

/// dx from g and w: the transposed convolution.
final class ConvolutionTransposeBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan
    init(_ plan: ConvolutionPlan) {
        self.plan = plan
        super.init()
    }
    override func vjp(_ v: Tensor, input: Int) -> Tensor? {
        input == 0
            ? convolution(v, saved(1), nil, plan, like: saved(0).shape)
            : convolutionGradWeight(v, saved(0), plan, like: saved(1).shape)
    }
}

/// dw from x and g.
final class ConvolutionWeightBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan
    init(_ plan: ConvolutionPlan) {
        self.plan = plan
        super.init()
    }
    override func vjp(_ v: Tensor, input: Int) -> Tensor? {
        input == 0
            ? convolutionGradInput(saved(1), v, plan, like: saved(0).shape)
            : convolution(saved(0), v, nil, plan, like: saved(1).shape)
    }
}

func convolution(_ x: Tensor, _ w: Tensor, _ bias: Tensor?, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
    if x.isBatched || w.isBatched || bias?.isBatched == true {
        let y = batchedConvolution(x, w, plan, .samples, .weight, .samples, shape) { convolution($0, $1, nil, $2, like: $3) }
        return bias.map { y + $0.reshaped([shape[1]] + [Int](repeating: 1, count: shape.count - 2)) } ?? y
    }
    let out = RawTensor(shape: shape, x.dtype, x.device)
    let backend = out.backend
    let staysAsIs = !x.raw.isContiguous && x.raw.isChannelsLast && backend.readsChannelsLast(x.dtype, plan)
    backend.convolution(
        staysAsIs ? x.raw : x.raw.contiguous(), weight: w.raw.contiguous(), bias: bias?.raw.contiguous(), out, plan)
    return record(out, inputs: bias.map { [x, w, $0] } ?? [x, w]) {
        let node = ConvolutionBackward(plan)
        node.save(x)
        node.save(w)
        return node
    }
}

func convolutionGradInput(_ g: Tensor, _ w: Tensor, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
    if g.isBatched || w.isBatched {
        return batchedConvolution(g, w, plan, .samples, .weight, .samples, shape) { convolutionGradInput($0, $1, $2, like: $3) }
    }
    let out = RawTensor(shape: shape, g.dtype, g.device)
    out.backend.convolutionGradInput(g.raw.contiguous(), weight: w.raw.contiguous(), out, plan)
    return record(out, g, w) {
        let node = ConvolutionTransposeBackward(plan)
        node.save(g)
        node.save(w)
        return node
    }
}

func convolutionGradWeight(_ x: Tensor, _ g: Tensor, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
    if x.isBatched || g.isBatched {
        return batchedConvolution(x, g, plan, .samples, .samples, .weight, shape) { convolutionGradWeight($0, $1, $2, like: $3) }
    }
    let out = RawTensor(shape: shape, x.dtype, x.device)
    out.backend.convolutionGradWeight(x.raw.contiguous(), g.raw.contiguous(), out, plan)
    return record(out, x, g) {
        let node = ConvolutionWeightBackward(plan)
        node.save(x)
        node.save(g)
        return node
    }
}

/// dx and dw in one reading of g, off the tape: depthwise convolutions are bound by memory.
private func convolutionGradients(_ x: Tensor, _ g: Tensor, _ w: Tensor, _ plan: ConvolutionPlan) -> (dx: Tensor, dw: Tensor) {
    let dx = RawTensor(shape: x.shape, g.dtype, g.device), dw = RawTensor(shape: w.shape, g.dtype, g.device)
    dx.backend.convolutionGradients(
        x.raw.contiguous(), g.raw.contiguous(), weight: w.raw.contiguous(), dx: dx, dweight: dw, plan)
    return (Tensor(raw: dx), Tensor(raw: dw))
}

/// Where the groups of an operand lie: in its second axis (after the samples), or in its first.
private enum GroupPlace { case samples, weight }

/// One of the three operations inside `vmap`. If only samples are hidden examples of, they make more samples; otherwise each example
/// makes groups of its own.
private func batchedConvolution(
    _ a: Tensor, _ b: Tensor, _ plan: ConvolutionPlan, _ placeA: GroupPlace, _ placeB: GroupPlace, _ placeOut: GroupPlace,
    _ shape: Shape,
    _ body: (Tensor, Tensor, ConvolutionPlan, Shape) -> Tensor
) -> Tensor {
    var plan = plan
    if placeB == .weight && !b.isBatched && a.isBatched {
        return a.lifted { a, hidden in
            let sizes = Array(a.shape[..<hidden]), count = sizes.reduce(1, *)
            plan.batch *= count
            let y = body(
                a.reshaped([a.shape[hidden] * count] + a.shape[(hidden + 1)...]), b, plan, [shape[0] * count] + shape[1...])
            return y.reshaped(sizes + shape)
        }
    }
    return liftedTogether([a, b]) { plain, hidden in
        let sizes = Array(plain[0].shape[..<hidden]), count = sizes.reduce(1, *)
        plan.groups *= count
        func inGroups(_ x: Tensor, _ place: GroupPlace) -> Tensor {
            let own = Array(x.shape[hidden...]), flat = x.reshaped([count] + own)
            if place == .weight { return flat.reshaped([count * own[0]] + own[1...]) }
            return flat.transposed(0, 1).reshaped([own[0], count * own[1]] + own[2...])
        }
        let out = placeOut == .weight ? [count * shape[0]] + shape[1...] : [shape[0], count * shape[1]] + shape[2...]
        let y = body(inGroups(plain[0], placeA), inGroups(plain[1], placeB), plan, out)
        if placeOut == .weight { return y.reshaped(sizes + shape) }
        return y.reshaped([shape[0], count] + shape[1...]).transposed(0, 1).reshaped(sizes + shape)
    }
}
