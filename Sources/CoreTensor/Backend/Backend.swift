/// What a device can do: primitives on raw buffers. Nothing touches tensor data but through these, so autograd and layers
/// never see a device, and a tracing backend can stand in for a real one.
///
/// Unless said otherwise, operands are dense, of one element type, on the backend's device; `out` is dense and preallocated.
public protocol Backend: AnyObject, Sendable {
    // MARK: Memory
    func allocate(byteCount: Int) -> Storage
    func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int)
    /// Both strided, same shape and type.
    func copy(_ source: RawTensor, to destination: RawTensor)
    func cast(_ x: RawTensor, to out: RawTensor)
    /// `value` is one element of the type of `out`.
    func fill(_ out: RawTensor, _ value: UnsafeRawPointer)
    func arange(_ out: RawTensor, start: Double, step: Double)

    // MARK: Elementwise
    func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor)
    func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor)
    func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor)
    /// `a` and `b` may have any strides and have the shape of `out`.
    func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double)
    /// `y += alpha · x`.
    func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor)

    // MARK: Reductions
    func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView)
    func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    func sumOfSquares(_ x: RawTensor) -> Double

    // MARK: Indexing. Indices are int64 and were checked.
    func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor)
    func scatterAddRows(_ table: RawTensor, ids: RawTensor, _ rows: RawTensor)
    func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int)
    func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int)
    /// The position of the first index outside `0 ..< limit`.
    func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int?

    // MARK: Fused rows
    func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool)
    func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool)
    func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double)
    func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double)
    func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor,
        eps: Double)
    func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?,
        dweight: RawTensor?, dbias: RawTensor?)
    func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double)
    func rmsNormGrad(
        _ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?)

    // MARK: Products
    func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?)
    func attention(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan)
    func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan)

    // MARK: Random numbers (Philox4x32-10)
    func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double)
    func randomNormal(_ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double)
    func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int)
    func dropout(_ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double)
    func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double)

    // MARK: Optimizer sweeps, in place on the parameter and its state
    func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep)
    func adam(_ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep)
    func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?,
        _ options: RMSPropSweep)
}

/// Numbers of one SGD step; see `torch.optim.SGD`.
public struct SGDSweep: Sendable {
    public var learningRate, weightDecay, momentum, dampening: Double
    public var nesterov, isFirst, maximize: Bool
    public init(
        learningRate: Double, weightDecay: Double, momentum: Double, dampening: Double, nesterov: Bool, isFirst: Bool,
        maximize: Bool
    ) {
        self.learningRate = learningRate
        self.weightDecay = weightDecay
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.isFirst = isFirst
        self.maximize = maximize
    }
}

/// Numbers of one Adam or AdamW (`decoupled`) step; `step` counts from 1.
public struct AdamSweep: Sendable {
    public var learningRate, beta1, beta2, epsilon, weightDecay: Double
    public var step: Int
    public var decoupled, maximize: Bool
    public init(
        learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, step: Int,
        decoupled: Bool, maximize: Bool
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.step = step
        self.decoupled = decoupled
        self.maximize = maximize
    }
}

/// Numbers of one RMSProp step; see `torch.optim.RMSprop`.
public struct RMSPropSweep: Sendable {
    public var learningRate, alpha, epsilon, weightDecay, momentum: Double
    public var centered, maximize: Bool
    public init(
        learningRate: Double, alpha: Double, epsilon: Double, weightDecay: Double, momentum: Double, centered: Bool,
        maximize: Bool
    ) {
        self.learningRate = learningRate
        self.alpha = alpha
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.momentum = momentum
        self.centered = centered
        self.maximize = maximize
    }
}

/// The backends of devices other than the CPU. A backend's module registers itself as it makes its device.
public enum Backends {
    private static let lock = SpinLock()
    nonisolated(unsafe) private static var registered: [Device: any Backend] = [:]

    public static func register(_ backend: any Backend, for device: Device) {
        lock.withLock { registered[device] = backend }
    }

    public static func backend(for device: Device) -> any Backend {
        if device.kind == .cpu { return CPUBackend.shared }
        guard let backend = lock.withLock({ registered[device] }) else {
            fail("device", "\(device) has no backend in this program")
        }
        return backend
    }
}
