// A convolution is linear in the input and in the weight. Three operations belong together: the convolution y of x and w, the
// gradient dx of g and w, and the gradient dw of x and g. The derivatives of each are the other two.

/// y = x * w (+ b).
final class ConvolutionBackward: Node, @unchecked Sendable {
    let plan: ConvolutionPlan
    init(_ plan: ConvolutionPlan) {
        self.plan = plan
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        switch input {
        case 0: convolutionGradInput(g, saved(1), plan, like: saved(0).shape)
        case 1: convolutionGradWeight(saved(0), g, plan, like: saved(1).shape)
        default: g.sum(Axes([0] + Array(2..<g.rank)))
        }
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
    let out = RawTensor(shape: shape, x.dtype, x.device)
    out.backend.convolution(x.raw.contiguous(), weight: w.raw.contiguous(), bias: bias?.raw.contiguous(), out, plan)
    return record(out, inputs: bias.map { [x, w, $0] } ?? [x, w]) {
        let node = ConvolutionBackward(plan)
        node.save(x)
        node.save(w)
        return node
    }
}

func convolutionGradInput(_ g: Tensor, _ w: Tensor, _ plan: ConvolutionPlan, like shape: Shape) -> Tensor {
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
    let out = RawTensor(shape: shape, x.dtype, x.device)
    out.backend.convolutionGradWeight(x.raw.contiguous(), g.raw.contiguous(), out, plan)
    return record(out, x, g) {
        let node = ConvolutionWeightBackward(plan)
        node.save(x)
        node.save(g)
        return node
    }
}
