/// Which leading axes of a tensor's storage `vmap` hides: one per level, outer levels (smaller numbers) first.
///
/// Inside `vmap` a tensor shows the shape of one example. Underneath lies an ordinary tensor with its own history, which
/// operations unpack (``Tensor/peeled``), work on with their axes moved over, and pack again: so the tape only ever sees ordinary
/// tensors, and gradients need no rule for `vmap`.
public final class BatchAxes: Sendable {
    /// The levels, ascending; axis `i` of the storage belongs to `levels[i]`.
    public let levels: [Int]

    init(_ levels: [Int]) { self.levels = levels }
}

extension Tensor {
    /// Whether a running `vmap` hides axes of this tensor.
    public var isBatched: Bool { batch != nil }

    @inline(__always) var hiddenAxes: Int { batch == nil ? 0 : batch!.levels.count }

    @inline(never) var logicalShape: Shape { Array(physical.layout.shape.dropFirst(hiddenAxes)) }

    /// The levels whose axes are hidden, ascending; none outside `vmap`.
    public var batchLevels: [Int] { batch?.levels ?? [] }

    @inline(never) func failBatched() -> Never {
        fail("vmap", "this operation needs the elements, which inside vmap stand for many examples; call it outside")
    }

    /// The ordinary tensor underneath, with the hidden axes in front.
    var peeled: Tensor { Tensor(raw: physical, node: node, outputIndex: outputIndex) }

    /// Hides as many leading axes as there are levels.
    func hiding(_ levels: [Int]) -> Tensor {
        if levels.isEmpty { return self }
        var result = self
        result.batch = BatchAxes(levels)
        return result
    }

    /// One operation on one batched tensor: `body` gets the ordinary tensor and the number of hidden axes in front.
    func lifted(_ body: (_ x: Tensor, _ hidden: Int) -> Tensor) -> Tensor {
        body(peeled, hiddenAxes).hiding(batchLevels)
    }

    /// As ``lifted(_:)`` for several results.
    func liftedAll(_ body: (_ x: Tensor, _ hidden: Int) -> [Tensor]) -> [Tensor] {
        body(peeled, hiddenAxes).map { $0.hiding(batchLevels) }
    }

    /// Ordinary, with an axis in front for each of `levels`: its own, or of size 1.
    func aligned(to levels: [Int]) -> Tensor {
        var result = peeled
        for (axis, level) in levels.enumerated() where !batchLevels.contains(level) { result = result.unsqueezed(axis) }
        return result
    }

    /// Ordinary, with axes of the given sizes in front, repeated where this tensor has none of its own.
    func aligned(to levels: [Int], sizes: [Int]) -> Tensor {
        aligned(to: levels).expanded(to: sizes + shape)
    }

    /// The hidden axis of `level` made the visible axis `axis`.
    public func revealing(_ level: Int, at axis: Int = 0) -> Tensor {
        guard let position = batchLevels.firstIndex(of: level) else { return self }
        let rest = batchLevels.filter { $0 != level }
        var order = Array(0..<physical.layout.rank)
        order.remove(at: position)
        order.insert(position, at: rest.count + axis)
        return peeled.permuted(order).hiding(rest)
    }

    /// The visible axis `axis` hidden as `level`.
    public func concealing(_ axis: Int, as level: Int) -> Tensor {
        let levels = (batchLevels + [level]).sorted()
        var order = Array(0..<physical.layout.rank)
        let from = order.remove(at: hiddenAxes + axis)
        order.insert(from, at: levels.firstIndex(of: level)!)
        return peeled.permuted(order).hiding(levels)
    }
}

/// All levels of the tensors, ascending.
@inline(never)
func unionOfLevels(_ tensors: [Tensor]) -> [Int] { Set(tensors.flatMap(\.batchLevels)).sorted() }

/// The sizes of the hidden axes of `levels`.
func sizesOfLevels(_ levels: [Int], _ tensors: [Tensor]) -> [Int] {
    levels.map { level in
        for tensor in tensors {
            if let position = tensor.batchLevels.firstIndex(of: level) { return tensor.physical.layout.shape[position] }
        }
        return 1
    }
}

/// An operation whose operands broadcast: they are lined up behind the hidden axes.
@inline(never)
func liftedBroadcast(_ inputs: [Tensor], _ body: ([Tensor]) -> Tensor) -> Tensor {
    let levels = unionOfLevels(inputs)
    let rank = inputs.map(\.rank).max() ?? 0
    let plain = inputs.map { x -> Tensor in
        var front = x.aligned(to: levels)
        for _ in x.rank..<rank { front = front.unsqueezed(levels.count) }
        return front
    }
    return body(plain).hiding(levels)
}

/// An operation whose operands all get the hidden axes in front, in full.
@inline(never)
func liftedTogether(_ inputs: [Tensor], _ body: (_ plain: [Tensor], _ hidden: Int) -> Tensor) -> Tensor {
    let levels = unionOfLevels(inputs)
    let sizes = sizesOfLevels(levels, inputs)
    return body(inputs.map { $0.aligned(to: levels, sizes: sizes) }, levels.count).hiding(levels)
}

/// The last resort for an operation without a batched form: one call per example, and the results stacked.
@inline(never)
public func loopOverExamples(_ operation: String, _ inputs: [Tensor], _ body: ([Tensor]) -> [Tensor]) -> [Tensor] {
    if ThreadLocal.current.batchFallbacks != nil { ThreadLocal.current.batchFallbacks![operation, default: 0] += 1 }
    let level = unionOfLevels(inputs)[0]
    let size = sizesOfLevels([level], inputs)[0]
    let shown = inputs.map { $0.batchLevels.contains(level) ? $0.revealing(level) : nil }
    let results = (0..<size).map { i -> [Tensor] in
        let examples = zip(inputs, shown).map { plain, revealed in
            revealed.map { $0.slice([.at(i)]) } ?? plain
        }
        return examples.contains(where: \.isBatched) ? loopOverExamples(operation, examples, body) : body(examples)
    }
    guard let first = results.first else { fail(operation, "vmap over no examples needs a batched form, which it lacks") }
    return first.indices.map { k in stack(results.map { $0[k] }).concealing(0, as: level) }
}

func looped(_ operation: String, _ inputs: [Tensor], _ body: ([Tensor]) -> Tensor) -> Tensor {
    loopOverExamples(operation, inputs) { [body($0)] }[0]
}
