/// `body` as one operation: a chain of elementwise operations that reads its arguments once and writes its result once, with a gradient
/// that is one pass, too.
///
/// ```swift
/// let scaledGELU = fused { x, w, b in gelu(x * w + b) }
/// let y = scaledGELU(x, w, b)             // x [rows, n], w [n], b [n]
/// ```
///
/// The arguments, float or bool, are broadcast together; inside, all have the broadcast shape. `body` runs once for each combination of
/// argument shapes and types, on tensors without elements, and what it does is recorded (as `torch.compile` and `jax.jit` do): numbers
/// that it takes from outside stay as they were then, and it must not read elements or have side effects. Gradients are recorded from the
/// operations' own rules. They need the arguments alone: what is in between is computed again, and not kept.
///
/// Elementwise operations in float32, float64 and bool are recorded; 16-bit floats are computed in float32 and rounded at the end and where
/// `to(_:)` says so. Anything else in `body`, such as a sum, a product of matrices, or a tensor from outside of more than one element, stops
/// with a message that names it. Inside `vmap`, in gradients of gradients, and for integers and complex numbers the operations run one by one.
/// Make the function once and keep it; each is recorded anew.
public func fused(_ body: @escaping @Sendable (Tensor) -> Tensor) -> @Sendable (Tensor) -> Tensor {
    let function = FusedFunction { body($0[0]) }
    return { function([$0]) }
}

/// As ``fused(_:)`` of one tensor, of two.
public func fused(_ body: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> @Sendable (Tensor, Tensor) -> Tensor {
    let function = FusedFunction { body($0[0], $0[1]) }
    return { function([$0, $1]) }
}

/// As ``fused(_:)`` of one tensor, of three.
public func fused(
    _ body: @escaping @Sendable (Tensor, Tensor, Tensor) -> Tensor
) -> @Sendable (Tensor, Tensor, Tensor) -> Tensor {
    let function = FusedFunction { body($0[0], $0[1], $0[2]) }
    return { function([$0, $1, $2]) }
}

/// As ``fused(_:)`` of one tensor, of four.
public func fused(
    _ body: @escaping @Sendable (Tensor, Tensor, Tensor, Tensor) -> Tensor
) -> @Sendable (Tensor, Tensor, Tensor, Tensor) -> Tensor {
    let function = FusedFunction { body($0[0], $0[1], $0[2], $0[3]) }
    return { function([$0, $1, $2, $3]) }
}

/// As ``fused(_:)`` of one tensor, of a list; up to 31 tensors.
public func fused(list body: @escaping @Sendable ([Tensor]) -> Tensor) -> @Sendable ([Tensor]) -> Tensor {
    let function = FusedFunction(body)
    return { inputs in
        if inputs.isEmpty { fail("fused", "a function of no tensors has no shape") }
        return function(inputs)
    }
}
