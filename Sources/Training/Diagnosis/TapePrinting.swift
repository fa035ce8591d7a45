import CoreTensor
import Foundation
import NN

/// The operations that a tensor came from, a line each, latest first: number, name, shape of the result, where the inputs came from and the user's
/// line. Leaves are named by `model`, if there is one.
///
/// ```text
/// 3 SumBackward [] from 2 at main.swift:7
/// 2 MulBackward [3] from 0 1 at main.swift:6
/// 1 leaf weight [3]
/// 0 leaf [3]
/// ```
public func tapeDescription(of tensor: Tensor, model: Module? = nil) -> String {
    guard let root = tensor.tapeNode else { return "no tape: the tensor requires no gradient" }
    let nodes = tapeNodes(below: [root]), names = leafNames(model)
    let numbers = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { (ObjectIdentifier($0.element), $0.offset) })
    let lines = CallSite.userLines(of: nodes.map(\.site))
    return nodes.enumerated().reversed().map { number, node in
        let shape = node.outputInfo(0).layout.shape
        if node is LeafNode {
            return "\(number) leaf \(names[ObjectIdentifier(node)].map { "\($0) " } ?? "")\(shape)"
        }
        let sources = node.nextEdges.map { $0.map { "\(numbers[ObjectIdentifier($0.node)]!)" } ?? "-" }.joined(separator: " ")
        return "\(number) \(node.name) \(shape) from \(sources)\(lines[number].map { " at \($0)" } ?? "")"
    }.joined(separator: "\n")
}

/// The tape of a tensor as a graph in Graphviz's DOT language (`dot -Tsvg`), in the manner of torchviz: operations are boxes with the shapes of their
/// results on the arrows, leaves are rounded boxes, named by `model` if there is one.
public func dotGraph(of tensor: Tensor, model: Module? = nil) -> String {
    guard let root = tensor.tapeNode else { return "digraph tape {\n}\n" }
    let nodes = tapeNodes(below: [root]), names = leafNames(model)
    let numbers = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { (ObjectIdentifier($0.element), $0.offset) })
    func quoted(_ text: String) -> String {
        "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"") + "\""
    }
    var lines = [
        "digraph tape {", "  node [shape=box, fontname=\"sans-serif\", fontsize=10];",
        "  edge [fontname=\"sans-serif\", fontsize=9];",
    ]
    for (number, node) in nodes.enumerated() {
        let shape = "\(node.outputInfo(0).layout.shape)"
        if node is LeafNode {
            let name = names[ObjectIdentifier(node)] ?? "leaf"
            lines.append("  n\(number) [label=\(quoted(name + " " + shape)), style=\"rounded,filled\", fillcolor=\"#cde4f5\"];")
        } else {
            lines.append("  n\(number) [label=\(quoted(node.name.replacingOccurrences(of: "Backward", with: "")))];")
        }
    }
    for (number, node) in nodes.enumerated() {
        for case let edge? in node.nextEdges {
            let shape = edge.node.outputInfo(edge.output).layout.shape
            lines.append("  n\(numbers[ObjectIdentifier(edge.node)]!) -> n\(number) [label=\(quoted("\(shape)"))];")
        }
    }
    lines.append("  result [label=\(quoted("result \(tensor.shape)")), shape=ellipse];")
    lines.append("  n\(numbers[ObjectIdentifier(root)]!) -> result;")
    return lines.joined(separator: "\n") + "\n}\n"
}

private func leafNames(_ model: Module?) -> [ObjectIdentifier: String] {
    var names: [ObjectIdentifier: String] = [:]
    for (name, parameter) in model?.namedParameters ?? [] {
        if let node = parameter.value.tapeNode { names[ObjectIdentifier(node)] = name }
    }
    return names
}
