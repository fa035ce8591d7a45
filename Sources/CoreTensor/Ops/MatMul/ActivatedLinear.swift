/// What ``linear(_:_:_:activation:)`` applies to the product.
public enum LinearActivation: String, Sendable {
    /// max(x, 0)
    case relu
    /// x Φ(x)
    case gelu
    /// The tanh form of GELU.
    case geluTanh
    /// x · sigmoid(x)
    case silu

    /// The function by itself.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .relu: CoreTensor.relu(x)
        case .gelu: CoreTensor.gelu(x)
        case .geluTanh: CoreTensor.gelu(x, approximate: .tanh)
        case .silu: CoreTensor.silu(x)
        }
    }

    fileprivate var kernel: UnaryKernel {
        switch self {
        case .relu: .relu
        case .gelu: .geluErf
        case .geluTanh: .geluTanh
        case .silu: .silu
        }
    }
}

/// `f(x · weightᵀ + bias)`: as ``linear(_:_:_:)`` followed by the function, which in float32 is applied to each tile of the product while
/// it is in the caches. Without gradients the product itself is never in memory.
public func linear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor? = nil, activation: LinearActivation) -> Tensor {
    let inputs = [x, weight] + (bias.map { [$0] } ?? [])
    // Other types and shapes, and what does not fit, are the plain function's.
    guard weight.rank == 2, x.rank > 0, x.shape.last! == weight.shape[1], bias == nil || bias!.shape == [weight.shape[0]],
        !isAutocastEnabled, weight.count > 0,
        inputs.allSatisfy({ $0.dtype == x.dtype && !$0.isBatched && $0.device == x.device }),
        x.dtype == .float32 || ((x.dtype == .bfloat16 || x.dtype == .float16) && x.raw.backend.multipliesHalfFloats)
    else { return activation(linear(x, weight, bias)) }
    let out = RawTensor(shape: x.shape.dropLast() + [weight.shape[0]], x.dtype, x.device)
    // A ReLU's gradient wants its output alone.
    let product = isRecording(inputs) && activation != .relu ? RawTensor(out.layout, x.dtype, x.device) : nil
    out.backend.activatedLinear(
        x.raw.contiguous(), weight.raw.contiguous(), bias: bias?.raw.contiguous(), activation.kernel, product: product, out)
    let argument = record(product ?? out, x, weight, bias) {
        let node = LinearBackward(lowered: nil)
        node.save(x)
        node.save(weight)
        return node
    }
    return record(out, argument) {
        let node: Node =
            switch activation {
            case .relu: ReLUBackward()
            case .gelu: GELUBackward(.none)
            case .geluTanh: GELUBackward(.tanh)
            case .silu: SiLUBackward()
            }
        if activation == .relu { node.save(output: out) } else { node.save(argument) }
        return node
    }
}
