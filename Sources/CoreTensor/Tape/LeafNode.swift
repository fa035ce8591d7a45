/// The end of the tape: a tensor that collects its gradient.
public final class LeafNode: Node, @unchecked Sendable {
    private let lock = SpinLock()
    private var stored: Tensor?
    /// Called when a backward pass has accumulated a new gradient.
    public var accumulationHooks: [@Sendable (Tensor) -> Void] = []

    init(_ raw: RawTensor) {
        super.init()
        outputLayout = raw.layout.isContiguous ? raw.layout : Layout(shape: raw.shape)
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
        var old: Tensor? = nil
        lock.withLock { swap(&old, &stored) }
        if var sum = old.take() {
            sum += gradient
            grad = sum
        } else {
            grad = gradient
        }
        for hook in accumulationHooks { hook(grad!) }
    }
}
