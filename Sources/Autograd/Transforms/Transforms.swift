import CoreTensor

// Function transforms over the tape. They nest in any order: each makes inputs of its own, connected to whatever history the
// argument already has, so an outer transform differentiates through an inner one.

/// A fresh point on the tape with the value of `x`.
func tracked(_ x: Tensor) -> Tensor {
    let x = x.extendedToAllExamples()
    return x.requiresGrad ? withGrad { x.aliased() } : x.asLeaf()
}

/// What a transform knows about where it was called.
private struct Scope {
    let isNested: Bool
    let isRecording: Bool
    let start: UInt64

    /// Whether results should be differentiable: inside another transform, or when the outputs depend on something with a
    /// history that was there before, be it an argument or a captured tensor.
    func records(_ outputs: [Tensor]) -> Bool {
        isNested || (isRecording && !edgesOut(of: outputs, builtSince: start).isEmpty)
    }
}

/// Runs a transform's body one level deeper.
private func transform<R>(_ body: (Scope) -> R) -> R {
    let state = ThreadLocal.current
    let scope = Scope(isNested: state.transformDepth > 0, isRecording: isGradEnabled, start: tapePosition())
    state.transformDepth += 1
    defer { state.transformDepth -= 1 }
    return withGrad { body(scope) }
}

private func scalarOutput(_ operation: String, _ y: Tensor) -> Tensor {
    if y.count != 1 { fail(operation, "the function must give one number, not \(y.shape); use vjp or jacobian") }
    return y
}

/// Gradients that are zero where nothing depends on the input, detached unless recorded.
private func pull(_ outputs: [Tensor], _ inputs: [Tensor], _ cotangents: [Tensor]?, _ record: Bool, retain: Bool = false)
    -> [Tensor]
{
    let live = outputs.enumerated().filter { $0.element.requiresGrad }
    if live.isEmpty { return inputs.map { Tensor(zerosLike: $0) } }
    let found = gradients(
        of: live.map(\.element), withRespectTo: inputs, gradients: cotangents.map { c in live.map { c[$0.offset] } },
        retainGraph: retain || record, createGraph: record)
    return zip(found, inputs).map { $0 ?? Tensor(zerosLike: $1) }
}

/// The gradient of a function that gives one number: `grad(of: f)(x)` is ∂f/∂x, `[x.shape]`.
public func grad(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor {
    { x in valueAndGrad(of: f)(x).gradient }
}

/// The gradients of a function of several tensors.
public func grad(of f: @escaping ([Tensor]) -> Tensor) -> ([Tensor]) -> [Tensor] {
    { xs in valueAndGrad(of: f)(xs).gradients }
}

/// The value and the gradient of a function that gives one number.
public func valueAndGrad(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> (value: Tensor, gradient: Tensor) {
    { x in
        let (value, gradients) = valueAndGrad(of: { f($0[0]) })([x])
        return (value, gradients[0])
    }
}

/// The value and the gradients of a function of several tensors.
public func valueAndGrad(of f: @escaping ([Tensor]) -> Tensor) -> ([Tensor]) -> (value: Tensor, gradients: [Tensor]) {
    { xs in
        transform { scope in
            let inputs = xs.map(tracked)
            let y = scalarOutput("grad", f(inputs))
            let record = scope.records([y])
            let result = pull([y], inputs, [Tensor(onesLike: y)], record)
            return (record ? y : y.detached(), result)
        }
    }
}

/// The value of `f` at `x` and the map from a cotangent `[f(x).shape]` to the vector-Jacobian product `[x.shape]`. The map may be
/// called any number of times.
public func vjp(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor) -> (value: Tensor, pullback: (Tensor) -> Tensor) {
    transform { scope in
        let input = tracked(x)
        let y = f(input)
        let record = scope.records([y])
        return (
            record ? y : y.detached(),
            { v in
                if v.shape != y.shape { fail("vjp", "a cotangent of shape \(v.shape) for an output of shape \(y.shape)") }
                return pull([y], [input], [v], record || v.requiresGrad, retain: true)[0]
            }
        )
    }
}

/// The value of `f` at `x` and its derivative in the direction `tangent` `[x.shape]`: the Jacobian-vector product `[f(x).shape]`.
///
/// Derived from reverse mode: the pullback u ↦ Jᵀu is linear, and its own pullback is v ↦ J v.
public func jvp(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor, tangent: Tensor) -> (value: Tensor, tangent: Tensor) {
    if tangent.shape != x.shape { fail("jvp", "a tangent of shape \(tangent.shape) for an input of shape \(x.shape)") }
    let (value, pushforward) = linearize(f, x)
    return (value, pushforward(tangent))
}

/// The value of `f` at `x` and its derivative there as a linear map v ↦ J v, from `[x.shape]` to `[f(x).shape]`, which may be called
/// any number of times without evaluating `f` again.
public func linearize(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor) -> (value: Tensor, pushforward: (Tensor) -> Tensor) {
    transform { scope in
        let input = tracked(x)
        let y = f(input)
        let record = scope.records([y])
        let value = record ? y : y.detached()
        func zero(_ v: Tensor) -> Tensor { Tensor(zeros: y.shape, dtype: y.dtype, device: y.device) }
        if !y.requiresGrad { return (value, zero) }
        // Inside vmap the cotangent is each example's own, so that its gradient is.
        let u = Tensor(zerosLike: y).extendedToAllExamples().extended(like: y).asLeaf()
        let pulled = gradients(of: [y], withRespectTo: [input], gradients: [u], createGraph: true)[0]
        guard let pulled, pulled.requiresGrad else { return (value, zero) }
        return (
            value,
            { v in
                if v.shape != x.shape { fail("linearize", "a tangent of shape \(v.shape) for an input of shape \(x.shape)") }
                return pull([pulled], [u], [v.to(pulled.dtype)], record || v.requiresGrad, retain: true)[0]
            }
        )
    }
}

/// The Jacobian of `f`, `[f(x).shape + x.shape]`: row by row (``jacrev(of:)``).
public func jacobian(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor { jacrev(of: f) }

/// The Jacobian of `f`, `[f(x).shape + x.shape]`, in reverse mode: one pullback of all rows at once. The better mode for functions
/// with fewer outputs than inputs.
public func jacrev(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor {
    { x in
        transform { scope in
            let input = tracked(x)
            let y = f(input)
            let record = scope.records([y])
            if y.count == 0 || x.count == 0 || !y.requiresGrad {
                return Tensor(zeros: y.shape + x.shape, dtype: x.dtype, device: x.device)
            }
            let basis = Tensor(eye: y.count, dtype: y.dtype, device: y.device).reshaped([y.count] + y.shape)
            let rows = vmap({ pull([y], [input], [$0], record, retain: true)[0] })(basis)
            return rows.reshaped(y.shape + x.shape)
        }
    }
}

/// The Jacobian of `f`, `[f(x).shape + x.shape]`, in forward mode: one push forward of all columns at once. The better mode for
/// functions with fewer inputs than outputs.
public func jacfwd(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor {
    { x in
        transform { _ in
            let (y, pushforward) = linearize(f, x)
            if y.count == 0 || x.count == 0 { return Tensor(zeros: y.shape + x.shape, dtype: y.dtype, device: y.device) }
            let basis = Tensor(eye: x.count, dtype: x.dtype, device: x.device).reshaped([x.count] + x.shape)
            let columns = vmap(pushforward, outAxis: -1)(basis)
            return columns.reshaped(y.shape + x.shape)
        }
    }
}

/// The matrix of second derivatives of a function that gives one number: `[x.shape + x.shape]`.
public func hessian(of f: @escaping (Tensor) -> Tensor) -> (Tensor) -> Tensor { jacrev(of: grad(of: f)) }

/// The product of the Hessian at `x` with `v` `[x.shape]`, without forming the Hessian.
public func hessianVectorProduct(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor, _ v: Tensor) -> Tensor {
    transform { scope in
        let input = tracked(x)
        let g = grad(of: f)(input)
        let record = scope.records([g])
        return pull([g], [input], [v], record)[0]
    }
}

/// ``hessianVectorProduct(_:_:_:)`` under its short name.
public func hvp(_ f: @escaping (Tensor) -> Tensor, _ x: Tensor, _ v: Tensor) -> Tensor { hessianVectorProduct(f, x, v) }
