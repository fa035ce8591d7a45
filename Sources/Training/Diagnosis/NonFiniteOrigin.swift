import Autograd
import CoreTensor

/// Where an infinite or undefined number came from, as far as a tape says.
public struct NonFiniteOrigin: Sendable, Equatable, CustomStringConvertible {
    /// What made it.
    public enum Source: Sendable, Equatable {
        /// The operation, whose inputs were still finite as far as they are known.
        case operation(String)
        /// The gradient rule of the operation.
        case gradient(String)
        /// A tensor that the operation was given and that nothing on the tape made: data.
        case input(String)
        /// A parameter, or another leaf, that the operation was given.
        case leaf(String)
    }
    /// What made it.
    public let source: Source
    /// "NaN" or "infinity".
    public let kind: String
    /// The user's line that called the operation, `Model.swift:31`; nil where there is no debug information.
    public let line: String?

    /// Source, kind and line in a sentence.
    public var description: String {
        let place = line.map { " called at \($0)" } ?? ""
        return switch source {
        case .operation(let name): "the first \(kind) is the result of \(name)\(place)"
        case .gradient(let name): "the first \(kind) is the gradient of \(name)\(place)"
        case .input(let name): "\(kind) is in the data given to \(name)\(place)"
        case .leaf(let name): "\(kind) is in a parameter given to \(name)\(place)"
        }
    }

    /// Computes a loss and its gradients once more, looking at the result of every operation that is recorded and at every gradient: the first
    /// NaN, or, where there is none, the first infinity. No `.grad` is changed. Nil if all is finite, or `loss` throws or gives nil.
    public static func find(_ loss: () throws -> Tensor?) -> NonFiniteOrigin? {
        var firstBad: [String: Node] = [:]
        let value = try? OutputWatch.run({ node, output in
            if !output.dtype.isFloatingPoint || firstBad["NaN"] != nil { return }
            withoutGrad {
                if output.isNaN.any().item(Bool.self) {
                    firstBad["NaN"] = node
                } else if firstBad["infinity"] == nil && output.isInfinite.any().item(Bool.self) {
                    firstBad["infinity"] = node
                }
            }
        }) { try withGrad(loss) }
        guard let value else { return nil }
        // Infinities alone may be meant, as in masks, if nothing came of them.
        if !value.detached().isFinite.all().item(Bool.self) {
            if let node = firstBad["NaN"] { return origin(node, "NaN") { $0.isNaN } }
            if let node = firstBad["infinity"] { return origin(node, "infinity") { $0.isInfinite } }
        }
        return findInGradients(value)
    }

    /// The operation, or what it was given, as far as it has saved that.
    private static func origin(_ node: Node, _ kind: String, _ test: (Tensor) -> Tensor) -> NonFiniteOrigin {
        let given = node.savedTensors.filter { saved in
            saved.tapeNode !== node && saved.dtype.isFloatingPoint && withoutGrad { test(saved.detached()).any().item(Bool.self) }
        }
        let line = node.site.userLine
        if given.contains(where: { $0.tapeNode is LeafNode }) {
            return NonFiniteOrigin(source: .leaf(node.name), kind: kind, line: line)
        }
        // A saved tensor without a node may be a byproduct of the operation, if it has other inputs than data.
        if given.contains(where: { $0.tapeNode == nil }) && node.nextEdges.contains(where: { $0 == nil }) {
            return NonFiniteOrigin(source: .input(node.name), kind: kind, line: line)
        }
        return NonFiniteOrigin(source: .operation(node.name), kind: kind, line: line)
    }

    /// The first gradient rule whose result is not finite although what it was given was.
    private static func findInGradients(_ loss: Tensor) -> NonFiniteOrigin? {
        guard let root = loss.tapeNode, loss.count == 1 else { return nil }
        let nodes = tapeNodes(below: [root])
        let leaves = nodes.filter { $0 is LeafNode }
        if leaves.isEmpty { return nil }
        let watch = GradientWatch()
        for node in nodes {
            let id = ObjectIdentifier(node)
            node.preHooks.append { gradients in
                for case let gradient? in gradients { watch.see(id, gradient) }
                return gradients
            }
        }
        _ = gradients(of: [loss], withRespectTo: leaves.map(leafTensor))
        // In the order of the backward pass, latest first: the first bad gradient came from an operation that it was given to.
        for node in nodes.reversed() {
            guard let kind = watch.bad[ObjectIdentifier(node)] else { continue }
            let users = nodes.filter { user in
                watch.seen.contains(ObjectIdentifier(user)) && watch.bad[ObjectIdentifier(user)] == nil
                    && user.nextEdges.contains { $0?.node === node }
            }
            if let user = users.first {
                return NonFiniteOrigin(source: .gradient(user.name), kind: kind, line: user.site.userLine)
            }
        }
        return nil
    }

    /// A tensor that stands for a leaf of the tape.
    private static func leafTensor(_ node: Node) -> Tensor {
        let info = node.outputInfo(0)
        return Tensor(raw: RawTensor(info.layout, info.dtype), node: node)
    }
}

/// Which gradients of a backward pass were not finite.
private final class GradientWatch: @unchecked Sendable {
    var bad: [ObjectIdentifier: String] = [:]
    var seen = Set<ObjectIdentifier>()

    func see(_ node: ObjectIdentifier, _ gradient: Tensor) {
        seen.insert(node)
        if !gradient.dtype.isFloatingPoint { return }
        withoutGrad {
            if gradient.isNaN.any().item(Bool.self) {
                bad[node] = "NaN"
            } else if gradient.isInfinite.any().item(Bool.self) && bad[node] == nil {
                bad[node] = "infinity"
            }
        }
    }
}

/// All nodes that can be reached from `roots`, each once, in the order in which they were recorded.
func tapeNodes(below roots: [Node]) -> [Node] {
    var seen = Set(roots.map { ObjectIdentifier($0) }), found = roots, next = 0
    while next < found.count {
        for case let edge? in found[next].nextEdges where seen.insert(ObjectIdentifier(edge.node)).inserted {
            found.append(edge.node)
        }
        next += 1
    }
    return found.sorted { $0.sequence < $1.sequence }
}
