import CCUDA
import CoreTensor

extension CUDABackend {
    /// Sums of blocks of all tensors side by side, then their sum.
    public func sumOfSquares(_ tensors: [RawTensor], to out: RawTensor) {
        let parts = tensors.map { min(256, ($0.count + 255) / 256) }, count = parts.reduce(0, +)
        let partial = scratch([max(count, 1)], .float64)
        var to = address(partial, "sumOfSquares")
        for (x, parts) in zip(tensors, parts) where parts > 0 {
            context.launch(
                KernelName("tk_squares", x.dtype.suffix), grid: (parts, 1), block: (256, 1), address(x, "sumOfSquares"), to,
                x.count)
            to += UInt64(8 * parts)
        }
        context.launch(
            KernelName("tk_reduce", "f64"), grid: (1, 1), block: (1, 256), address(partial, "sumOfSquares"),
            address(out, "sumOfSquares"), 1, count, 1, Int(ReduceKernel.sum.rawValue))
    }
}
