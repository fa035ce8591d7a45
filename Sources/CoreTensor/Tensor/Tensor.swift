/// An n-dimensional array with value semantics and, if asked, a tape of how it came to be.
///
/// A tensor is a small value: a reference to its storage, a layout (shape and strides), an element type and, when gradients
/// are recorded, the node of the operation that made it. Views share storage; writing to a tensor whose storage someone
/// else can see copies it first, so `var b = a; b += 1` never changes `a`, and nothing that an operation saved for its
/// gradient can be altered later.
public struct Tensor: @unchecked Sendable {
    /// The elements in memory; where ``vmap`` hides axes, they come first.
    var physical: RawTensor
    /// The node that produced this tensor, or the leaf that collects its gradient; nil where nothing is recorded.
    var node: Node?
    var outputIndex: Int = 0
    /// The axes that running `vmap`s hide; nil outside.
    var batch: BatchAxes?

    /// The elements without the tape: what backends work on. Traps inside `vmap`, where an operation has to say first how it
    /// treats the hidden axes.
    @inline(__always)
    public internal(set) var raw: RawTensor {
        _read {
            if batch != nil { failBatched() }
            yield physical
        }
        _modify {
            if batch != nil { failBatched() }
            yield &physical
        }
    }

    /// A tensor of the given elements that no operation has recorded.
    @inline(__always)
    public init(raw: RawTensor) {
        physical = raw
        node = nil
    }

    /// A tensor that is output `outputIndex` of `node`. For operations that record themselves; see ``record(_:_:_:)``.
    @inline(__always)
    public init(raw: RawTensor, node: Node?, outputIndex: Int = 0) {
        physical = raw
        self.node = node
        self.outputIndex = outputIndex
    }

    // MARK: What it is

    /// Sizes per axis, outermost first; `[]` for a scalar.
    public var shape: Shape { batch == nil ? physical.layout.shape : logicalShape }
    /// Elements to step over, per axis.
    public var strides: [Int] { Array(physical.layout.strides.dropFirst(hiddenAxes)) }
    /// The number of axes.
    public var rank: Int { physical.layout.shape.count - hiddenAxes }
    /// The number of elements.
    public var count: Int { batch == nil ? physical.layout.count : logicalShape.reduce(1, *) }
    /// The type of the elements; ``to(_:)`` converts.
    public var dtype: DType { physical.dtype }
    /// Where the elements live; ``to(device:)`` moves them.
    public var device: Device { physical.device }
    /// Whether the elements are dense in row-major order.
    public var isContiguous: Bool { physical.layout.isContiguous }

    // MARK: Tape

    /// Whether operations on this tensor are recorded. Setting it to true on a tensor without a history makes it a leaf;
    /// setting it to false on a leaf lets go of the leaf. Traps on a tensor with a history: use ``detached()``.
    public var requiresGrad: Bool {
        get { node != nil }
        set {
            if newValue == (node != nil) { return }
            if newValue {
                checkDifferentiable("requiresGrad")
                node = LeafNode(physical)
            } else {
                if !isLeaf { fail("requiresGrad", "only a leaf can stop requiring a gradient; use detached()") }
                node = nil
            }
        }
    }

    /// True unless the tensor came out of a recorded operation.
    public var isLeaf: Bool { node == nil || node is LeafNode }

    /// The recorded operation that produced this tensor; nil for leaves.
    public var gradFn: Node? { node is LeafNode ? nil : node }

    /// The node that gradients flow to: ``gradFn`` or the leaf. For engines over the tape.
    public var tapeNode: Node? { node }
    /// Which of the node's outputs this is.
    public var tapeOutput: Int { outputIndex }

    /// The gradient accumulated on a leaf by `backward()`, `[same shape]`; nil before. Copies of a leaf share it.
    public var grad: Tensor? {
        get {
            guard let node else { return nil }
            return (node as? LeafNode)?.grad ?? node.retainedGrads[outputIndex]
        }
        nonmutating set {
            guard let leaf = node as? LeafNode else {
                fail("grad", "only a leaf that requires a gradient keeps one; see retainGrad() for others")
            }
            if let newValue, newValue.shape != shape {
                fail("grad", "a gradient of shape \(newValue.shape) does not fit a tensor of shape \(shape)")
            }
            leaf.grad = newValue
        }
    }

    /// The same values without history; shares storage until either is written.
    public func detached() -> Tensor {
        var copy = Tensor(raw: physical)
        copy.batch = batch
        return copy
    }

    /// A leaf with the same values (and storage, until either is written) that requires a gradient.
    public func asLeaf() -> Tensor {
        var leaf = detached()
        leaf.requiresGrad = true
        return leaf
    }

    /// The same value as a new point of the history: gradients with respect to it are its own.
    public func aliased() -> Tensor {
        if isBatched { return lifted { x, _ in x.aliased() } }
        return record(raw, self) { IdentityBackward() }
    }

    func checkDifferentiable(_ operation: String) {
        if !dtype.isDifferentiable {
            fail(operation, "\(dtype) has no gradient; convert with to(.float32)")
        }
    }

    // MARK: Data

    /// Itself if dense, otherwise a dense copy.
    public func contiguous() -> Tensor {
        if physical.layout.isContiguous { return self }
        if isBatched { return lifted { x, _ in x.contiguous() } }
        return record(raw.denseCopy(), self) { IdentityBackward() }
    }

    /// Gives this value storage of its own, dense, so that it may be written in place.
    mutating func makeUnique() {
        if !raw.isUniquelyReferenced() || !raw.isContiguous { raw = raw.denseCopy() }
    }

    /// Writes in place through a pointer to the dense elements, copying first if the storage is shared. The tensor must not
    /// have a history (leaves may be written: their identity and gradient stay).
    public mutating func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        if device.kind != .cpu { fail("withUnsafeMutableBytes", "the tensor is on \(device)") }
        if gradFn != nil { fail("withUnsafeMutableBytes", "the tensor has a history; use detached()") }
        makeUnique()
        return try body(UnsafeMutableRawBufferPointer(start: raw.pointer, count: count * dtype.byteCount))
    }

    /// Hands `body` the elements to write in place (through a backend's sweep), copying first if the storage is shared. The
    /// tensor must not have a history; a leaf keeps its identity and gradient.
    public mutating func withMutableRaw<R>(_ body: (RawTensor) throws -> R) rethrows -> R {
        if gradFn != nil { fail("withMutableRaw", "the tensor has a history; use detached()") }
        makeUnique()
        return try body(raw)
    }

    /// Reads the dense elements in row-major order.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        if device.kind != .cpu { fail("withUnsafeBytes", "the tensor is on \(device)") }
        let dense = raw.contiguous()
        defer { withExtendedLifetime(dense.storage) {} }
        return try body(UnsafeRawBufferPointer(start: dense.pointer, count: count * dtype.byteCount))
    }

    /// Whether two tensors see the same storage (which neither can notice otherwise).
    public func sharesStorage(with other: Tensor) -> Bool { physical.storage === other.physical.storage }
}
