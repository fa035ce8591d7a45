// Sums and moments beside the basic ones.

extension Tensor {
    /// Sum of the elements that are not NaN.
    public func nanSum(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        (dtype.isFloatingPoint ? maskedFill(isNaN, 0) : self).sum(axes, keepDims: keepDims)
    }

    /// Mean of the elements that are not NaN; NaN where there is none.
    public func nanMean(_ axes: Axes = .all, keepDims: Bool = false) -> Tensor {
        if !dtype.isFloatingPoint { fail("nanMean", "\(dtype) has no mean of its own type; convert with to(.float32)") }
        let n = (.!isNaN).to(.int64).sum(axes, keepDims: keepDims)
        return nanSum(axes, keepDims: keepDims) / n.to(dtype)
    }

    /// The largest element along an axis and where it is (the first of equals); a NaN wins. The gradient goes to that place alone.
    public func maximum(axis: Int, keepDims: Bool = false) -> ValuesAndIndices {
        extremum(axis, argmax(axis: axis, keepDims: true), keepDims)
    }

    /// The smallest element along an axis and where it is (the first of equals); a NaN wins. The gradient goes to that place alone.
    public func minimum(axis: Int, keepDims: Bool = false) -> ValuesAndIndices {
        extremum(axis, argmin(axis: axis, keepDims: true), keepDims)
    }

    private func extremum(_ axis: Int, _ place: Tensor, _ keepDims: Bool) -> ValuesAndIndices {
        if rank == 0 { return ValuesAndIndices(values: self, indices: place) }
        return picked(resolveAxis("maximum", axis, rank: rank), place, keepDims)
    }

    /// Differences of neighbours along an axis, `order` times; `prepend` and `append` are joined on first.
    public func differences(order: Int = 1, axis: Int = -1, prepend: Tensor? = nil, append: Tensor? = nil) -> Tensor {
        let axis = resolveAxis("differences", axis, rank: rank)
        if rank == 0 || order < 0 { fail("differences", "order \(order) of a tensor of shape \(shape)") }
        if order == 0 { return self }
        var x = self
        if prepend != nil || append != nil { x = concatenate([prepend, self, append].compactMap { $0 }, axis: axis) }
        for _ in 0..<order {
            let n = x.shape[axis]
            if n == 0 { return x }
            let high = x.narrowed(axis: axis, start: 1, length: n - 1), low = x.narrowed(axis: axis, start: 0, length: n - 1)
            x = dtype == .bool ? high .^ low : high - low
        }
        return x
    }

    /// The trapezoids between neighbours along an axis, at the places `x` (broadcast, or a vector along the axis) or `spacing` apart.
    private func trapezoids(_ name: String, _ x: Tensor?, _ spacing: Tensor, _ axis: Int) -> Tensor {
        let axis = resolveAxis(name, axis, rank: rank)
        if rank == 0 { fail(name, "a scalar has no axis") }
        let n = shape[axis]
        let y = dtype.isDifferentiable ? self : to(.float32)
        if n < 2 { return y.narrowed(axis: axis, start: 0, length: 0) }
        let means = (y.narrowed(axis: axis, start: 1, length: n - 1) + y.narrowed(axis: axis, start: 0, length: n - 1)) * 0.5
        guard let x else { return means * spacing }
        var widths = x.differences(axis: x.rank == 1 ? 0 : x.rank - rank + axis)
        if x.rank == 1 { widths = widths.reshaped([n - 1] + [Int](repeating: 1, count: rank - 1 - axis)) }
        return means * widths
    }

    /// The integral along an axis by the trapezoidal rule.
    public func trapezoid(at x: Tensor? = nil, spacing: Double = 1, axis: Int = -1) -> Tensor {
        trapezoids("trapezoid", x, Tensor(spacing, dtype: dtype.isDifferentiable ? dtype : .float32, device: device), axis).sum(
            Axes([axis]))
    }

    /// The running integral along an axis by the trapezoidal rule; one element less than the axis.
    public func cumulativeTrapezoid(at x: Tensor? = nil, spacing: Double = 1, axis: Int = -1) -> Tensor {
        trapezoids(
            "cumulativeTrapezoid", x, Tensor(spacing, dtype: dtype.isDifferentiable ? dtype : .float32, device: device), axis
        ).cumsum(
            axis: axis)
    }

    /// Derivative along an axis by central differences, one-sided at the edges of first or second order (NumPy's `gradient`). The
    /// places are `spacing` apart, or those of the vector `coordinates`.
    public func centralDifferences(axis: Int, spacing: Double = 1, coordinates: Tensor? = nil, edgeOrder: Int = 1) -> Tensor {
        let axis = resolveAxis("centralDifferences", axis, rank: rank)
        if rank == 0 || !(1...2).contains(edgeOrder) || shape[axis] < edgeOrder + 1 {
            fail("centralDifferences", "axis \(axis) of \(shape) with edges of order \(edgeOrder)")
        }
        let n = shape[axis]
        func part(_ start: Int, _ length: Int) -> Tensor { narrowed(axis: axis, start: start, length: length) }
        let ones = [Int](repeating: 1, count: rank - 1 - axis)
        let real = dtype.isDifferentiable ? dtype : DType.float32
        let steps =
            (coordinates.map { $0.to(real).differences(axis: 0) }
                ?? Tensor(repeating: spacing, shape: [n - 1], dtype: real, device: device))
        func h(_ start: Int, _ length: Int) -> Tensor {
            steps.narrowed(axis: 0, start: start, length: length).reshaped([length] + ones)
        }
        var parts: [Tensor] = []
        let before = h(0, n - 2), after = h(1, n - 2)
        if edgeOrder == 1 || n < 3 {
            parts.append((part(1, 1) - part(0, 1)) / h(0, 1))
        } else {
            let a = h(0, 1), b = h(1, 1)
            parts.append(
                part(0, 1) * (-(a * 2 + b) / (a * (a + b))) + part(1, 1) * ((a + b) / (a * b)) - part(2, 1) * (a / (b * (a + b))))
        }
        if n > 2 {
            parts.append(
                part(0, n - 2) * (-after / (before * (before + after))) + part(1, n - 2) * ((after - before) / (before * after))
                    + part(2, n - 2) * (before / (after * (before + after))))
        }
        if edgeOrder == 1 || n < 3 {
            parts.append((part(n - 1, 1) - part(n - 2, 1)) / h(n - 2, 1))
        } else {
            let a = h(n - 3, 1), b = h(n - 2, 1)
            parts.append(
                part(n - 3, 1) * (b / (a * (a + b))) - part(n - 2, 1) * ((a + b) / (a * b)) + part(n - 1, 1)
                    * ((b * 2 + a) / (b * (a + b))))
        }
        return concatenate(parts, axis: axis)
    }

    /// Covariance matrix of variables in rows, observations in columns: Σ w (x - mean)(x - mean)ᵀ / (Σ w - correction …). `counts`
    /// are whole repetitions of observations, `weights` their importance (NumPy's `fweights` and `aweights`).
    public func covariance(correction: Double = 1, counts: Tensor? = nil, weights: Tensor? = nil) -> Tensor {
        if rank > 2 { fail("covariance", "needs [variables, observations] or a vector, not \(shape)") }
        let x = rank < 2 ? reshaped([1, count]) : self
        let real = dtype.isDifferentiable ? x : x.to(.float32)
        var w: Tensor?
        if let counts { w = counts.to(real.dtype.real) }
        if let weights { w = w.map { $0 * weights.to(real.dtype.real) } ?? weights.to(real.dtype.real) }
        let n = Double(x.shape[1])
        let total = w?.sum() ?? Tensor(n, dtype: real.dtype.real, device: real.device)
        let mean = (w.map { (real * $0).sum(1, keepDims: true) } ?? real.sum(1, keepDims: true)) / total
        let centred = real - mean
        var divisor = total - correction
        if let weights, let w { divisor = total - (w * weights.to(real.dtype.real)).sum() / total * correction }
        let product = CoreTensor.matmul(w.map { centred * $0 } ?? centred, centred.adjoint)
        let result = product / divisor.clamped(min: 0)
        return rank < 2 ? result.reshaped([]) : result
    }

    /// Correlation matrix: ``covariance(correction:counts:weights:)`` over the standard deviations, within [-1, 1].
    public func correlation() -> Tensor {
        let c = covariance()
        if rank < 2 { return c / c }
        let d = sqrt(c.diagonal().real)
        let r = c / d.unsqueezed(1) / d
        if r.dtype.isComplex {
            return complex(real: r.real.clamped(min: -1, max: 1), imaginary: r.imaginary.clamped(min: -1, max: 1))
        }
        return r.clamped(min: -1, max: 1)
    }
}
