import CKernels

/// One pass of an optimizer over a parameter, its gradient and up to three states.
public enum StepRule: Sendable {
    /// The state is the momentum, if there is any.
    case sgd(SGDSweep)
    /// The states are both moments and, for AMSGrad, the largest second one.
    case adam(AdamSweep)
    /// The states average g², g (if centred) and the steps (if there is momentum).
    case rmsProp(RMSPropSweep)
    /// One or two states.
    case sweep(SweepKernel, SweepNumbers)

    /// Runs on operands of one type, float32 or float64.
    public func run(on backend: any Backend, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?) {
        switch self {
        case .sgd(let options): backend.sgd(p, g, momentum: a, options)
        case .adam(let options): backend.adam(p, g, m: a!, v: b!, maxV: c, options)
        case .rmsProp(let options): backend.rmsProp(p, g, square: a!, average: b, momentum: c, options)
        case .sweep(let rule, let numbers): backend.sweep(rule, p, g, a!, b, numbers)
        }
    }
}

/// How a float32 result is brought to 16 bits.
public enum NarrowRounding {
    /// To nearest, ties to even.
    case nearest
    /// Up or down by chance, so that the expectation is exact; see ``Backend/roundStochastically(_:to:seed:offset:)``.
    case stochastic(seed: UInt64, offset: UInt64)
    /// To nearest; what that cuts off is kept in a tensor of the result's type, and was added to the number before.
    case compensated(RawTensor)
}

extension Backend {
    /// Widened, updated in float32, rounded: three passes and more.
    public func narrowStep(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?,
        _ rounding: NarrowRounding
    ) {
        let wide = widened(p, rounding)
        var gradient = g
        if g.dtype != .float32 {
            gradient = RawTensor(g.layout, .float32, g.device)
            cast(g, to: gradient)
        }
        rule.run(on: self, wide, gradient, a, b, c)
        narrow(wide, to: p, rounding)
    }

    /// A parameter of 16 bits as float32, with what rounding has cut off so far.
    package func widened(_ p: RawTensor, _ rounding: NarrowRounding) -> RawTensor {
        let wide = RawTensor(p.layout, .float32, p.device)
        cast(p, to: wide)
        if case .compensated(let rest) = rounding {
            let more = RawTensor(p.layout, .float32, p.device)
            cast(rest, to: more)
            axpy(1, more, wide)
        }
        return wide
    }

    /// Rounds `wide`, float32, into `p`.
    package func narrow(_ wide: RawTensor, to p: RawTensor, _ rounding: NarrowRounding) {
        switch rounding {
        case .nearest: cast(wide, to: p)
        case .stochastic(let seed, let offset): roundStochastically(wide, to: p, seed: seed, offset: offset)
        case .compensated(let rest):
            cast(wide, to: p)
            let back = RawTensor(p.layout, .float32, p.device)
            cast(p, to: back)
            axpy(-1, back, wide)
            cast(wide, to: rest)
        }
    }

    /// Stops: a backend without a kernel of its own cannot.
    public func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64) {
        fail("roundedStochastically", "has no kernel on \(out.device); move the tensor with to(device: .cpu)")
    }
}

extension CPUBackend {
    /// One pass by `tk_narrow_*`: a tile is widened, updated and rounded while it is in the first cache.
    public func narrowStep(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?,
        _ rounding: NarrowRounding
    ) {
        var w = tk_narrowing(
            dtype: p.dtype.code, gradient_dtype: g.dtype.code, rounding: Int32(TK_ROUND_NEAREST), seed: 0, offset: 0,
            compensation: nil)
        switch rounding {
        case .nearest: break
        case .stochastic(let seed, let offset):
            w.rounding = Int32(TK_ROUND_STOCHASTIC)
            w.seed = seed
            w.offset = offset
        case .compensated(let rest):
            w.rounding = Int32(TK_ROUND_COMPENSATED)
            w.compensation = rest.pointer
        }
        func floats(_ x: RawTensor?) -> UnsafeMutablePointer<Float>? { x?.pointer.assumingMemoryBound(to: Float.self) }
        let n = Int64(p.count)
        switch rule {
        case .sgd(let options):
            var o = options.kernelOptions
            tk_narrow_sgd(&w, p.pointer, g.pointer, floats(a), n, &o)
        case .adam(let options):
            var o = options.kernelOptions
            tk_narrow_adam(&w, p.pointer, g.pointer, floats(a), floats(b), floats(c), n, &o)
        case .rmsProp(let options):
            var o = options.kernelOptions
            tk_narrow_rmsprop(&w, p.pointer, g.pointer, floats(a), floats(b), floats(c), n, &o)
        case .sweep(let rule, let numbers):
            var o = numbers.kernelOptions
            tk_narrow_sweep(&w, rule.rawValue, p.pointer, g.pointer, floats(a), floats(b), n, &o)
        }
    }

    /// By `tk_round_stochastic`.
    public func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64) {
        tk_round_stochastic(
            out.dtype.code, seed, offset, x.pointer.assumingMemoryBound(to: Float.self), out.pointer, Int64(out.count))
    }
}
