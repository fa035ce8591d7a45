extension Tensor {
    /// Uniform numbers in `[low, high)`.
    public init(
        uniform shape: Shape, low: Double = 0, high: Double = 1, dtype: DType = .float32, device: Device = .cpu,
        generator: RandomGenerator = .default
    ) {
        if !dtype.isFloatingPoint { fail("uniform", "needs a float type, not \(dtype)") }
        let out = RawTensor(shape: shape, dtype, device)
        let s = generator.reserve(out.count, dtype)
        out.backend.randomUniform(out, seed: s.seed, offset: s.position, low: low, high: high)
        self.init(raw: out)
    }

    /// Normally distributed numbers.
    public init(
        normal shape: Shape, mean: Double = 0, standardDeviation: Double = 1, dtype: DType = .float32,
        device: Device = .cpu, generator: RandomGenerator = .default
    ) {
        if !dtype.isFloatingPoint { fail("normal", "needs a float type, not \(dtype)") }
        let out = RawTensor(shape: shape, dtype, device)
        let s = generator.reserve(out.count, dtype)
        out.backend.randomNormal(
            out, seed: s.seed, offset: s.position, mean: mean, standardDeviation: standardDeviation)
        self.init(raw: out)
    }

    /// Uniform integers in `range`.
    public init(
        integers range: Range<Int>, shape: Shape, dtype: DType = .int64, device: Device = .cpu,
        generator: RandomGenerator = .default
    ) {
        if range.isEmpty || !dtype.isInteger { fail("integers", "needs a range and an integer type, not \(range) of \(dtype)") }
        let out = RawTensor(shape: shape, dtype, device)
        let s = generator.reserve(out.count, .int64)
        out.backend.randomIntegers(
            out, seed: s.seed, offset: s.position, low: range.lowerBound, high: range.upperBound)
        self.init(raw: out)
    }

    /// The numbers `0 ..< n` in random order, as `int64`.
    public init(permutation n: Int, generator: RandomGenerator = .default) {
        // Fisher-Yates; draw i is uniform on 0 ... i.
        var order = Array(0..<n)
        let draws = Tensor(uniform: [n], dtype: .float64, generator: generator).scalars(Double.self)
        for i in stride(from: n - 1, to: 0, by: -1) { order.swapAt(i, Swift.min(Int(draws[i] * Double(i + 1)), i)) }
        self.init(order, shape: [n])
    }

    /// Indices (`int64`) drawn from the rows of non-negative weights: `[..., classes]` gives `[...]`. Rows need not add up to 1.
    public func multinomial(generator: RandomGenerator = .default) -> Tensor {
        if rank == 0 || !dtype.isFloatingPoint { fail("multinomial", "needs rows of float weights, not \(dtype) \(shape)") }
        let cumulative = detached().to(.float64).cumsum(axis: -1)
        let total = cumulative.narrowed(axis: -1, start: shape.last! - 1, length: 1)
        if !((total .> 0) .& total.isFinite).all().item(Bool.self) {
            fail("multinomial", "a row of weights adds up to 0, is infinite or has a NaN")
        }
        let draw = Tensor(uniform: Array(shape.dropLast()) + [1], dtype: .float64, device: device, generator: generator) * total
        return (cumulative .<= draw).sum(-1).clamped(max: Double(shape.last! - 1))
    }
}
