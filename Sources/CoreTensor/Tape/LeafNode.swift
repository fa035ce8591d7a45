/// The end of the tape: a tensor that collects its gradient.
public final class LeafNode: Node, @unchecked Sendable {
    private let lock = SpinLock()
    @exclusivity(unchecked) private var stored: Tensor?
    /// Called when a backward pass has accumulated a new gradient.
    @exclusivity(unchecked) public var accumulationHooks: [@Sendable (Tensor) -> Void] = []

    init(_ raw: RawTensor) {
        super.init()
        outputLayout = raw.layout.isContiguous ? raw.layout : .dense(raw.shape)
        outputDType = raw.dtype
    }

    public override var name: String { "Leaf" }

    /// The accumulated gradient.
    public var grad: Tensor? {
        get { lock.withLock { stored } }
        set { lock.withLock { stored = newValue } }
    }

    /// Adds to the gradient, in place where nobody else holds it.
    public func accumulate(_ gradient: consuming Tensor) {
        // The lock is held for a swap, not for the sum: what another thread stores meanwhile is taken out and added in turn.
        var mine = Optional(gradient)
        while mine != nil {
            var other: Tensor?
            lock.withLock {
                if stored == nil { swap(&stored, &mine) } else { swap(&stored, &other) }
            }
            if var sum = other.take(), let addend = mine.take() {
                sum.addGradient(addend)
                mine = sum
            }
        }
        if !accumulationHooks.isEmpty, let grad { for hook in accumulationHooks { hook(grad) } }
    }
}
