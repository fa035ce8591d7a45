import CoreTensor

// Primitives without kernels so far. Each says so by its name.

extension CUDABackend {
    /// No kernel yet.
    public func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool) { missing("sort") }
    /// No kernel yet.
    public func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool) { missing("topK") }
    /// No kernel yet.
    public func sortRows(_ x: RawTensor, positions: RawTensor) { missing("sortRows") }
    /// No kernel yet.
    public func quantizedLinear(
        _ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor
    ) { missing("quantizedLinear") }
    /// No kernel yet.
    public func linearAlgebra(_ call: LinearAlgebraCall) { missing("linearAlgebra") }
    /// No kernel yet.
    public func attention(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan
    ) { missing("attention") }
    /// No kernel yet.
    public func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan
    ) { missing("attentionGrad") }
    /// No kernel yet.
    public func attentionKept(_ out: RawTensor, _ plan: AttentionPlan) { missing("attentionKept") }
    /// No kernel yet.
    public func convolution(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan
    ) { missing("convolution") }
    /// No kernel yet.
    public func convolutionGradInput(
        _ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan
    ) { missing("convolutionGradInput") }
    /// No kernel yet.
    public func convolutionGradWeight(
        _ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan
    ) { missing("convolutionGradWeight") }
    /// No kernel yet.
    public func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan
    ) { missing("convolutionGradients") }
    /// No kernel yet.
    public func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan) { missing("unfold") }
    /// No kernel yet.
    public func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan) { missing("fold") }
    /// No kernel yet.
    public func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis]) { missing("maxPool") }
    /// No kernel yet.
    public func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool) { missing("scatterPlanes") }
    /// No kernel yet.
    public func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor) { missing("scatterPairs") }
    /// No kernel yet.
    public func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int) { missing("gatherPlanes") }
    /// No kernel yet.
    public func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap) { missing("mapAxis") }
    /// No kernel yet.
    public func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap) { missing("mapPlanes") }
    /// No kernel yet.
    public func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) { missing("channelNorm") }
    /// No kernel yet.
    public func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) { missing("channelNormApply") }
    /// No kernel yet.
    public func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?, dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool
    ) { missing("channelNormGrad") }
    /// No kernel yet.
    public func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor) { missing("ctc") }
    /// No kernel yet.
    public func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor
    ) { missing("ctcGrad") }
    /// No kernel yet.
    public func sweep(
        _ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers
    ) { missing("sweep") }
    /// No kernel yet.
    public func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan
    ) { missing("recurrence") }
    /// No kernel yet.
    public func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan
    ) { missing("recurrenceGrad") }
}
