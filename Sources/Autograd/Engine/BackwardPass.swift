import CoreTensor

/// One walk over the tape, from outputs to leaves, in reverse order of creation.
struct BackwardPass {
    enum Goal {
        /// Add to the `.grad` of every leaf.
        case accumulate
        /// Return the gradients of these tensors and add to no `.grad`.
        case capture([Node.Edge?])
        /// The same, with the tape cut at these tensors: what they were computed from is neither followed nor are its hooks run.
        case cut([Node.Edge?])

        var captured: [Node.Edge?] {
            switch self {
            case .accumulate: []
            case .capture(let edges), .cut(let edges): edges
            }
        }
        var isCut: Bool { if case .cut = self { true } else { false } }
    }

    /// A node with what sorting and walking ask for, so that they need not touch it. The roots keep all nodes alive.
    private struct Found {
        let node: Unmanaged<Node>
        let sequence: UInt64
        let slot: Int
    }
    private var nodes: [Found] = []
    /// Gradient per output of every node, from the node's slot on.
    private var gradients: [Tensor?] = []
    private var slots: Slots

    /// Where a node's gradients are. The pass that holds the engine's lock writes the place into the nodes; a pass inside
    /// another one, or beside it on another thread, keeps a dictionary.
    private enum Slots {
        case inNodes(pass: UInt64)
        case inDictionary([ObjectIdentifier: Int])

        @inline(__always)
        func slot(_ node: Node) -> Int? {
            switch self {
            case .inNodes(let pass): node.slot(in: pass)
            case .inDictionary(let table): table[ObjectIdentifier(node)]
            }
        }

        @inline(__always)
        mutating func set(_ node: Node, _ slot: Int) {
            switch self {
            case .inNodes(let pass): node.setSlot(slot, in: pass)
            case .inDictionary(var table):
                self = .inNodes(pass: 0)  // lets go of the table, so that it is changed in place
                table[ObjectIdentifier(node)] = slot
                self = .inDictionary(table)
            }
        }
    }

    private static let lock = SpinLock()
    nonisolated(unsafe) private static var passes: UInt64 = 0

    /// Gradients of `roots` (with the given incoming gradients) towards the goal. Returns the captured ones in order.
    static func run(
        roots: [(edge: Node.Edge, gradient: Tensor)], goal: Goal, retainGraph: Bool, createGraph: Bool
    ) -> [Tensor?] {
        let holdsLock = lock.tryLock()
        defer { if holdsLock { lock.unlock() } }
        if holdsLock { passes += 1 }
        var pass = BackwardPass(slots: holdsLock ? .inNodes(pass: passes) : .inDictionary([:]))
        let recording = RecordingState.begin(createGraph)
        defer { recording.end() }
        if !isAutocastEnabled { return pass.walk(roots, goal, retainGraph) }
        return withoutAutocast { pass.walk(roots, goal, retainGraph) }
    }

    private init(slots: Slots) {
        self.slots = slots
        nodes.reserveCapacity(16)
        gradients.reserveCapacity(16)
    }

    private mutating func walk(
        _ roots: [(edge: Node.Edge, gradient: Tensor)], _ goal: Goal, _ retainGraph: Bool
    ) -> [Tensor?] {
        var captured: [Tensor?] = Array(repeating: nil, count: goal.captured.count)
        var captures: [ObjectIdentifier: [(output: Int, index: Int)]] = [:]
        for (index, edge) in goal.captured.enumerated() {
            if let edge { captures[ObjectIdentifier(edge.node), default: []].append((edge.output, index)) }
        }
        let isCut = goal.isCut
        discover(roots, ends: isCut ? Set(captures.keys) : [])
        let needed = neededNodes(goal)
        for root in roots {
            add(root.gradient, to: root.edge, at: slots.slot(root.edge.node)! + root.edge.output, from: nil, input: 0)
        }
        let detectsAnomalies = ThreadLocal.current.detectsAnomalies
        for found in nodes {
            let node = found.node.takeUnretainedValue(), slot = found.slot
            if let needed, !needed.contains(ObjectIdentifier(node)) { continue }
            let isEnd = isCut && captures[ObjectIdentifier(node)] != nil
            if !isEnd { runHooks(node, slot) }
            if !captures.isEmpty, let wanted = captures[ObjectIdentifier(node)] {
                for (output, index) in wanted { captured[index] = gradients[slot + output] }
                if isEnd { continue }
            }
            if let leaf = node as? LeafNode {
                if case .accumulate = goal, let g = gradients[slot].take() { leaf.accumulate(g) }
                continue
            }
            if Profiler.isRecording {
                Profiler.scope(node.name) { propagate(node, slot, needed, detectsAnomalies) }
            } else {
                propagate(node, slot, needed, detectsAnomalies)
            }
            if !retainGraph { node.release() }
        }
        return captured
    }

    // MARK: Finding the nodes

    /// All nodes reachable from the roots without passing `ends`, latest first.
    private mutating func discover(_ roots: [(edge: Node.Edge, gradient: Tensor)], ends: Set<ObjectIdentifier>) {
        // The nodes found from `next` on are still to be followed.
        var next = 0
        for root in roots { visit(root.edge.node) }
        while next < nodes.count {
            let node = nodes[next].node.takeUnretainedValue()
            next += 1
            if !ends.isEmpty && ends.contains(ObjectIdentifier(node)) { continue }
            for input in 0..<node.inputCount { if let edge = node.edge(input) { visit(edge.node) } }
        }
        var sorted = true
        for i in nodes.indices.dropFirst() where nodes[i - 1].sequence < nodes[i].sequence {
            sorted = false
            break
        }
        if !sorted { nodes.sort { $0.sequence > $1.sequence } }
    }

    @inline(__always)
    private mutating func visit(_ node: Node) {
        if slots.slot(node) != nil { return }
        let slot = gradients.count
        slots.set(node, slot)
        for _ in 0..<node.outputCount { gradients.append(nil) }
        nodes.append(Found(node: .passUnretained(node), sequence: node.sequence, slot: slot))
    }

    /// The nodes on a way to a captured tensor; nil means all.
    private func neededNodes(_ goal: Goal) -> Set<ObjectIdentifier>? {
        if case .accumulate = goal { return nil }
        var needed = Set(goal.captured.compactMap { $0.map { ObjectIdentifier($0.node) } })
        for found in nodes.reversed() {
            let node = found.node.takeUnretainedValue()
            for input in 0..<node.inputCount {
                if let edge = node.edge(input), needed.contains(ObjectIdentifier(edge.node)) {
                    needed.insert(ObjectIdentifier(node))
                    break
                }
            }
        }
        return needed
    }

    // MARK: One node

    private mutating func propagate(
        _ node: Node, _ slot: Int, _ needed: Set<ObjectIdentifier>?, _ detectsAnomalies: Bool
    ) {
        @inline(__always) func wants(_ edge: Node.Edge?) -> Bool {
            guard let edge else { return false }
            return needed == nil || needed!.contains(ObjectIdentifier(edge.node))
        }
        if node.isJoint {
            let outputs = (0..<node.outputCount).map { gradients[slot + $0].take() }
            if outputs.allSatisfy({ $0 == nil }) { return }
            let needs = (0..<node.inputCount).map { wants(node.edge($0)) }
            if !needs.contains(true) { return }
            let results = node.vjp(outputs, needs: needs)
            for (input, gradient) in results.enumerated() where needs[input] {
                guard let gradient else { continue }
                if detectsAnomalies { check(gradient, node, input) }
                let edge = node.edge(input)!
                add(gradient, to: edge, at: slots.slot(edge.node)! + edge.output, from: node, input: input)
            }
            return
        }
        guard let g = gradients[slot].take() else { return }
        for input in 0..<node.inputCount {
            guard let edge = node.edge(input), wants(edge) else { continue }
            let target = slots.slot(edge.node)! + edge.output
            if !detectsAnomalies, var sum = gradients[target].take() {
                let isAdded = node.addVJP(g, input: input, to: &sum)
                gradients[target] = sum
                if isAdded { continue }
            }
            guard let gradient = node.vjp(g, input: input) else { continue }
            if detectsAnomalies { check(gradient, node, input) }
            add(gradient, to: edge, at: target, from: node, input: input)
        }
    }

    /// Adds a gradient to what has arrived at an output, whose place is `slot`, summing over broadcast axes.
    private mutating func add(_ gradient: consuming Tensor, to edge: Node.Edge, at slot: Int, from node: Node?, input: Int) {
        let info = edge.node.outputInfo(edge.output)
        if (gradient.isBatched || gradient.raw.layout !== info.layout) && gradient.shape != info.layout.shape {
            if broadcastShape(info.layout.shape, gradient.shape) == gradient.shape {
                gradient = gradient.summed(to: info.layout.shape)
            } else if broadcastShape(info.layout.shape, gradient.shape) == info.layout.shape {
                gradient = gradient.expanded(to: info.layout.shape)
            } else {
                fail(
                    node?.name ?? "backward",
                    "a gradient of shape \(gradient.shape) for input \(input) of shape \(info.layout.shape)",
                    recordedAt: (node ?? edge.node).site)
            }
        }
        if gradient.dtype != info.dtype { gradient = gradient.to(info.dtype) }
        if var sum = gradients[slot].take() {
            sum.addGradient(gradient)
            gradients[slot] = sum
        } else {
            gradients[slot] = gradient
        }
    }

    private mutating func runHooks(_ node: Node, _ slot: Int) {
        if !node.hasPreHooks { return }
        let range = slot..<(slot + node.outputCount)
        var current = Array(gradients[range])
        for hook in node.preHooks { current = hook(current) }
        gradients.replaceSubrange(range, with: current)
    }

    private func check(_ gradient: Tensor, _ node: Node, _ input: Int) {
        if withoutGrad({ gradient.isNaN.any().item(Bool.self) }) {
            fail(node.name, "its gradient for input \(input) has NaN; the forward operation was called", recordedAt: node.site)
        }
    }
}
