/// What a device can do: primitives on raw buffers. Nothing touches tensor data but through these, so autograd and layers
/// never see a device, and a tracing backend can stand in for a real one.
///
/// Unless said otherwise, operands are dense, of one element type, on the backend's device; `out` is dense and preallocated.
public protocol Backend: AnyObject, Sendable {
    // MARK: Memory
    /// Fresh memory of `byteCount` bytes; its content is undefined.
    func allocate(byteCount: Int) -> Storage
    /// Takes back memory that ``allocate(byteCount:)`` gave; called by ``Storage`` when its last user is gone.
    func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int)
    /// Both strided, same shape and type.
    func copy(_ source: RawTensor, to destination: RawTensor)
    /// `out[i] = x[i]` in the type of `out`: floats to integers are cut towards zero and saturate (NaN gives 0), integers wrap,
    /// anything but 0 is true.
    func cast(_ x: RawTensor, to out: RawTensor)
    /// `value` is one element of the type of `out`.
    func fill(_ out: RawTensor, _ value: UnsafeRawPointer)
    /// `out[i] = start + i · step`, computed in double (or int64 for integers) and converted to the type of `out`.
    func arange(_ out: RawTensor, start: Double, step: Double)

    // MARK: Elementwise
    /// `out[i] = op(x[i])`; same type and count.
    func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor)
    /// `out[i] = g[i] · f'(saved[i])`, all of one shape and float type; `saved` is what the kernel's case says.
    func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor)
    /// `out[i]` is a bool: whether the float `x[i]` is of the kind asked for.
    func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor)
    /// `a` and `b` may have any strides and have the shape of `out`.
    func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    /// `out[i] = op(x[i], value)`, the value in the type of `x`, a float; `x` has the shape of `out` and is dense.
    func binary(_ op: BinaryKernel, _ x: RawTensor, scalar value: Double, _ out: RawTensor)
    /// As ``binary(_:_:_:_:)``, with bools in `out`; a comparison with NaN is false, but for `notEqual`.
    func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    /// `out = condition ? a : b`; `condition` holds bools. All three may have any strides and have the shape of `out`.
    func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor)
    /// `out[i] = min(max(x[i], low), high)`, the bounds in the type of `x`; NaN stays NaN.
    func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double)
    /// `y += alpha · x`.
    func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor)

    /// Runs a program on every element of `shape`, to which `inputs`, of any strides, broadcast. `outputs` are dense; one of a smaller shape,
    /// which broadcasts to `shape`, gets the sums over the axes where it is smaller. The default runs step by step.
    func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape)

    // MARK: Reductions
    /// `x` seen as `[outer, n, inner]` reduced along the middle into `out [outer, inner]`; with `n` = 0 `out` is the identity.
    func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    /// The first position along the middle of the largest (or smallest) element, int64 `out [outer, inner]`; a NaN wins.
    func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    /// ``reduce(_:_:_:_:)``'s sum of floats, as accurate as in twice the precision.
    func compensatedSum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    /// Mean and sum of squared deviations along the middle, both `[outer, inner]` of the float type of `x`.
    func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView)
    /// Running sums along the middle of `x [outer, n, inner]`; `out` has the same shape.
    func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView)
    /// Σ x², accumulated in double.
    func sumOfSquares(_ x: RawTensor) -> Double
    /// Σ x² over all elements of several floats, in double, to the one element of `out`, float64: nobody waits for it. The default takes one
    /// after the other.
    func sumOfSquares(_ tensors: [RawTensor], to out: RawTensor)

    // MARK: Indexing. Indices are int64 and were checked.
    /// `out[i, :] = table[ids[i], :]`: `table [rows, width]`, `ids [n]`, `out [n, width]`.
    func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor)
    /// `out [rows, width]` = 0, then `out[ids[i], :] += rows[i, :]`, for each row in the order of `i`.
    func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor)
    /// `out[ids[i], :] = rows[i, :]`: `out [rows, width]`, each id once.
    func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor)
    /// `out[ids[i], :] += rows[i, :]`, for each row in the order of `i`; the other rows stay. The default adds element by element.
    func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor)
    /// `out[o, j, i] = x[o, index[o, j, i], i]`: `x` seen as `sourceView`, `index` and `out` as `[outer, n, inner]`.
    func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int)
    /// `out[o, index[o, j, i], i] += x[o, j, i]`, in the order of `j`: `out` seen as `outputView`, `x` and `index` as
    /// `[outer, n, inner]`.
    func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int)
    /// The position of the first index outside `0 ..< limit`.
    func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int?
    /// As ``scatterAdd(_:index:_:outputView:n:)``, but the elements are set or combined otherwise.
    func scatterReduce(_ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int)
    /// The flat positions of the true elements, ascending, as dense `int64`.
    func nonzero(_ x: RawTensor) -> RawTensor

    // MARK: Scans and sorting; along the middle of `[outer, n, inner]`, positions are `int64`
    /// Running values; `positions` (for extrema) gets where the running extremum is, the last of equals.
    func scan(_ op: ScanKernel, _ x: RawTensor, _ out: RawTensor, positions: RawTensor?, _ view: AxisView)
    /// The stable order: NaN last, or first when descending. Any type but complex.
    func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool)
    /// The places of the `k` largest (or smallest) elements, the most extreme first; NaN counts as largest.
    func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool)
    /// The stable order of the rows of `[rows, width]`, compared from the left.
    func sortRows(_ x: RawTensor, positions: RawTensor)
    /// For each of `values` `[rows, m]` the first (`right`: last) place in its sorted row of `[rows, n]`, or of the one row of all.
    func searchSorted(
        _ sorted: RawTensor, _ values: RawTensor, _ out: RawTensor, rows: Int, n: Int, m: Int, shared: Bool, right: Bool)

    // MARK: Fused rows
    /// `eˣ / Σ eˣ` (or its logarithm) of each row of the last axis, shifted by the row's maximum.
    func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool)
    /// From softmax's own output y: `y (g - Σ g y)`, or with `log`: `g - eʸ Σ g`.
    func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool)
    /// Per row of `logits [rows, classes]`, with lse = logSumExp(row) and e = `smoothing`:
    /// `loss[r] = (1 - e)(lse - x[label]) + e (lse - mean(x))`, 0 where the label is `ignoreIndex`. `labels` are int64 `[rows]`,
    /// checked; `loss` and `lse` are `[rows]`, float64 for float64 logits and float32 for all others, and so is the gradient `g`.
    func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double)
    /// `out[r, c] = g[r] (exp(x - lse) - (1 - e) [c = label] - e / classes)`, 0 in ignored rows; `g [rows]`.
    func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double)
    /// `(x - mean) · rstd · weight + bias` over each row, rstd = 1 / √(variance + eps). `weight` and `bias` are `[columns]`;
    /// `mean` and `rstd` are `[rows]`, float64 for float64 rows and float32 for all others.
    func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor,
        eps: Double)
    /// The gradients of ``layerNorm(_:weight:bias:_:mean:rstd:eps:)`` that are not nil, from what it kept.
    func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?,
        dweight: RawTensor?, dbias: RawTensor?)
    /// `x · rstd · weight` over each row, rstd = 1 / √(mean(x²) + eps), kept as `[rows]` like layer normalisation's.
    func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double)
    /// The gradients of ``rmsNorm(_:weight:_:rstd:eps:)`` that are not nil, from what it kept.
    func rmsNormGrad(
        _ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?)

    // MARK: Products
    /// `out = op(a) · op(b)` for every matrix of the batch, added to `out` if the plan accumulates. `bias [n]`, if any, is added
    /// to each row; it does not go with accumulation. The types are float32, float64, int64, or bfloat16, where `out` and `bias` may be
    /// float32.
    func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?)
    /// Whether ``matmul(_:_:_:_:bias:)`` takes float16 as it takes bfloat16, and ``activatedLinear(_:_:bias:_:product:_:)`` and the
    /// convolutions take 16-bit floats. False by default: they are computed in float32.
    var multipliesHalfFloats: Bool { get }
    /// `out = f(x · weightᵀ + bias)` for a ReLU, GELU or SiLU: dense floats of one type, `x [rows, inputs]` in any shape with as many
    /// elements, `weight [outputs, inputs]`, `bias [outputs]`; `product`, if wanted, gets what f is applied to. The default makes the product,
    /// then goes over it.
    func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor)
    /// `out = x · Wᵀ + bias` with a weight in few bits: rows `x [..., inputs]`, float32, bfloat16 or float16 like `out [..., outputs]`
    /// and `bias [outputs]`.
    func quantizedLinear(_ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor)
    /// One further position of each sequence, `x [..., width]`, through a transformer block; its keys and values join the plan's. False, and
    /// nothing done, if the backend computes blocks only step by step, which is the default.
    func decoderBlock(_ x: RawTensor, _ plan: DecoderBlockPlan, _ out: RawTensor) -> Bool
    /// A matrix decomposition or solver.
    func linearAlgebra(_ call: LinearAlgebraCall)
    /// softmax(scale · q kᵀ) v: `q [batch, heads, queries, dim]`, `k` and `v [batch, kvHeads, keys, dim]`, where kvHeads divides
    /// heads. `lse [batch, heads, queries]` is kept for the gradient. A query that sees no key gives 0.
    func attention(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan)
    /// The gradients of ``attention(_:_:_:_:lse:_:)``, each in the shape of what it belongs to, with strides of its own.
    func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan)
    /// Which weights `plan`'s dropout keeps: dense bools `[batch, heads, queries, keys]`.
    func attentionKept(_ out: RawTensor, _ plan: AttentionPlan)

    // MARK: Random numbers (Philox4x32-10)
    /// Uniform on `low ..< high`. Key `seed`, counters from `offset`: one serves 4 elements (2 of 8 bytes).
    func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double)
    /// Normal by Box and Muller (1958), from the same counters as the uniform numbers.
    func randomNormal(_ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double)
    /// Uniform integers in `low ..< high`, in the type of `out`.
    func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int)
    /// `mask[i] = uniform < keep` (bools) and `out[i] = mask[i] ? x[i] / keep : 0`.
    func dropout(_ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double)
    /// `out[i] = mask[i] ? g[i] / keep : 0`.
    func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double)
    /// Float32 to 16 bits, up with the probability of how far `x[i]` lies above the value below, in 65,536ths; finite numbers stay finite. Key
    /// `seed`, and 16 counters from `offset` on for every 128 elements.
    func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64)

    // MARK: Fourier transforms
    /// `out[o, k, i] = scale · Σⱼ x[o, j, i] exp(∓2πi j k / n)`, + for the inverse: complex numbers, seen as `[outer, n, inner]`.
    func fourierTransform(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, inverse: Bool, scale: Double)

    // MARK: Optimizer sweeps, in place on the parameter and its state
    /// One step of ``SGDSweep`` on `p`, float32 or float64; `momentum` is nil for plain descent.
    func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep)
    /// One step of ``AdamSweep`` on `p` with the moments `m` and `v`; `maxV`, if any, keeps the largest `v` (AMSGrad).
    func adam(_ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep)
    /// ``adam(_:_:m:v:maxV:_:)`` on several parameters, which share no memory. The default takes one after the other.
    func adam(_ steps: [AdamStep])
    /// One step of ``RMSPropSweep`` on `p`: `square` averages g², `average` g (if centred), `momentum` the steps (if
    /// there is any).
    func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?,
        _ options: RMSPropSweep)

    // MARK: Windows: convolution, pooling, resampling, normalisation per channel. float32 and float64, where int64 is not named
    /// Whether ``convolution(_:weight:bias:_:_:)`` takes an `x` whose elements lie as `[batch, in..., channels]`; others are contiguous.
    func readsChannelsLast(_ dtype: DType, _ plan: ConvolutionPlan) -> Bool
    /// Cross-correlation of `x [batch, channels, in...]` with `weight [outputs, inputs, kernel...]`, plus `bias [outputs]`; also int64.
    func convolution(_ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan)
    /// The adjoint of ``convolution(_:weight:bias:_:_:)`` in `x`, which is also the transposed convolution.
    func convolutionGradInput(_ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan)
    /// The adjoint of ``convolution(_:weight:bias:_:_:)`` in `weight`.
    func convolutionGradWeight(_ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan)
    /// Both at once: what they share is read once.
    func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan)
    /// The elements under each place of the kernel, as columns `[batch, channels · taps, places]`; also int64.
    func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan)
    /// The adjoint of ``unfold(_:_:_:)``: columns added up where they came from.
    func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan)
    /// The largest element of each window of `x [planes, in...]` and, if wanted, its place in the plane (int32); also int64.
    func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis])
    /// `out [planes, size]`: 0, then `out[p, places[p, i]] += x[p, i]` (or `=`, unless `adding`) in the order of `i`; also int64.
    func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool)
    /// The same added, for `x [planes, h, w]` whose place [i, j] is one of 2i ..< 2i + 2, 2j ..< 2j + 2 of the plane.
    func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor)
    /// `out[p, i] = x[p, places[p, i]]`; also int64.
    func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int)
    /// `x` seen as `[outer, map.inputs, inner]`, mapped to `[outer, map.outputs, inner]`.
    func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap)
    /// The last two axes of `x` mapped.
    func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap)
    /// `(x - mean) / √(variance + eps) · weight + bias`, `weight` and `bias` per channel, and its ReLU if the plan says so. The
    /// statistics are computed, over n, and written to `mean` and `variance`.
    func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan)
    /// The same with statistics that are given.
    func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan)
    /// The gradients that are not nil; those of ``channelNormApply(_:weight:bias:_:mean:variance:_:)`` if `fixed`.
    func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?, dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool)

    // MARK: Connectionist temporal classification
    /// Losses `[batch]` of `logProbabilities [time, batch, classes]` and what the gradient needs, `alpha [batch, time, states]`.
    func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor)
    /// The gradient of the scores whose log-softmax the log-probabilities are, into zeros.
    func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor)

    // MARK: More optimizer sweeps
    /// One step of a rarer rule on `p`, float32 or float64, with the states `a` and `b`; see ``SweepKernel``.
    func sweep(_ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers)

    /// A rule's step on `p` of 16 bits, in float32 and rounded; `g` has 16 bits or is float32, the states are float32.
    func narrowStep(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?,
        _ rounding: NarrowRounding)

    // MARK: Recurrent layers
    /// All steps of one direction. `x [time, batch, gates · hidden]` is the input's part of the gates; `states` and `cells`
    /// `[time + 1, batch, hidden]` hold the first state in their first slot (in reverse: the last) and are filled up. `gates` is
    /// what the gradient needs of every step, or room for one step.
    func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan)
    /// Gradients of both parts of the gates (one buffer but in GRU) and of the first state; `dcell` holds the last cell's gradient
    /// and is turned into the first's.
    func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan)
}

/// Numbers of one SGD step; see `torch.optim.SGD`.
public struct SGDSweep: Sendable {
    /// lr, λ, μ and τ: d ← g + λ p, v ← μ v + (1 - τ) d, p ← p - lr v.
    public var learningRate, weightDecay, momentum, dampening: Double
    /// `nesterov` steps along d + μ v in place of v; `isFirst` starts v as d, not dampened; `maximize` negates g, to climb.
    public var nesterov, isFirst, maximize: Bool
    /// All the numbers; nothing is checked.
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
public struct AdamSweep: Sendable, Equatable {
    /// lr, β₁, β₂, ε and λ: m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², p ← p - lr m̂ / (√v̂ + ε).
    public var learningRate, beta1, beta2, epsilon, weightDecay: Double
    /// The step being taken, from 1: the bias corrections are 1 - β₁ᵗ and 1 - β₂ᵗ.
    public var step: Int
    /// `decoupled` multiplies p by 1 - lr λ in place of adding λ p to g (AdamW); `maximize` negates g, to climb.
    public var decoupled, maximize: Bool
    /// All the numbers; nothing is checked.
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

/// A parameter, its gradient and its state for one step of Adam.
public struct AdamStep {
    /// The parameter, its gradient, its two moments and, for AMSGrad, the largest second moment: of one shape and type, dense.
    public var p, g, m, v: RawTensor, maxV: RawTensor?
    /// The numbers.
    public var options: AdamSweep
    /// The parts as given; nothing is checked.
    public init(p: RawTensor, g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, options: AdamSweep) {
        self.p = p
        self.g = g
        self.m = m
        self.v = v
        self.maxV = maxV
        self.options = options
    }
}

/// Numbers of one RMSProp step; see `torch.optim.RMSprop`.
public struct RMSPropSweep: Sendable {
    /// lr, α, ε, λ and μ: s ← α s + (1 - α) g², b ← μ b + g / (√s + ε), p ← p - lr b, with λ p added to g.
    public var learningRate, alpha, epsilon, weightDecay, momentum: Double
    /// `centered` takes the squared running mean of g from s; `maximize` negates g, to climb.
    public var centered, maximize: Bool
    /// All the numbers; nothing is checked.
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

    /// Makes `backend` the one that runs operations on `device`'s tensors, in place of an earlier one.
    public static func register(_ backend: any Backend, for device: Device) {
        lock.withLock { registered[device] = backend }
    }

    /// What runs operations on `device`'s tensors. Traps if nothing was registered for it.
    public static func backend(for device: Device) -> any Backend {
        if device.kind == .cpu { return CPUBackend.shared }
        if device.kind == .recording { return RecordingBackend.shared }
        guard let backend = lock.withLock({ registered[device] }) else {
            fail("device", "\(device) has no backend in this program")
        }
        return backend
    }
}
