import CKernels

/// Wraps the result of an operation and, if a gradient is wanted, records its node. `make` also saves what the rule needs.
@inline(__always)
public func record(_ out: RawTensor, _ a: Tensor, _ make: () -> Node) -> Tensor {
    if a.node == nil || !tk_grad_enabled() { return Tensor(raw: out) }
    let node = make()
    node.outputLayout = out.layout
    node.outputDType = out.dtype
    node.connect(a)
    if OutputWatch.isUsed { OutputWatch.see(node, out) }
    return Tensor(raw: out, node: node)
}

/// For two inputs; the node is recorded if either carries a gradient.
@inline(__always)
public func record(_ out: RawTensor, _ a: Tensor, _ b: Tensor, _ make: () -> Node) -> Tensor {
    if (a.node == nil && b.node == nil) || !tk_grad_enabled() { return Tensor(raw: out) }
    let node = make()
    node.outputLayout = out.layout
    node.outputDType = out.dtype
    node.connect(a)
    node.connect(b)
    if OutputWatch.isUsed { OutputWatch.see(node, out) }
    return Tensor(raw: out, node: node)
}

/// For three inputs, the last of which may be missing; the node is recorded if one carries a gradient.
@inline(__always)
public func record(_ out: RawTensor, _ a: Tensor, _ b: Tensor, _ c: Tensor?, _ make: () -> Node) -> Tensor {
    if (a.node == nil && b.node == nil && c?.node == nil) || !tk_grad_enabled() { return Tensor(raw: out) }
    let node = make()
    node.outputLayout = out.layout
    node.outputDType = out.dtype
    node.connect(a)
    node.connect(b)
    if let c { node.connect(c) }
    if OutputWatch.isUsed { OutputWatch.see(node, out) }
    return Tensor(raw: out, node: node)
}

/// For any number of inputs.
public func record(_ out: RawTensor, inputs: [Tensor], _ make: () -> Node) -> Tensor {
    if !isRecording(inputs) { return Tensor(raw: out) }
    let node = make()
    node.outputLayout = out.layout
    node.outputDType = out.dtype
    for input in inputs { node.connect(input) }
    if OutputWatch.isUsed { OutputWatch.see(node, out) }
    return Tensor(raw: out, node: node)
}

/// For several outputs; the rule is the joint one.
public func record(_ outs: [RawTensor], inputs: [Tensor], _ make: () -> Node) -> [Tensor] {
    if !isRecording(inputs) { return outs.map { Tensor(raw: $0) } }
    let node = make()
    node.outputLayout = outs[0].layout
    node.outputDType = outs[0].dtype
    if outs.count > 1 { node.setMoreOutputs(outs.dropFirst().map { ($0.layout, $0.dtype) }) }
    for input in inputs { node.connect(input) }
    if OutputWatch.isUsed { for out in outs { OutputWatch.see(node, out) } }
    return outs.enumerated().map { index, out in
        out.dtype.isDifferentiable ? Tensor(raw: out, node: node, outputIndex: index) : Tensor(raw: out)
    }
}

/// Whether an operation on these inputs goes on the tape: recording is on and one of them requires a gradient.
public func isRecording(_ inputs: [Tensor]) -> Bool {
    tk_grad_enabled() && inputs.contains { $0.node != nil }
}

/// Traps when a gradient would get lost in an operation that has none.
func checkNoGrad(_ operation: String, _ inputs: Tensor...) {
    if isRecording(inputs) {
        fail(operation, "has no derivative; use detached() on its input or withoutGrad { }")
    }
}

/// Passes the gradient through: copies and changes of layout that keep the shape.
final class IdentityBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g }
}
