// Activations made of other operations.

/// min(max(x, 0), 6) (Howard et al., 2017). Elementwise.
public func relu6(_ x: Tensor) -> Tensor { hardtanh(x, min: 0, max: 6) }

/// min(max(x, low), high); the slope is 0 at the bounds and beyond. Elementwise.
public func hardtanh(_ x: Tensor, min low: Double = -1, max high: Double = 1) -> Tensor {
    if low > high { fail("hardtanh", "a lower bound of \(low) above the upper bound of \(high)") }
    if !x.requiresGrad { return x.clamped(min: low, max: high) }
    return which((x .> low) .& (x .< high) .| x.isNaN, x, x.detached().clamped(min: low, max: high))
}

/// x where x > 0, slope · x elsewhere, one slope per channel (axis 1) or a single one (He et al., 2015).
public func prelu(_ x: Tensor, slope: Tensor) -> Tensor {
    let x = Autocast.lowered(x), slope = Autocast.lowered(slope)
    if slope.count != 1 && (x.rank < 2 || slope.shape != [x.shape[1]]) {
        fail("prelu", "slopes of shape \(slope.shape) for an input of shape \(x.shape): one, or one per channel (axis 1)")
    }
    let a = slope.count == 1 ? slope.reshaped([]) : slope.reshaped([-1] + [Int](repeating: 1, count: x.rank - 2))
    return which(x .> 0, x, x * a)
}

/// λ x where x > 0, λ α (eˣ - 1) elsewhere (Klambauer et al., 2017). Elementwise.
public func selu(_ x: Tensor) -> Tensor { elu(x, alpha: 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946 }

/// x where x > 0, α (e^(x/α) - 1) elsewhere (Barron, 2017). Elementwise.
public func celu(_ x: Tensor, alpha: Double = 1) -> Tensor {
    if alpha == 0 { fail("celu", "alpha must not be 0") }
    return which(x .> 0, x, expm1(minimum(x, 0) / alpha) * alpha)
}

/// x tanh(ln(1 + eˣ)) (Misra, 2019). Elementwise.
public func mish(_ x: Tensor) -> Tensor { x * tanh(softplus(x)) }

/// x clip(x + 3, 0, 6) / 6 (Howard et al., 2019). Elementwise.
public func hardswish(_ x: Tensor) -> Tensor {
    which(x .<= -3, x * 0, which(x .< 3, x * (x + 3) / 6, x))
}

/// clip(x + 3, 0, 6) / 6. Elementwise.
public func hardsigmoid(_ x: Tensor) -> Tensor { hardtanh(x / 6 + 0.5, min: 0, max: 1) }

/// x / (1 + |x|). Elementwise.
public func softsign(_ x: Tensor) -> Tensor {
    let x = x.dtype.isComplex ? x : x.asFloatingPoint("softsign")
    return x / (abs(x) + 1)
}

/// x - tanh(x). Elementwise.
public func tanhshrink(_ x: Tensor) -> Tensor { x - tanh(x) }

/// x moved towards 0 by λ, 0 within. Elementwise.
public func softshrink(_ x: Tensor, lambda: Double = 0.5) -> Tensor {
    if !(lambda >= 0) { fail("softshrink", "lambda \(lambda); must not be negative") }
    return which(x .> lambda, x - lambda, which(x .< -lambda, x + lambda, x * 0))
}

/// x, but 0 within [-λ, λ]. Elementwise.
public func hardshrink(_ x: Tensor, lambda: Double = 0.5) -> Tensor {
    which((x .>= -lambda) .& (x .<= lambda), Tensor(zeros: [], dtype: x.dtype, device: x.device), x)
}

/// x where it is above the threshold, `value` elsewhere. Elementwise.
public func thresholded<S: TensorScalar>(_ x: Tensor, threshold: Double, value: S) -> Tensor {
    which((x .> threshold) .| x.isNaN, x, Tensor(value, dtype: x.dtype, device: x.device))
}

/// e^-x / Σ e^-x along an axis.
public func softmin(_ x: Tensor, axis: Int = -1) -> Tensor { softmax(-x, axis: axis) }

/// a · sigmoid(b) with a and b the halves along an axis (Dauphin et al., 2017).
public func glu(_ x: Tensor, axis: Int = -1) -> Tensor { gated("glu", x, axis, sigmoid) }

/// a · relu(b) with a and b the halves along an axis (Shazeer, 2020).
public func reglu(_ x: Tensor, axis: Int = -1) -> Tensor { gated("reglu", x, axis) { relu($0) } }

/// a · gelu(b) with a and b the halves along an axis (Shazeer, 2020).
public func geglu(_ x: Tensor, axis: Int = -1) -> Tensor { gated("geglu", x, axis) { gelu($0) } }

/// a · silu(b) with a and b the halves along an axis (Shazeer, 2020).
public func swiglu(_ x: Tensor, axis: Int = -1) -> Tensor { gated("swiglu", x, axis) { silu($0) } }

private func gated(_ name: String, _ x: Tensor, _ axis: Int, _ gate: (Tensor) -> Tensor) -> Tensor {
    if x.rank == 0 { fail(name, "a scalar has no halves") }
    let axis = resolveAxis(name, axis, rank: x.rank)
    if x.shape[axis] % 2 != 0 { fail(name, "axis \(axis) of \(x.shape) does not divide into halves") }
    let parts = x.split(size: Swift.max(x.shape[axis] / 2, 1), axis: axis)
    return parts[0] * gate(parts.count > 1 ? parts[1] : parts[0])
}

/// Randomized leaky ReLU (Xu et al., 2015): in training the slope of each negative element is drawn from [lower, upper],
/// otherwise it is their mean.
public func rrelu(
    _ x: Tensor, lower: Double = 1.0 / 8, upper: Double = 1.0 / 3, training: Bool = false,
    generator: RandomGenerator = .default
) -> Tensor {
    if !training { return leakyReLU(x, negativeSlope: (lower + upper) / 2) }
    let slopes = Tensor(uniform: x.shape, low: lower, high: upper, dtype: x.dtype, device: x.device, generator: generator)
    return which(x .> 0, x, x * slopes)
}
