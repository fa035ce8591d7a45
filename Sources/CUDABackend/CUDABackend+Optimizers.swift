import CCUDA
import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// MARK: Optimizer steps in one pass

extension CUDABackend {
    /// As several parameters at once.
    public func adam(_ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep) {
        adam([AdamStep(p: p, g: g, m: m, v: v, maxV: maxV, options: options)])
    }

    /// Up to 24 parameters of one type and with the same numbers to a launch, blocks to their chunks. The scalars are made in double.
    public func adam(_ steps: [AdamStep]) {
        var rest = steps.filter { $0.p.count > 0 }
        while let first = rest.first {
            var chosen: [AdamStep] = [], left: [AdamStep] = []
            for step in rest {
                let fits =
                    chosen.count < TK_CUDA_ADAM_TENSORS && step.p.dtype == first.p.dtype && step.options == first.options
                if fits { chosen.append(step) } else { left.append(step) }
            }
            launch(chosen)
            rest = left
        }
    }

    private func launch(_ steps: [AdamStep]) {
        let o = steps[0].options, step = Double(o.step)
        let scalars = tk_cuda_adam(
            shrink: o.decoupled ? 1 - o.learningRate * o.weightDecay : 1, decay: o.decoupled ? 0 : o.weightDecay,
            sign: o.maximize ? -1 : 1, one_minus_beta1: 1 - o.beta1, beta2: o.beta2, one_minus_beta2: 1 - o.beta2,
            step: o.learningRate / (1 - pow(o.beta1, step)), root: (1 - pow(o.beta2, step)).squareRoot(), epsilon: o.epsilon)
        var group = tk_cuda_adam_group(), blocks = 0
        func put<T, Row>(_ value: T, _ row: WritableKeyPath<tk_cuda_adam_group, Row>, _ k: Int) {
            withUnsafeMutableBytes(of: &group[keyPath: row]) { $0.storeBytes(of: value, toByteOffset: 8 * k, as: T.self) }
        }
        for (k, step) in steps.enumerated() {
            put(address(step.p, "adam"), \.p, k)
            put(address(step.g, "adam"), \.g, k)
            put(address(step.m, "adam"), \.m, k)
            put(address(step.v, "adam"), \.v, k)
            put(address(step.maxV, "adam"), \.high, k)
            put(Int64(step.p.count), \.count, k)
            put(Int64(blocks), \.first, k)
            blocks += (step.p.count + TK_CUDA_ADAM_CHUNK - 1) / TK_CUDA_ADAM_CHUNK
        }
        group.tensors = Int64(steps.count)
        context.launch(
            KernelName("tk_adam", steps[0].p.dtype.suffix), grid: (blocks, 1), block: (256, 1), group, scalars)
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
