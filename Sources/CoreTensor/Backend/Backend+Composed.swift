// Primitives made of others, for backends that have none of their own.

extension Backend {
    /// False: by way of float32.
    public var multipliesHalfFloats: Bool { false }
    /// No.
    public func readsChannelsLast(_ dtype: DType, _ plan: ConvolutionPlan) -> Bool { false }

    /// By ``sumOfSquares(_:)``.
    public func sumOfSquares(_ tensors: [RawTensor], to out: RawTensor) {
        let total = tensors.reduce(0) { $0 + sumOfSquares($1) }
        withUnsafeBytes(of: total) { fill(out, $0.baseAddress!) }
    }

    /// An element at a time, by ``scatterReduce(_:_:index:_:outputView:n:)``.
    public func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        let places = RawTensor(rows.layout, .int64, ids.device)
        copy(ids.view(Layout(shape: rows.shape, strides: [1, 0])), to: places)
        scatterReduce(.set, rows, index: places, out, outputView: AxisView(out.shape, axis: 0), n: ids.count)
    }

    /// By ``scatterAdd(_:index:_:outputView:n:)``, every element with the index of its row.
    public func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        let width = out.shape[1], n = ids.count
        let index = ids.view(Layout(shape: [n, width], strides: [1, 0])).denseCopy()
        scatterAdd(rows, index: index, out, outputView: AxisView(outer: 1, n: out.shape[0], inner: width), n: n)
    }

    /// One parameter after the other.
    public func adam(_ steps: [AdamStep]) {
        for step in steps { adam(step.p, step.g, m: step.m, v: step.v, maxV: step.maxV, step.options) }
    }

    /// False: step by step.
    public func decoderBlock(_ x: RawTensor, _ plan: DecoderBlockPlan, _ out: RawTensor) -> Bool { false }

    /// The product, then its function.
    public func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) {
        productThenFunction(x, weight, bias: bias, activation, product: product, out)
    }

    /// ``activatedLinear(_:_:bias:_:product:_:)`` in two passes.
    func productThenFunction(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) {
        let outputs = weight.shape[0], inputs = weight.shape[1]
        let plan = MatMulPlan.dense(m: outputs == 0 ? 0 : out.count / outputs, n: outputs, k: inputs, transposeB: true)
        matmul(x, weight, product ?? out, plan, bias: bias)
        unary(activation, product ?? out, out)
    }

    /// Step by step.
    public func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) {
        stepByStep(program, inputs, outputs, shape: shape)
    }

    /// ``fused(_:_:_:shape:)``, each step a primitive over all elements; outputs of smaller shape are summed last.
    public func stepByStep(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) {
        let device = outputs[0].device
        func new(_ type: DType) -> RawTensor { RawTensor(shape: shape, type, device) }
        func converted(_ x: RawTensor, _ type: DType) -> RawTensor {
            if x.dtype == type { return x }
            let out = new(type)
            cast(x, to: out)
            return out
        }
        var values = inputs.map { x -> RawTensor in
            let whole = new(x.dtype)
            copy(x.broadcast(to: shape), to: whole)
            return converted(whole, x.dtype.byteCount == 2 ? .float32 : x.dtype)
        }
        for constant in program.constants {
            let out = new(constant.type)
            withElement(constant.value, 0, 0, constant.type) { fill(out, $0) }
            values.append(out)
        }
        for step in program.steps {
            let x = step.arguments.map { values[$0] }, out = new(step.resultType)
            switch step.operation {
            case .unary(let op): unary(op, x[0], out)
            case .unaryGrad(let op): unaryGrad(op, saved: x[0], x[1], out)
            case .binary(let op): binary(op, x[0], x[1], out)
            case .compare(let op): compare(op, x[0], x[1], out)
            case .select: select(x[0], x[1], x[2], out)
            case .clamp(let low, let high): clamp(x[0], out, low: low, high: high)
            case .classify(let op): classify(op, x[0], out)
            case .cast: cast(x[0], to: out)
            case .round(let dtype): cast(converted(x[0], dtype), to: out)
            case .multiplyAdd:
                let product = new(step.type)
                binary(.mul, x[0], x[1], product)
                binary(.add, product, x[2], out)
            }
            values.append(out)
        }
        for (value, out) in zip(program.outputs, outputs) { sumBroadcastAxes(values[value], to: out) }
    }

    /// Adds up, in the type of `x`, what belongs to one element of `out`, which broadcasts to the shape of `x`: neighbouring axes in one reduction.
    public func sumBroadcastAxes(_ x: RawTensor, to out: RawTensor) {
        var x = x
        let shape = x.shape, lead = shape.count - out.shape.count
        func isSummed(_ axis: Int) -> Bool { axis < lead || out.shape[axis - lead] == 1 }
        var end = shape.count
        while end > 0 {
            var first = end
            while first > 0 && isSummed(first - 1) { first -= 1 }
            if shape[first..<end].contains(where: { $0 != 1 }) {
                var reduced = x.shape
                for axis in first..<end { reduced[axis] = 1 }
                let sum = RawTensor(shape: reduced, x.dtype, x.device)
                let view = AxisView(
                    outer: shape[..<first].reduce(1, *), n: shape[first..<end].reduce(1, *), inner: sum.shape[end...].reduce(1, *)
                )
                reduce(.sum, x, sum, view)
                x = sum
            }
            end = first - 1
        }
        let sum = x.view(out.layout)
        if sum.dtype == out.dtype { copy(sum, to: out) } else { cast(sum, to: out) }
    }
}
