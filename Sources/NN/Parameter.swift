import CoreTensor

/// A trainable tensor in a box: shared by the layers that use it (weight tying), updated by optimizers, told apart by identity.
public final class Parameter: Sendable {
    private let lock = SpinLock()
    // The lock keeps accesses apart; a check of the same at run time costs as much as a small operation.
    @exclusivity(unchecked) nonisolated(unsafe) private var tensor: Tensor

    /// A parameter with the given values, requiring a gradient.
    public init(_ value: Tensor) { tensor = value.asLeaf() }

    /// The leaf tensor. Setting it changes the values and keeps the gradient; shape, type and device stay.
    public var value: Tensor {
        get { lock.withLock { tensor } }
        set {
            if newValue.shape != tensor.shape || newValue.dtype != tensor.dtype {
                fail(
                    "Parameter",
                    "values of shape \(newValue.shape) and type \(newValue.dtype) for a parameter of shape \(shape) and type \(dtype)"
                )
            }
            lock.withLock { tensor = Tensor(raw: newValue.raw, node: tensor.tapeNode) }
        }
    }

    /// Moves the values to another device and drops the gradient; whether there is to be one stays.
    func move(to device: Device) {
        lock.withLock {
            let moved = tensor.detached().to(device: device)
            tensor = tensor.requiresGrad ? moved.asLeaf() : moved
        }
    }

    /// Makes the values ones of another float type and drops the gradient; whether there is to be one stays.
    func convert(to dtype: DType) {
        lock.withLock {
            let converted = tensor.detached().to(dtype)
            tensor = tensor.requiresGrad ? converted.asLeaf() : converted
        }
    }

    /// Sizes per axis; they never change.
    public var shape: Shape { lock.withLock { tensor.shape } }
    /// The element type, which only ``Module/convert(to:)`` changes.
    public var dtype: DType { lock.withLock { tensor.dtype } }
    /// Where the values live, which only ``Module/to(_:)`` changes.
    public var device: Device { lock.withLock { tensor.device } }
    /// The number of elements: the product of the shape.
    public var count: Int { lock.withLock { tensor.count } }

    /// The accumulated gradient, `[same shape]`.
    public var grad: Tensor? {
        get { lock.withLock { tensor.grad } }
        set { lock.withLock { if tensor.requiresGrad { tensor.grad = newValue } } }
    }

    /// False freezes the parameter: operations on it are not recorded and optimizers leave it alone.
    public var requiresGrad: Bool {
        get { lock.withLock { tensor.requiresGrad } }
        set { lock.withLock { tensor.requiresGrad = newValue } }
    }

    /// Writes the values in place (copying first if a saved tensor still sees them).
    public func update<R>(_ body: (RawTensor) throws -> R) rethrows -> R {
        try lock.withLock { try tensor.withMutableRaw(body) }
    }
}

/// A tensor that belongs to a module's state but is not trained: running statistics, masks.
public final class Buffer: Sendable {
    private let lock = SpinLock()
    nonisolated(unsafe) private var tensor: Tensor

    /// A buffer with the given values, without their history.
    public init(_ value: Tensor) { tensor = value.detached() }

    /// The values, which carry no gradient. Setting them drops the history; shape and type may change.
    public var value: Tensor {
        get { lock.withLock { tensor } }
        set { lock.withLock { tensor = newValue.detached() } }
    }
}
