import CCUDA
import CoreTensor

// MARK: Softmax, losses and normalisation along rows

extension CUDABackend {
    /// A warp to a row up to 1,024 elements, 8 to a block; longer rows have a block each.
    private func rows(_ rows: Int, _ columns: Int) -> (grid: (Int, Int), block: (Int, Int)) {
        if columns <= 1024 { return (((rows + 7) / 8, 1), (32, 8)) }
        return ((rows, 1), (columns <= 4096 ? 256 : 512, 1))
    }
    private func sizes(_ x: RawTensor) -> (rows: Int, columns: Int) {
        let columns = x.shape.last ?? 1
        return (columns == 0 ? 0 : x.count / columns, columns)
    }

    /// In one pass for maximum and sum, and one to write.
    public func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool) {
        let size = sizes(x), shape = rows(size.rows, size.columns)
        context.launch(
            KernelName("tk_softmax", x.dtype.suffix), grid: shape.grid, block: shape.block, address(x, "softmax"),
            address(out, "softmax"),
            size.rows, size.columns, log ? 1 : 0)
    }

    /// From the output.
    public func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool) {
        let size = sizes(output), shape = rows(size.rows, size.columns)
        context.launch(
            KernelName("tk_softmax_grad", output.dtype.suffix), grid: shape.grid, block: shape.block,
            address(output, "softmaxGrad"),
            address(g, "softmaxGrad"), address(out, "softmaxGrad"), size.rows, size.columns, log ? 1 : 0)
    }

    /// Probabilities are never written.
    public func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double
    ) {
        let size = sizes(logits), shape = rows(size.rows, size.columns)
        context.launch(
            KernelName("tk_cross_entropy", logits.dtype.suffix), grid: shape.grid, block: shape.block,
            address(logits, "crossEntropy"),
            address(labels, "crossEntropy"), address(loss, "crossEntropy"), address(lse, "crossEntropy"), size.rows, size.columns,
            ignoreIndex,
            smoothing)
    }

    /// In one pass.
    public func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double
    ) {
        let size = sizes(logits), shape = rows(size.rows, size.columns)
        context.launch(
            KernelName("tk_cross_entropy_grad", logits.dtype.suffix), grid: shape.grid, block: shape.block,
            address(logits, "crossEntropyGrad"), address(labels, "crossEntropyGrad"), address(lse, "crossEntropyGrad"),
            address(g, "crossEntropyGrad"), address(out, "crossEntropyGrad"), size.rows, size.columns, ignoreIndex, smoothing)
    }

    /// Statistics in float32, or float64 for float64.
    public func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor, eps: Double
    ) {
        norm("layerNorm", x, weight, bias, out, mean, rstd, eps)
    }

    /// As layer normalisation, without the mean.
    public func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double) {
        norm("rmsNorm", x, weight, nil, out, nil, rstd, eps)
    }

    private func norm(
        _ operation: StaticString, _ x: RawTensor, _ weight: RawTensor?, _ bias: RawTensor?, _ out: RawTensor, _ mean: RawTensor?,
        _ rstd: RawTensor, _ eps: Double
    ) {
        let size = sizes(x), shape = rows(size.rows, size.columns)
        context.launch(
            KernelName("tk_norm", x.dtype.suffix), grid: shape.grid, block: shape.block, address(x, operation),
            address(weight, operation),
            address(bias, operation), address(out, operation), address(mean, operation), address(rstd, operation), size.rows,
            size.columns, eps)
    }

    /// The input's gradient by rows, those of weight and bias by columns.
    public func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?,
        dbias: RawTensor?
    ) {
        normGrad("layerNormGrad", x, weight, mean, rstd, g, dx, dweight, dbias)
    }

    /// As layer normalisation's.
    public func rmsNormGrad(
        _ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?
    ) {
        normGrad("rmsNormGrad", x, weight, nil, rstd, g, dx, dweight, nil)
    }

    private func normGrad(
        _ operation: StaticString, _ x: RawTensor, _ weight: RawTensor?, _ mean: RawTensor?, _ rstd: RawTensor, _ g: RawTensor,
        _ dx: RawTensor?, _ dweight: RawTensor?, _ dbias: RawTensor?
    ) {
        let size = sizes(x), shape = rows(size.rows, size.columns)
        let from = address(x, operation), means = address(mean, operation), scales = address(rstd, operation),
            slopes = address(g, operation)
        if let dx {
            context.launch(
                KernelName("tk_norm_grad", x.dtype.suffix), grid: shape.grid, block: shape.block, from,
                address(weight, operation), means,
                scales, slopes, address(dx, operation), size.rows, size.columns)
        }
        if dweight == nil && dbias == nil { return }
        // Parts of the rows, in the type of the statistics, and their sums.
        let parts = min(64, max(1, size.rows / 64)), wide = x.dtype.statistics
        let weights = dweight.map { _ in scratch([parts, size.columns], wide) },
            biases = dbias.map { _ in scratch([parts, size.columns], wide) }
        context.launch(
            KernelName("tk_norm_grad_weight", x.dtype.suffix), grid: ((size.columns + 31) / 32, parts), block: (32, 8), from,
            means, scales,
            slopes, address(weights, operation), address(biases, operation), size.rows, size.columns)
        for (partial, out) in [(weights, dweight), (biases, dbias)] {
            guard let partial, let out else { continue }
            let kernel: StaticString = out.dtype == .float16 ? "f32_f16" : out.dtype == .bfloat16 ? "f32_bf16" : out.dtype.suffix
            context.launch(
                KernelName("tk_reduce", kernel), grid: ((size.columns + 31) / 32, 1), block: (32, 8), address(partial, operation),
                address(out, operation), 1, parts, size.columns, Int(ReduceKernel.sum.rawValue))
        }
    }
}
