/// Gradients of `output` in `inputs`, all of one shape, by the rules on the tape between them, which is small and elementwise: what the
/// engine does for whole tapes, without hooks, leaves that collect, or sums over broadcast axes. Rules run in the caller's mode, so they
/// are recorded where a second derivative is wanted. Nil for an input that the output does not depend on.
func localGradients(of output: Tensor, _ g: Tensor, in inputs: [Tensor]) -> [Tensor?] {
    let ends = Set(inputs.compactMap { $0.node.map(ObjectIdentifier.init) })
    var nodes: [ObjectIdentifier: Node] = [:]
    var waiting = output.node.map { [$0] } ?? []
    while let node = waiting.popLast() {
        if nodes.updateValue(node, forKey: ObjectIdentifier(node)) != nil || ends.contains(ObjectIdentifier(node)) { continue }
        if node is LeafNode {
            fail("fused", "a tensor from outside of the function requires a gradient; pass it as an argument")
        }
        waiting += node.nextEdges.compactMap { $0?.node }
    }
    var gradients: [ObjectIdentifier: Tensor] = [:]
    if let node = output.node { gradients[ObjectIdentifier(node)] = g }
    for node in nodes.values.sorted(by: { $0.sequence > $1.sequence }) where !ends.contains(ObjectIdentifier(node)) {
        guard let g = gradients.removeValue(forKey: ObjectIdentifier(node)) else { continue }
        func add(_ gradient: Tensor?, to edge: Node.Edge) {
            guard let gradient = gradient?.to(edge.node.outputDType) else { return }
            let id = ObjectIdentifier(edge.node)
            gradients[id] = gradients[id].map { $0 + gradient } ?? gradient
        }
        let edges = node.nextEdges
        if node.isJoint {
            for (edge, gradient) in zip(edges, node.vjp([g], needs: edges.map { $0 != nil })) {
                if let edge { add(gradient, to: edge) }
            }
        } else {
            for (input, edge) in edges.enumerated() { if let edge { add(node.vjp(g, input: input), to: edge) } }
        }
    }
    return inputs.map { x in x.node.flatMap { gradients[ObjectIdentifier($0)] } }
}
