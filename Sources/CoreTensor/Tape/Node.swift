import CKernels

/// A recorded operation: one step of the tape.
///
/// A subclass per operation gives the vector-Jacobian product, written in tensor operations, so that gradients of any order
/// follow. The node holds edges to the nodes of its inputs and what its rule needs; an operation's own output is saved
/// without its node and rebuilt, so there are no reference cycles.
///
/// The fields that every operation touches are exempt from run-time exclusivity checks, a tenth of the cost of recording. What few
/// operations have lies in an object of its own, so that the others neither fill nor empty it.
open class Node: @unchecked Sendable {
    /// Order of creation, over the whole process.
    public final let sequence: UInt64
    /// Where the operation was called.
    public final let site: CallSite
    /// The node and output that each input came from; nil where the input needs no gradient.
    @exclusivity(unchecked) private final var edge0: Node?
    @exclusivity(unchecked) private final var edge1: Node?
    @exclusivity(unchecked) private final var edge2: Node?
    @exclusivity(unchecked) private final var edgeOutputs: (Int32, Int32, Int32) = (0, 0, 0)
    @exclusivity(unchecked) private final var connected = 0
    /// The inputs connected so far, those that need no gradient among them.
    public final var inputCount: Int { connected }

    @exclusivity(unchecked) final var outputLayout: Layout
    @exclusivity(unchecked) final var outputDType: DType

    @exclusivity(unchecked) private final var saved0: Saved?
    @exclusivity(unchecked) private final var saved1: Saved?
    @exclusivity(unchecked) private final var savedCount = 0
    @exclusivity(unchecked) private final var extras: Extras?
    /// Set when a backward pass without `retainGraph` has used and dropped the saved tensors.
    @exclusivity(unchecked) public final private(set) var isReleased = false

    /// Scratch of the engine: the pass that uses the node, and the node's place in it.
    @exclusivity(unchecked) private final var enginePass: UInt64 = 0
    @exclusivity(unchecked) private final var engineSlot = 0

    /// Where an input came from: one output of one node. Gradients run along it.
    public struct Edge: Sendable {
        /// The operation, or the leaf, that made the input.
        public let node: Node
        /// Which of the node's outputs the input is, from 0.
        public let output: Int
        /// The edge to output `output` of `node`.
        public init(node: Node, output: Int) {
            self.node = node
            self.output = output
        }
    }

    /// What few nodes have.
    private final class Extras {
        var edges: [Edge?] = []
        var outputs: [(layout: Layout, dtype: DType)] = []
        var saved: [Saved] = []
        var preHooks: [@Sendable ([Tensor?]) -> [Tensor?]] = []
        var retainedGrads: [Int: Tensor] = [:]
    }

    private final var madeExtras: Extras {
        if let extras { return extras }
        let fresh = Extras()
        extras = fresh
        return fresh
    }

    struct Saved {
        var raw: RawTensor
        var node: Node?
        var outputIndex: Int
        var isOwnOutput: Bool
    }

    /// A node with no inputs yet, numbered and marked with the place of the call. ``record(_:_:_:)`` connects it.
    @inline(__always)
    public init() {
        sequence = tk_next_sequence()
        site = CallSite.capture()
        outputLayout = .scalar
        outputDType = .float32
    }

    // MARK: The rule

    /// The name shown in errors and printed tapes: `MulBackward`.
    open var name: String { String(describing: type(of: self)) }

    /// The gradient of input `input`, given the gradient `g` of the only output. Called once per input that needs one.
    /// The engine sums over broadcast axes: a rule never does.
    open func vjp(_ g: Tensor, input: Int) -> Tensor? {
        fail(name, "has no derivative")
    }

    /// All gradients at once, for operations with several outputs or whose gradients share work. The default asks
    /// ``vjp(_:input:)`` for each input that needs one.
    open func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        fail(name, "has no derivative")
    }

    /// Whether ``vjp(_:needs:)`` is the rule.
    open var isJoint: Bool { false }

    /// Adds the gradient of input `input` to `sum`, which is dense, has its shape and the type of `g`, and is seen by nobody else, where
    /// that is less work than the rule and an addition. False, which is the default: it is not. Called for gradients that are not recorded.
    open func vjp(_ g: RawTensor, input: Int, addedTo sum: RawTensor) -> Bool { false }

    /// As ``vjp(_:input:addedTo:)`` if `sum` may be written in place.
    public final func addVJP(_ g: Tensor, input: Int, to sum: inout Tensor) -> Bool {
        if isGradEnabled || g.isBatched || sum.isBatched || sum.node != nil || sum.dtype != g.dtype { return false }
        if sum.raw.storage.pending?.isPending == true { return false }  // rows are added to rows
        if !sum.raw.isContiguous || !sum.raw.isUniquelyReferenced() { return false }
        return vjp(g.raw, input: input, addedTo: sum.raw)
    }

    // MARK: Edges

    /// Where input `input` came from; nil if it needs no gradient. Traps if there is no such input.
    public final func edge(_ input: Int) -> Edge? {
        switch input {
        case 0: edge0.map { Edge(node: $0, output: Int(edgeOutputs.0)) }
        case 1: edge1.map { Edge(node: $0, output: Int(edgeOutputs.1)) }
        case 2: edge2.map { Edge(node: $0, output: Int(edgeOutputs.2)) }
        default: extras!.edges[input - 3]
        }
    }

    /// The edges to the producers of the inputs, PyTorch's `next_functions`.
    public final var nextEdges: [Edge?] { (0..<inputCount).map(edge) }

    @inline(__always)
    final func connect(_ input: Tensor) { connect(input.node, input.outputIndex) }

    /// Adds an input that came from the given edge.
    @inline(__always)
    public final func connect(_ edge: Edge?) { connect(edge?.node, edge?.output ?? 0) }

    @inline(__always)
    private final func connect(_ node: Node?, _ output: Int) {
        switch connected {
        case 0:
            edge0 = node
            edgeOutputs.0 = Int32(truncatingIfNeeded: output)
        case 1:
            edge1 = node
            edgeOutputs.1 = Int32(truncatingIfNeeded: output)
        case 2:
            edge2 = node
            edgeOutputs.2 = Int32(truncatingIfNeeded: output)
        default: madeExtras.edges.append(node.map { Edge(node: $0, output: output) })
        }
        connected += 1
    }

    /// Shape and type of an output's gradient.
    public final func outputInfo(_ output: Int) -> (layout: Layout, dtype: DType) {
        output == 0 ? (outputLayout, outputDType) : extras!.outputs[output - 1]
    }
    /// How many tensors the operation made, at least 1.
    public final var outputCount: Int { extras.map { 1 + $0.outputs.count } ?? 1 }
    /// Layouts and types of the outputs after the first.
    final func setMoreOutputs(_ outputs: [(layout: Layout, dtype: DType)]) { madeExtras.outputs = outputs }

    // MARK: Hooks

    /// Called with the gradient of each output (nil: none arrived) before the rule runs; may replace them.
    public final var preHooks: [@Sendable ([Tensor?]) -> [Tensor?]] {
        get { extras?.preHooks ?? [] }
        set { madeExtras.preHooks = newValue }
    }
    /// Whether there are any ``preHooks``.
    public final var hasPreHooks: Bool { extras.map { !$0.preHooks.isEmpty } ?? false }

    /// Gradients kept on request (`retainGrad()`), by output.
    public final var retainedGrads: [Int: Tensor] {
        get { extras?.retainedGrads ?? [:] }
        set { madeExtras.retainedGrads = newValue }
    }

    // MARK: The engine's scratch

    /// The node's place in the backward pass of this number, if ``setSlot(_:in:)`` gave it one.
    public final func slot(in pass: UInt64) -> Int? { enginePass == pass ? engineSlot : nil }
    /// Notes the node's place in a backward pass; that of an earlier one is forgotten.
    public final func setSlot(_ slot: Int, in pass: UInt64) {
        enginePass = pass
        engineSlot = slot
    }

    // MARK: Saved tensors

    @inline(__always)
    private final func append(_ saved: Saved) {
        switch savedCount {
        case 0: saved0 = saved
        case 1: saved1 = saved
        default: madeExtras.saved.append(saved)
        }
        savedCount += 1
    }

    /// Keeps a tensor (an input, as a rule) for the gradient.
    @inline(__always)
    public final func save(_ tensor: Tensor) {
        append(Saved(raw: tensor.raw, node: tensor.node, outputIndex: tensor.outputIndex, isOwnOutput: false))
    }

    /// Keeps the operation's own output: the elements alone, its node is this one.
    @inline(__always)
    public final func save(output: RawTensor, index: Int = 0) {
        append(Saved(raw: output, node: nil, outputIndex: index, isOwnOutput: true))
    }

    /// The `i`-th saved tensor. Traps when an earlier backward pass has released it.
    public final func saved(_ i: Int) -> Tensor {
        if isReleased {
            fail(
                "backward",
                "the graph was already used and its saved tensors are gone (\(name)); "
                    + "pass retainGraph: true to the first backward",
                recordedAt: site)
        }
        let s = i == 0 ? saved0! : i == 1 ? saved1! : extras!.saved[i - 2]
        return Tensor(raw: s.raw, node: s.isOwnOutput ? self : s.node, outputIndex: s.outputIndex)
    }

    /// The elements alone of the `i`-th saved tensor. Traps as ``saved(_:)``.
    final func savedRaw(_ i: Int) -> RawTensor {
        if isReleased { return saved(i).raw }
        return i == 0 ? saved0!.raw : i == 1 ? saved1!.raw : extras!.saved[i - 2].raw
    }

    /// What the node keeps for its gradient, in order; empty once released.
    public final var savedTensors: [Tensor] { isReleased ? [] : (0..<savedCount).map(saved) }

    /// Drops what was saved. A node that saved nothing can be used again.
    public final func release() {
        if savedCount == 0 && !releasesState() { return }
        saved0 = nil
        saved1 = nil
        extras?.saved = []
        isReleased = true
    }

    /// For nodes with state of another kind: let go of it and answer true.
    open func releasesState() -> Bool { false }

    /// Traps if the node was used up.
    public final func checkUsable() {
        if isReleased { _ = saved(0) }
    }

    // MARK: Teardown

    deinit {
        // A chain of a million nodes must not be freed by a million nested calls: references that may be the last go to a list,
        // which the outermost deinit works off. A saved tensor's node is, as a rule, also at the end of an edge.
        var waiting: Teardown.Queue?
        func drop(_ node: inout Node?) {
            if node == nil { return }
            if isKnownUniquelyReferenced(&node) {
                if waiting == nil { waiting = ThreadLocal.current.teardown }
                waiting!.nodes.append(Unmanaged.passRetained(node!))
            }
            node = nil
        }
        func dropSaved(_ saved: inout Saved?) {
            if saved == nil { return }
            drop(&saved!.node)
            saved = nil
        }
        func dropEdge(_ edge: inout Edge?) {
            if edge == nil { return }
            var node: Node? = edge!.node
            edge = nil
            drop(&node)
        }
        dropSaved(&saved0)
        dropSaved(&saved1)
        drop(&edge0)
        drop(&edge1)
        drop(&edge2)
        if let extras {
            for i in extras.saved.indices { drop(&extras.saved[i].node) }
            extras.saved = []
            for i in extras.edges.indices { dropEdge(&extras.edges[i]) }
        }
        if let waiting, !waiting.isDraining { waiting.drain() }
    }
}

/// Nodes waiting to be freed on a thread.
enum Teardown {
    final class Queue {
        @exclusivity(unchecked) var nodes: [Unmanaged<Node>] = []
        @exclusivity(unchecked) var isDraining = false

        func drain() {
            isDraining = true
            while let next = nodes.popLast() { next.release() }
            isDraining = false
        }
    }
}
