import CKernels

/// Rows, products, random numbers and optimizer sweeps.
extension CPUBackend {
    /// `[rows, columns]` of a tensor whose last axis is a row.
    private func rows(_ x: RawTensor) -> (Int64, Int64) {
        let columns = x.shape.last ?? 1
        return (columns == 0 ? 0 : Int64(x.count / columns), Int64(columns))
    }

    /// Each row of the last axis, by `tk_softmax` or `tk_log_softmax`; floats only.
    public func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool) {
        let (rows, columns) = rows(x)
        (log ? tk_log_softmax : tk_softmax)(x.dtype.code, x.pointer, out.pointer, rows, columns)
    }

    /// Each row from its output, by `tk_softmax_grad` or `tk_log_softmax_grad`.
    public func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool) {
        let (rows, columns) = rows(g)
        (log ? tk_log_softmax_grad : tk_softmax_grad)(
            g.dtype.code, output.pointer, g.pointer, out.pointer, rows, columns)
    }

    /// Loss and logSumExp of each row of logits in one sweep, by `tk_cross_entropy`; 16-bit floats are widened row by row.
    public func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double
    ) {
        let (rows, columns) = rows(logits)
        tk_cross_entropy(
            logits.dtype.code, logits.pointer, int64Pointer(labels), loss.pointer, lse.pointer, rows, columns,
            Int64(ignoreIndex), smoothing)
    }

    /// The logits' gradient from the logSumExp kept, by `tk_cross_entropy_grad`.
    public func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double
    ) {
        let (rows, columns) = rows(logits)
        tk_cross_entropy_grad(
            logits.dtype.code, logits.pointer, int64Pointer(labels), lse.pointer, g.pointer, out.pointer, rows, columns,
            Int64(ignoreIndex), smoothing)
    }

    /// Each row of the last axis by `tk_layer_norm`, which keeps `mean` and `rstd`.
    public func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor,
        eps: Double
    ) {
        let (rows, columns) = rows(x)
        tk_layer_norm(
            x.dtype.code, x.pointer, weight?.pointer, bias?.pointer, out.pointer, mean.pointer, rstd.pointer, rows,
            columns, eps)
    }

    /// By `tk_layer_norm_grad`; gradients that are nil are not computed.
    public func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?,
        dweight: RawTensor?, dbias: RawTensor?
    ) {
        let (rows, columns) = rows(x)
        tk_layer_norm_grad(
            x.dtype.code, x.pointer, weight?.pointer, mean.pointer, rstd.pointer, g.pointer, dx?.pointer,
            dweight?.pointer, dbias?.pointer, rows, columns)
    }

    /// Each row of the last axis by `tk_rms_norm`, which keeps `rstd`.
    public func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double) {
        let (rows, columns) = rows(x)
        tk_rms_norm(x.dtype.code, x.pointer, weight?.pointer, out.pointer, rstd.pointer, rows, columns, eps)
    }

    /// By `tk_rms_norm_grad`; gradients that are nil are not computed.
    public func rmsNormGrad(
        _ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?
    ) {
        let (rows, columns) = rows(x)
        tk_rms_norm_grad(
            x.dtype.code, x.pointer, weight?.pointer, rstd.pointer, g.pointer, dx?.pointer, dweight?.pointer, rows,
            columns)
    }

    // MARK: Products

    /// Float32 and float64 by `tk_gemm` (own kernels or OpenBLAS), bfloat16 by `tk_gemm_bf16`, int64 by kernels of its own that wrap (`tk_gemm_int64`).
    public func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) {
        if out.dtype == .int64 {
            tk_gemm_int64(
                plan.transposeA, plan.transposeB, Int64(plan.m), Int64(plan.n), Int64(plan.k), a.pointer, Int64(plan.lda),
                Int64(plan.strideA), b.pointer, Int64(plan.ldb), Int64(plan.strideB), out.pointer, Int64(plan.n),
                Int64(plan.strideC), Int64(plan.batch), plan.accumulate, bias?.pointer)
            return
        }
        if a.dtype == .bfloat16 {
            tk_gemm_bf16(
                out.dtype.code, plan.transposeA, plan.transposeB, Int64(plan.m), Int64(plan.n), Int64(plan.k), a.pointer,
                Int64(plan.lda), Int64(plan.strideA), b.pointer, Int64(plan.ldb), Int64(plan.strideB), out.pointer,
                Int64(plan.n), Int64(plan.strideC), Int64(plan.batch), plan.accumulate, bias?.dtype.code ?? 0, bias?.pointer)
            return
        }
        tk_gemm(
            out.dtype.code, plan.transposeA, plan.transposeB, Int64(plan.m), Int64(plan.n), Int64(plan.k), a.pointer,
            Int64(plan.lda), Int64(plan.strideA), b.pointer, Int64(plan.ldb), Int64(plan.strideB), out.pointer,
            Int64(plan.n), Int64(plan.strideC), Int64(plan.batch), plan.accumulate, bias?.pointer)
    }

    /// Float32 by `tk_activated_linear`, tile by tile; other types by the product and a pass over it.
    public func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) {
        if out.dtype != .float32 {
            productThenFunction(x, weight, bias: bias, activation, product: product, out)
            return
        }
        let outputs = weight.shape[0], rows = outputs == 0 ? 0 : out.count / outputs
        tk_activated_linear(
            activation.rawValue, Int64(rows), Int64(outputs), Int64(weight.shape[1]), floatPointer(x), floatPointer(weight),
            bias.map(floatPointer), product.map(floatPointer), floatPointer(out))
    }

    private func floatPointer(_ x: RawTensor) -> UnsafeMutablePointer<Float> { x.pointer.assumingMemoryBound(to: Float.self) }

    // MARK: Random numbers

    /// By `tk_random_uniform`: 24 random bits for float32, 53 for float64, the same on every CPU.
    public func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double) {
        tk_random_uniform(out.dtype.code, seed, offset, out.pointer, Int64(out.count), low, high)
    }

    /// By `tk_random_normal` (Box-Muller), the same on every CPU.
    public func randomNormal(
        _ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double
    ) {
        tk_random_normal(out.dtype.code, seed, offset, out.pointer, Int64(out.count), mean, standardDeviation)
    }

    /// By `tk_random_integers`, a 64-bit multiply-shift: the bias is below what can be noticed.
    public func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int) {
        tk_random_integers(out.dtype.code, seed, offset, out.pointer, Int64(out.count), Int64(low), Int64(high))
    }

    /// Mask and scaled result in one sweep, by `tk_dropout`; floats only.
    public func dropout(
        _ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double
    ) {
        tk_dropout(x.dtype.code, seed, offset, x.pointer, out.pointer, boolPointer(mask), Int64(x.count), keep)
    }

    /// By `tk_dropout_grad`, from the mask kept.
    public func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double) {
        tk_dropout_grad(g.dtype.code, boolPointer(mask), g.pointer, out.pointer, Int64(g.count), keep)
    }

    // MARK: Optimizer sweeps

    /// One sweep over `p` and its momentum, by `tk_sgd`; float32 and float64.
    public func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep) {
        var o = options.kernelOptions
        tk_sgd(p.dtype.code, p.pointer, g.pointer, momentum?.pointer, Int64(p.count), &o)
    }

    /// One sweep over `p` and its moments, by `tk_adam`; float32 and float64.
    public func adam(
        _ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep
    ) {
        var o = options.kernelOptions
        tk_adam(p.dtype.code, p.pointer, g.pointer, m.pointer, v.pointer, maxV?.pointer, Int64(p.count), &o)
    }

    /// One sweep over `p` and its averages, by `tk_rmsprop`; float32 and float64.
    public func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?,
        _ options: RMSPropSweep
    ) {
        var o = options.kernelOptions
        tk_rmsprop(
            p.dtype.code, p.pointer, g.pointer, square.pointer, average?.pointer, momentum?.pointer, Int64(p.count), &o)
    }
}

extension SGDSweep {
    var kernelOptions: tk_sgd_options {
        tk_sgd_options(
            lr: learningRate, weight_decay: weightDecay, momentum: momentum, dampening: dampening, nesterov: nesterov ? 1 : 0,
            first: isFirst ? 1 : 0, maximize: maximize ? 1 : 0)
    }
}

extension AdamSweep {
    var kernelOptions: tk_adam_options {
        tk_adam_options(
            lr: learningRate, beta1: beta1, beta2: beta2, eps: epsilon, weight_decay: weightDecay, step: Int64(step),
            decoupled: decoupled ? 1 : 0, maximize: maximize ? 1 : 0)
    }
}

extension RMSPropSweep {
    var kernelOptions: tk_rmsprop_options {
        tk_rmsprop_options(
            lr: learningRate, alpha: alpha, eps: epsilon, weight_decay: weightDecay, momentum: momentum,
            centered: centered ? 1 : 0, maximize: maximize ? 1 : 0)
    }
}
