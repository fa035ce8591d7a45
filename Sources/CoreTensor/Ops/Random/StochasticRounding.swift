extension Tensor {
    /// The same values as `float16` or `bfloat16`, each rounded up with the probability of how far it lies above the value below (in 65,536ths
    /// of the step between them), so that the expectation is the value itself and what is smaller than a step is not always lost (Gupta et al.,
    /// 2015, arXiv:1502.02551). What is finite and below the end of the type stays finite. float64 is brought to float32 first; the gradient
    /// passes as through ``to(_:)``. Traps for other types.
    ///
    /// The result depends on the generator's place alone, not on the number of threads or the instruction set.
    public func roundedStochastically(to dtype: DType, generator: RandomGenerator = .default) -> Tensor {
        if dtype != .float16 && dtype != .bfloat16 {
            fail("roundedStochastically", "rounds to float16 or bfloat16, not \(dtype); use to(.\(dtype))")
        }
        if !self.dtype.isFloatingPoint { fail("roundedStochastically", "needs floats, not \(self.dtype)") }
        if dtype == self.dtype { return self }
        if isBatched { return lifted { x, _ in x.roundedStochastically(to: dtype, generator: generator) } }
        let wide = to(.float32), x = wide.raw.contiguous()
        let out = RawTensor(x.layout, dtype, device)
        let start = generator.reserveForRounding(out.count)
        out.backend.roundStochastically(x, to: out, seed: start.seed, offset: start.position)
        return record(out, wide) { CastBackward(from: .float32) }
    }
}

extension RandomGenerator {
    /// Reserves what ``Backend/roundStochastically(_:to:seed:offset:)`` takes for `count` elements: 16 counters for every 128.
    package func reserveForRounding(_ count: Int) -> State { reserve((count + 127) / 128 * 64, .float32) }
}
