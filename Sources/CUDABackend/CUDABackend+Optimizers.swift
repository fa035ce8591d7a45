import CCUDA
import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// MARK: Optimizer steps in one pass

extension CUDABackend {
    /// The scalars of the step are made in double.
    public func adam(_ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep) {
        let o = options, step = Double(o.step)
        let scalars = tk_cuda_adam(
            shrink: o.decoupled ? 1 - o.learningRate * o.weightDecay : 1, decay: o.decoupled ? 0 : o.weightDecay,
            sign: o.maximize ? -1 : 1, one_minus_beta1: 1 - o.beta1, beta2: o.beta2, one_minus_beta2: 1 - o.beta2,
            step: o.learningRate / (1 - pow(o.beta1, step)), root: (1 - pow(o.beta2, step)).squareRoot(), epsilon: o.epsilon)
        run(
            KernelName("tk_adam", p.dtype.suffix), pieces: p.count, address(p, "adam"), address(g, "adam"), address(m, "adam"),
            address(v, "adam"), address(maxV, "adam"), p.count, scalars)
    }

    /// float32 or float64.
    public func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep) {
        let o = options
        let scalars = tk_cuda_sgd(
            rate: o.learningRate, decay: o.weightDecay, momentum: o.momentum, one_minus_dampening: 1 - o.dampening,
            sign: o.maximize ? -1 : 1, first: o.isFirst ? 1 : 0, nesterov: o.nesterov ? 1 : 0)
        run(
            KernelName("tk_sgd", p.dtype.suffix), pieces: p.count, address(p, "sgd"), address(g, "sgd"), address(momentum, "sgd"),
            p.count,
            scalars)
    }

    /// float32 or float64.
    public func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?, _ options: RMSPropSweep
    ) {
        let o = options
        let scalars = tk_cuda_rmsprop(
            rate: o.learningRate, alpha: o.alpha, one_minus_alpha: 1 - o.alpha, epsilon: o.epsilon, decay: o.weightDecay,
            momentum: o.momentum, sign: o.maximize ? -1 : 1)
        run(
            KernelName("tk_rmsprop", p.dtype.suffix), pieces: p.count, address(p, "rmsProp"), address(g, "rmsProp"),
            address(square, "rmsProp"),
            address(average, "rmsProp"), address(momentum, "rmsProp"), p.count, scalars)
    }

    /// float32 or float64.
    public func sweep(
        _ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers
    ) {
        let scalars = tk_cuda_sweep(
            decay: numbers.decay, shrink: numbers.shrink, rate: numbers.rate, epsilon: numbers.epsilon, c: numbers.c,
            sign: numbers.maximize ? -1 : 1)
        run(
            KernelName("tk_sweep", p.dtype.suffix), pieces: p.count, address(p, "sweep"), address(g, "sweep"),
            address(a, "sweep"), address(b, "sweep"), p.count, Int(rule.rawValue), scalars)
    }
}
