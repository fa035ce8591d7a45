import CKernels

extension CPUBackend {
    /// By `tk_linear_int8_dynamic`, `tk_linear_int8` or `tk_linear_int4`.
    public func quantizedLinear(_ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor) {
        let m = Int64(plan.inputs == 0 ? (plan.outputs == 0 ? 0 : out.count / plan.outputs) : x.count / plan.inputs)
        let n = Int64(plan.outputs), k = Int64(plan.inputs)
        let bytes = plan.panels.pointer.assumingMemoryBound(to: Int8.self)
        switch plan.format {
        case .int8Dynamic(let sums):
            tk_linear_int8_dynamic(
                x.dtype.code, m, n, k, x.pointer, bytes, plan.scales.pointer.assumingMemoryBound(to: Float.self),
                sums.pointer.assumingMemoryBound(to: Int32.self), bias?.pointer, out.pointer)
        case .int8:
            tk_linear_int8(
                x.dtype.code, m, n, k, x.pointer, bytes, plan.scales.pointer.assumingMemoryBound(to: Float.self), bias?.pointer,
                out.pointer)
        case .int4(let size, let offsets):
            tk_linear_int4(
                x.dtype.code, m, n, k, Int64(size), x.pointer, plan.panels.pointer.assumingMemoryBound(to: UInt8.self),
                plan.scales.pointer.assumingMemoryBound(to: UInt16.self), offsets?.pointer.assumingMemoryBound(to: UInt16.self),
                bias?.pointer, out.pointer)
        }
    }
}
