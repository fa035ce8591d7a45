import CoreTensor

/// Runs `body` without keeping what its operations would save, and runs it again in the backward pass (Chen et al., 2016: less
/// memory for one more forward pass). Gradients flow to everything `body` uses, arguments and captured parameters alike; the
/// default random generator is put back for the second run, so that dropout drops the same, and an `autocast` region that is in force is
/// in force again.
///
/// ```swift
/// for block in blocks { x = checkpoint { [x] in block(x) } }
/// ```
public func checkpoint(_ body: @escaping () -> Tensor) -> Tensor { checkpoint { [body()] }[0] }

/// ``checkpoint(_:)`` for several results.
public func checkpoint(_ body: @escaping () -> [Tensor]) -> [Tensor] {
    if !isGradEnabled { return body() }
    let random = RandomGenerator.default.state, precision = Autocast.dtype
    // A first, recorded run shows where gradients will go: to the nodes that were there before it. Its graph is dropped.
    let start = tapePosition()
    let outputs = withAutocast(replaying: precision, body)
    if outputs.contains(where: \.isBatched) { return outputs }
    let boundary = edgesOut(of: outputs, builtSince: start)
    if boundary.isEmpty { return outputs }
    let inputs = boundary.map { edge in
        let info = edge.node.outputInfo(edge.output)
        return Tensor(raw: RawTensor(Layout(shape: [0]), info.dtype), node: edge.node, outputIndex: edge.output)
    }
    return record(outputs.map(\.raw), inputs: inputs) { CheckpointBackward(body, boundary, random, precision) }
}

private final class CheckpointBackward: Node, @unchecked Sendable {
    private var body: (() -> [Tensor])?
    private let boundary: [Node.Edge]
    private let random: RandomGenerator.State
    private let precision: DType?

    init(_ body: @escaping () -> [Tensor], _ boundary: [Node.Edge], _ random: RandomGenerator.State, _ precision: DType?) {
        self.body = body
        self.boundary = boundary
        self.random = random
        self.precision = precision
        super.init()
    }

    override var isJoint: Bool { true }

    override func releasesState() -> Bool {
        body = nil
        return true
    }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        checkUsable()
        let record = isGradEnabled
        let now = RandomGenerator.default.state
        RandomGenerator.default.state = random
        let again = withGrad { withAutocast(replaying: precision, body!) }
        RandomGenerator.default.state = now
        let live = again.indices.filter { again[$0].requiresGrad && outputs[$0] != nil }
        if live.isEmpty { return boundary.map { _ in nil } }
        let roots = live.map { i in
            (edge: Node.Edge(node: again[i].tapeNode!, output: again[i].tapeOutput), gradient: outputs[i]!)
        }
        return BackwardPass.run(
            roots: roots, goal: .cut(boundary), retainGraph: record,
            createGraph: record)
    }
}
