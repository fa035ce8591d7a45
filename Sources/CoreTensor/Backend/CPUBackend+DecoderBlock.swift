import CKernels

extension CPUBackend {
    private func linear(_ plan: LinearPlan, outputs: Int, inputs: Int) -> tk_linear {
        if plan.sizes != (outputs, inputs) {
            fail(
                "decoderBlock",
                "a layer of \(plan.sizes.inputs) to \(plan.sizes.outputs) features where \(inputs) become \(outputs)")
        }
        var l = tk_linear()
        l.outputs = Int64(outputs)
        l.inputs = Int64(inputs)
        l.bias = plan.bias.map { UnsafeRawPointer($0.pointer) }
        switch plan.weight {
        case .dense(let weight): l.weight = UnsafeRawPointer(weight.pointer)
        case .quantized(let weight):
            l.weight = UnsafeRawPointer(weight.panels.pointer)
            l.scales = UnsafeRawPointer(weight.scales.pointer)
            switch weight.format {
            case .int8Dynamic(let sums):
                l.kind = Int32(TK_LINEAR_INT8_DYNAMIC)
                l.sums = UnsafeRawPointer(sums.pointer)
            case .int8: l.kind = Int32(TK_LINEAR_INT8)
            case .int4(let size, let offsets):
                l.kind = Int32(TK_LINEAR_INT4)
                l.group = Int64(size)
                l.offsets = offsets.map { UnsafeRawPointer($0.pointer) }
            }
        }
        return l
    }

    /// By `tk_decoder_block_step`, for float32 and bfloat16.
    public func decoderBlock(_ x: RawTensor, _ plan: DecoderBlockPlan, _ out: RawTensor) -> Bool {
        if x.dtype != .float32 && x.dtype != .bfloat16 { return false }
        let width = x.shape[x.layout.rank - 1], hidden = plan.expand.sizes.outputs
        var p = tk_decoder_block()
        p.dtype = x.dtype.code
        p.activation = plan.activation.rawValue
        p.batch = Int64(x.count / width)
        p.width = Int64(width)
        p.heads = Int64(plan.heads)
        p.capacity = Int64(plan.keys.shape[2])
        p.length = Int64(plan.length)
        let norms = (plan.attentionNorm, plan.feedForwardNorm)
        func pointer(_ x: RawTensor?) -> UnsafeRawPointer? { x.map { UnsafeRawPointer($0.pointer) } }
        p.norm_weight = (pointer(norms.0.weight), pointer(norms.1.weight))
        p.norm_bias = (pointer(norms.0.bias), pointer(norms.1.bias))
        p.eps = (norms.0.eps, norms.1.eps)
        p.qkv = linear(plan.qkv, outputs: 3 * width, inputs: width)
        p.output = linear(plan.output, outputs: width, inputs: width)
        p.expand = linear(plan.expand, outputs: hidden, inputs: width)
        p.project = linear(plan.project, outputs: width, inputs: hidden)
        p.keys = plan.keys.pointer
        p.values = plan.values.pointer
        tk_decoder_block_step(&p, x.pointer, out.pointer)
        return true
    }
}

extension LinearPlan {
    /// Features the layer makes, and of how many.
    var sizes: (outputs: Int, inputs: Int) {
        switch weight {
        case .dense(let weight): (weight.shape[0], weight.shape[1])
        case .quantized(let weight): (weight.outputs, weight.inputs)
        }
    }
}
