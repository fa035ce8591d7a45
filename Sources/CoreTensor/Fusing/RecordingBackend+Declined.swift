// What cannot be recorded: primitives that move, combine or draw elements.
extension RecordingBackend {
    func arange(_ out: RawTensor, start: Double, step: Double) { declines("arange") }
    func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor) { declines("axpy") }
    func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) { declines("fused") }
    func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) { declines("reduce") }
    func compensatedSum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) { declines("compensated sum") }
    func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64) {
        declines("roundedStochastically")
    }
    func narrowStep(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?,
        _ rounding: NarrowRounding
    ) { declines("narrowStep") }
    func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) { declines("argReduce") }
    func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView) { declines("meanAndM2") }
    func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) { declines("cumsum") }
    func sumOfSquares(_ x: RawTensor) -> Double { declines("sumOfSquares") }
    func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor) { declines("gatherRows") }
    func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) { declines("scatterRows") }
    func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) { declines("setRows") }
    func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) { declines("activatedLinear") }
    func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) { declines("addRows") }
    func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int) { declines("gather") }
    func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) { declines("scatterAdd") }
    func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int? { declines("firstOutOfRange") }
    func scatterReduce(
        _ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int
    ) { declines("scatterReduce") }
    func nonzero(_ x: RawTensor) -> RawTensor { declines("nonzero") }
    func scan(_ op: ScanKernel, _ x: RawTensor, _ out: RawTensor, positions: RawTensor?, _ view: AxisView) { declines("scan") }
    func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool) { declines("sort") }
    func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool) { declines("topK") }
    func sortRows(_ x: RawTensor, positions: RawTensor) { declines("sortRows") }
    func searchSorted(
        _ sorted: RawTensor, _ values: RawTensor, _ out: RawTensor, rows: Int, n: Int, m: Int, shared: Bool, right: Bool
    ) { declines("searchSorted") }
    func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool) { declines("softmax") }
    func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool) { declines("softmaxGrad") }
    func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double
    ) { declines("crossEntropy") }
    func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double
    ) { declines("crossEntropyGrad") }
    func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor, eps: Double
    ) { declines("layerNorm") }
    func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?,
        dbias: RawTensor?
    ) { declines("layerNormGrad") }
    func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double) { declines("rmsNorm") }
    func rmsNormGrad(
        _ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?
    ) { declines("rmsNormGrad") }
    func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) { declines("matmul") }
    func quantizedLinear(
        _ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor
    ) { declines("quantizedLinear") }
    func fourierTransform(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, inverse: Bool, scale: Double) {
        declines("fft")
    }
    func linearAlgebra(_ call: LinearAlgebraCall) { declines("linearAlgebra") }
    func attention(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan
    ) { declines("attention") }
    func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan
    ) { declines("attentionGrad") }
    func attentionKept(_ out: RawTensor, _ plan: AttentionPlan) { declines("attentionKept") }
    func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double) { declines("randomUniform") }
    func randomNormal(
        _ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double
    ) { declines("randomNormal") }
    func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int) { declines("randomIntegers") }
    func dropout(
        _ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double
    ) { declines("dropout") }
    func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double) { declines("dropoutGrad") }
    func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep) { declines("sgd") }
    func adam(
        _ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep
    ) { declines("adam") }
    func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?, _ options: RMSPropSweep
    ) { declines("rmsProp") }
    func convolution(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan
    ) { declines("convolution") }
    func convolutionGradInput(
        _ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan
    ) { declines("convolutionGradInput") }
    func convolutionGradWeight(
        _ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan
    ) { declines("convolutionGradWeight") }
    func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan
    ) { declines("convolutionGradients") }
    func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan) { declines("unfold") }
    func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan) { declines("fold") }
    func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis]) { declines("maxPool") }
    func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool) {
        declines("scatterPlanes")
    }
    func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor) { declines("scatterPairs") }
    func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int) { declines("gatherPlanes") }
    func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap) { declines("mapAxis") }
    func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap) { declines("mapPlanes") }
    func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) { declines("channelNorm") }
    func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) { declines("channelNormApply") }
    func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?, dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool
    ) { declines("channelNormGrad") }
    func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor) { declines("ctc") }
    func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor
    ) { declines("ctcGrad") }
    func sweep(
        _ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers
    ) { declines("sweep") }
    func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan
    ) { declines("recurrence") }
    func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan
    ) { declines("recurrenceGrad") }
}
