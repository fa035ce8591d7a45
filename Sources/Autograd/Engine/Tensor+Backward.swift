import CoreTensor

extension Tensor {
    /// Adds the gradient of this tensor to the `.grad` of every leaf it was computed from.
    ///
    /// - Parameters:
    ///   - gradient: what to multiply with, `[same shape]`; may be left out for a single element (then 1).
    ///   - retainGraph: keeps the saved tensors for another backward pass. Without it a second pass over an operation that
    ///     saved something traps.
    ///   - createGraph: records the pass itself, for gradients of gradients; implies `retainGraph`.
    public func backward(gradient: Tensor? = nil, retainGraph: Bool? = nil, createGraph: Bool = false) {
        Autograd.backward([self], gradients: gradient.map { [$0] }, retainGraph: retainGraph, createGraph: createGraph)
    }

    /// Runs `hook` with the gradient of this tensor in every backward pass; a result other than nil replaces it.
    public func registerHook(_ hook: @escaping @Sendable (Tensor) -> Tensor?) {
        guard let node = tapeNode else { fail("registerHook", "the tensor requires no gradient") }
        let output = tapeOutput
        node.preHooks.append { gradients in
            guard let g = gradients[output], let replacement = hook(g) else { return gradients }
            var changed = gradients
            changed[output] = replacement
            return changed
        }
    }

    /// Keeps the gradient of a tensor that is not a leaf in `.grad`.
    public func retainGrad() {
        guard let node = tapeNode else { fail("retainGrad", "the tensor requires no gradient") }
        if node is LeafNode { return }
        let output = tapeOutput
        node.preHooks.append { [weak node] gradients in
            if let node, let g = gradients[output] {
                node.retainedGrads[output] = node.retainedGrads[output].map { $0 + g } ?? g
            }
            return gradients
        }
    }
}

/// ``CoreTensor/Tensor/backward(gradient:retainGraph:createGraph:)`` of several tensors at once: the sum of their gradients.
public func backward(
    _ tensors: [Tensor], gradients: [Tensor]? = nil, retainGraph: Bool? = nil, createGraph: Bool = false
) {
    _ = BackwardPass.run(
        roots: rootEdges("backward", tensors, gradients), goal: .accumulate, retainGraph: retainGraph ?? createGraph,
        createGraph: createGraph)
}

/// Gradients of `outputs` with respect to `inputs`, without touching any `.grad` (PyTorch's `autograd.grad`). Several outputs
/// add up. An input that no output depends on gives nil.
public func gradients(
    of outputs: [Tensor], withRespectTo inputs: [Tensor], gradients: [Tensor]? = nil, retainGraph: Bool? = nil,
    createGraph: Bool = false
) -> [Tensor?] {
    for (position, input) in inputs.enumerated() where input.tapeNode == nil {
        fail("gradients", "input \(position) requires no gradient")
    }
    let edges = inputs.map { input in input.tapeNode.map { Node.Edge(node: $0, output: input.tapeOutput) } }
    let found = BackwardPass.run(
        roots: rootEdges("gradients", outputs, gradients), goal: .capture(edges),
        retainGraph: retainGraph ?? createGraph, createGraph: createGraph)
    // The tape knows the tensors underneath vmap alone.
    return zip(found, inputs).map { gradient, input in
        input.isBatched ? gradient.map { input.batchLevels.reversed().reduce($0) { $0.concealing(0, as: $1) } } : gradient
    }
}

/// A gradient of a tensor inside `vmap` as one of the tensor underneath, whose hidden axes lead.
private func underneath(_ gradient: Tensor, _ tensor: Tensor) -> Tensor {
    if !tensor.isBatched { return gradient }
    return tensor.batchLevels.reversed().reduce(gradient.extended(like: tensor)) { $0.revealing($1) }
}

/// The starting points of a pass, checked.
private func rootEdges(
    _ operation: String, _ tensors: [Tensor], _ gradients: [Tensor]?
) -> [(edge: Node.Edge, gradient: Tensor)] {
    if let gradients, gradients.count != tensors.count {
        fail(operation, "\(gradients.count) gradients for \(tensors.count) tensors")
    }
    return tensors.enumerated().map { position, tensor in
        guard let node = tensor.tapeNode else {
            fail(operation, "the tensor requires no gradient: no input of its computation has requiresGrad, or recording was off")
        }
        let gradient: Tensor
        if let given = gradients?[position] {
            if given.shape != tensor.shape {
                fail(operation, "a gradient of shape \(given.shape) for a tensor of shape \(tensor.shape)")
            }
            gradient = given.to(tensor.dtype)
        } else {
            if tensor.count != 1 {
                fail(operation, "a tensor of shape \(tensor.shape) needs gradient:; only a single element starts with 1")
            }
            gradient = Tensor(onesLike: tensor)
        }
        return (Node.Edge(node: node, output: tensor.tapeOutput), underneath(gradient, tensor))
    }
}

/// Runs `body` with every backward pass on this thread looking for NaN: the first one stops the program and names the forward
/// operation and the line that called it (PyTorch's `detect_anomaly`).
@discardableResult
public func withAnomalyDetection<R>(_ body: () throws -> R) rethrows -> R {
    let state = ThreadLocal.current
    let before = state.detectsAnomalies
    state.detectsAnomalies = true
    defer { state.detectsAnomalies = before }
    return try body()
}
