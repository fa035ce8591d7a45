import CCUDA
import CoreTensor

// MARK: Products with weights in few bits

extension CUDABackend {
    /// A warp to 32 outputs of up to four rows, 8 warps sharing the inputs.
    public func quantizedLinear(_ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor) {
        let name: StaticString = "quantizedLinear", rows = plan.outputs == 0 ? 0 : out.count / plan.outputs
        if rows == 0 { return }
        let bytes = x.dtype.byteCount, most = 4 * 65_535  // rows of a launch
        for first in stride(from: 0, to: rows, by: most) {
            let count = min(most, rows - first), grid = ((plan.outputs + 31) / 32, (count + 3) / 4)
            let from = address(x, name) + UInt64(first * plan.inputs * bytes)
            let to = address(out, name) + UInt64(first * plan.outputs * bytes)
            let panels = address(plan.panels, name), scales = address(plan.scales, name), added = address(bias, name)
            var sizes = tk_cuda_quantized(
                rows: Int64(count), outputs: Int64(plan.outputs), inputs: Int64(plan.inputs), group: 1)
            switch plan.format {
            case .int8Dynamic(let sums):
                let quantized = scratch([count, plan.inputs], .uint8)
                let steps = scratch([count], .float32), zeros = scratch([count], .int32)
                context.launch(
                    KernelName("tk_quantize_rows", x.dtype.suffix), grid: (count, 1), block: (256, 1), from,
                    address(quantized, name), address(steps, name), address(zeros, name), plan.inputs)
                context.launch(
                    KernelName("tk_linear_dynamic", x.dtype.suffix), grid: grid, block: (32, 8), address(quantized, name),
                    address(steps, name), address(zeros, name), panels, scales, address(sums, name), added, to, sizes)
            case .int8:
                context.launch(
                    KernelName("tk_linear_float", x.dtype.suffix), grid: grid, block: (32, 8), from, panels, scales, UInt64(0),
                    added, to, sizes, 0)
            case .int4(let size, let offsets):
                sizes.group = Int64(size)
                context.launch(
                    KernelName("tk_linear_float", x.dtype.suffix), grid: grid, block: (32, 8), from, panels, scales,
                    address(offsets, name), added, to, sizes, offsets == nil ? 1 : 2)
            }
        }
    }
}
