import CoreTensor

/// Marks a moment in the order of nodes.
private final class Marker: Node, @unchecked Sendable {}

/// A moment in the order of nodes: what is recorded from now on has a higher sequence number.
func tapePosition() -> UInt64 { Marker().sequence }

/// The edges from the graph built since `start` to older nodes, each once.
func edgesOut(of outputs: [Tensor], builtSince start: UInt64) -> [Node.Edge] {
    var seen = Set<ObjectIdentifier>()
    var found: [Node.Edge] = []
    var stack: [Node] = []
    func visit(_ edge: Node.Edge) {
        if edge.node.sequence < start {
            if !found.contains(where: { $0.node === edge.node && $0.output == edge.output }) { found.append(edge) }
        } else if edge.node is LeafNode {
            // A leaf made inside: nobody outside can ask for its gradient.
        } else if seen.insert(ObjectIdentifier(edge.node)).inserted {
            stack.append(edge.node)
        }
    }
    for output in outputs { if let node = output.tapeNode { visit(Node.Edge(node: node, output: output.tapeOutput)) } }
    while let node = stack.popLast() {
        for input in 0..<node.inputCount { if let edge = node.edge(input) { visit(edge) } }
    }
    return found
}
