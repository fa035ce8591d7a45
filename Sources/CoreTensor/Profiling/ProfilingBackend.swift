/// A backend that times the calls of another; in force while ``Profiler`` records.
///
/// Tensors that a call changes in place are named twice: they are read and written.
final class ProfilingBackend: Backend {
    let timed: any Backend
    init(_ timed: any Backend) { self.timed = timed }

    private func time<R>(_ name: @autoclosure () -> String, _ tensors: [RawTensor?], flops: Double = 0, _ body: () -> R) -> R {
        Profiler.time(name(), tensors, flops: flops, body)
    }

    func allocate(byteCount: Int) -> Storage { timed.allocate(byteCount: byteCount) }
    func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int) { timed.deallocate(base, byteCount: byteCount) }

    func copy(_ source: RawTensor, to destination: RawTensor) {
        time("copy", [source, destination]) { timed.copy(source, to: destination) }
    }

    func cast(_ x: RawTensor, to out: RawTensor) {
        time("cast", [x, out]) { timed.cast(x, to: out) }
    }

    func fill(_ out: RawTensor, _ value: UnsafeRawPointer) {
        time("fill", [out]) { timed.fill(out, value) }
    }

    func arange(_ out: RawTensor, start: Double, step: Double) {
        time("arange", [out]) { timed.arange(out, start: start, step: step) }
    }

    func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor) {
        time("unary.\(op)", [x, out]) { timed.unary(op, x, out) }
    }

    func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor) {
        time("unaryGrad.\(op)", [saved, g, out]) { timed.unaryGrad(op, saved: saved, g, out) }
    }

    func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor) {
        time("classify.\(op)", [x, out]) { timed.classify(op, x, out) }
    }

    func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        time("binary.\(op)", [a, b, out]) { timed.binary(op, a, b, out) }
    }

    func binary(_ op: BinaryKernel, _ x: RawTensor, scalar value: Double, _ out: RawTensor) {
        time("binary.\(op)", [x, out]) { timed.binary(op, x, scalar: value, out) }
    }

    func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        time("compare.\(op)", [a, b, out]) { timed.compare(op, a, b, out) }
    }

    func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        time("select", [condition, a, b, out]) { timed.select(condition, a, b, out) }
    }

    func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double) {
        time("clamp", [x, out]) { timed.clamp(x, out, low: low, high: high) }
    }

    func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor) {
        time("axpy", [x, y, y]) { timed.axpy(alpha, x, y) }
    }

    func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) {
        time("fused.\(program.steps.count)", inputs + outputs) { timed.fused(program, inputs, outputs, shape: shape) }
    }

    func reduce(_ op: ReduceKernel, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        time("reduce.\(op)", [x, out]) { timed.reduce(op, x, out, view) }
    }

    func argReduce(minimum: Bool, _ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        time("argReduce", [x, out]) { timed.argReduce(minimum: minimum, x, out, view) }
    }

    func meanAndM2(_ x: RawTensor, mean: RawTensor, m2: RawTensor, _ view: AxisView) {
        time("meanAndM2", [x, mean, m2]) { timed.meanAndM2(x, mean: mean, m2: m2, view) }
    }

    func cumsum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        time("cumsum", [x, out]) { timed.cumsum(x, out, view) }
    }

    func sumOfSquares(_ x: RawTensor) -> Double {
        time("sumOfSquares", [x]) { timed.sumOfSquares(x) }
    }

    func sumOfSquares(_ tensors: [RawTensor], to out: RawTensor) {
        time("sumOfSquares", tensors + [out]) { timed.sumOfSquares(tensors, to: out) }
    }

    func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor) {
        time("gatherRows", [table, ids, out]) { timed.gatherRows(table, ids: ids, out) }
    }

    func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        time("scatterRows", [out, ids, rows]) { timed.scatterRows(out, ids: ids, rows) }
    }

    func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        time("setRows", [ids, rows, rows]) { timed.setRows(out, ids: ids, rows) }
    }

    func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        time("addRows", [out, ids, rows]) { timed.addRows(out, ids: ids, rows) }
    }

    func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int) {
        time("gather", [x, index, out]) { timed.gather(x, index: index, out, sourceView: sourceView, n: n) }
    }

    func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) {
        time("scatterAdd", [x, index, out]) { timed.scatterAdd(x, index: index, out, outputView: outputView, n: n) }
    }

    func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int? {
        time("firstOutOfRange", [index]) { timed.firstOutOfRange(index, limit: limit) }
    }

    func scatterReduce(_ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) {
        time("scatterReduce.\(op)", [x, index, out]) {
            timed.scatterReduce(op, x, index: index, out, outputView: outputView, n: n)
        }
    }

    func nonzero(_ x: RawTensor) -> RawTensor {
        time("nonzero", [x]) { timed.nonzero(x) }
    }

    func scan(_ op: ScanKernel, _ x: RawTensor, _ out: RawTensor, positions: RawTensor?, _ view: AxisView) {
        time("scan.\(op)", [x, out, positions]) { timed.scan(op, x, out, positions: positions, view) }
    }

    func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool) {
        time("sort", [x, positions]) { timed.sort(x, positions: positions, view, descending: descending) }
    }

    func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool) {
        time("topK", [x, positions]) { timed.topK(x, positions: positions, view, k: k, smallest: smallest) }
    }

    func sortRows(_ x: RawTensor, positions: RawTensor) {
        time("sortRows", [x, positions]) { timed.sortRows(x, positions: positions) }
    }

    func searchSorted(
        _ sorted: RawTensor, _ values: RawTensor, _ out: RawTensor, rows: Int, n: Int, m: Int, shared: Bool, right: Bool
    ) {
        time("searchSorted", [sorted, values, out]) {
            timed.searchSorted(sorted, values, out, rows: rows, n: n, m: m, shared: shared, right: right)
        }
    }

    func softmax(_ x: RawTensor, _ out: RawTensor, log: Bool) {
        time(log ? "logSoftmax" : "softmax", [x, out]) { timed.softmax(x, out, log: log) }
    }

    func softmaxGrad(output: RawTensor, _ g: RawTensor, _ out: RawTensor, log: Bool) {
        time(log ? "logSoftmaxGrad" : "softmaxGrad", [output, g, out]) { timed.softmaxGrad(output: output, g, out, log: log) }
    }

    func crossEntropy(
        _ logits: RawTensor, _ labels: RawTensor, loss: RawTensor, lse: RawTensor, ignoreIndex: Int, smoothing: Double
    ) {
        time("crossEntropy", [logits, labels, loss, lse]) {
            timed.crossEntropy(logits, labels, loss: loss, lse: lse, ignoreIndex: ignoreIndex, smoothing: smoothing)
        }
    }

    func crossEntropyGrad(
        _ logits: RawTensor, _ labels: RawTensor, lse: RawTensor, _ g: RawTensor, _ out: RawTensor, ignoreIndex: Int,
        smoothing: Double
    ) {
        time("crossEntropyGrad", [logits, labels, lse, g, out]) {
            timed.crossEntropyGrad(logits, labels, lse: lse, g, out, ignoreIndex: ignoreIndex, smoothing: smoothing)
        }
    }

    func layerNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, rstd: RawTensor, eps: Double
    ) {
        time("layerNorm", [x, weight, bias, out, mean, rstd]) {
            timed.layerNorm(x, weight: weight, bias: bias, out, mean: mean, rstd: rstd, eps: eps)
        }
    }

    func layerNormGrad(
        _ x: RawTensor, weight: RawTensor?, mean: RawTensor, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?,
        dbias: RawTensor?
    ) {
        time("layerNormGrad", [x, weight, mean, rstd, g, dx, dweight, dbias]) {
            timed.layerNormGrad(x, weight: weight, mean: mean, rstd: rstd, g, dx: dx, dweight: dweight, dbias: dbias)
        }
    }

    func rmsNorm(_ x: RawTensor, weight: RawTensor?, _ out: RawTensor, rstd: RawTensor, eps: Double) {
        time("rmsNorm", [x, weight, out, rstd]) { timed.rmsNorm(x, weight: weight, out, rstd: rstd, eps: eps) }
    }

    func rmsNormGrad(_ x: RawTensor, weight: RawTensor?, rstd: RawTensor, _ g: RawTensor, dx: RawTensor?, dweight: RawTensor?) {
        time("rmsNormGrad", [x, weight, rstd, g, dx, dweight]) {
            timed.rmsNormGrad(x, weight: weight, rstd: rstd, g, dx: dx, dweight: dweight)
        }
    }

    func matmul(_ a: RawTensor, _ b: RawTensor, _ out: RawTensor, _ plan: MatMulPlan, bias: RawTensor?) {
        time("matmul", [a, b, out, bias], flops: 2 * Double(plan.batch * plan.m * plan.n * plan.k)) {
            timed.matmul(a, b, out, plan, bias: bias)
        }
    }

    var multipliesHalfFloats: Bool { timed.multipliesHalfFloats }

    func activatedLinear(
        _ x: RawTensor, _ weight: RawTensor, bias: RawTensor?, _ activation: UnaryKernel, product: RawTensor?, _ out: RawTensor
    ) {
        time("activatedLinear.\(activation)", [x, weight, bias, product, out], flops: 2 * Double(out.count * weight.shape[1])) {
            timed.activatedLinear(x, weight, bias: bias, activation, product: product, out)
        }
    }

    func quantizedLinear(_ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor) {
        time("quantizedLinear", [x, bias, out], flops: 2 * Double(x.count * out.shape[out.shape.count - 1])) {
            timed.quantizedLinear(x, plan, bias: bias, out)
        }
    }

    func fourierTransform(_ x: RawTensor, _ out: RawTensor, _ view: AxisView, inverse: Bool, scale: Double) {
        time("fft", [x, out]) { timed.fourierTransform(x, out, view, inverse: inverse, scale: scale) }
    }

    func linearAlgebra(_ call: LinearAlgebraCall) {
        time(call.name, []) { timed.linearAlgebra(call) }
    }

    func attention(_ q: RawTensor, _ k: RawTensor, _ v: RawTensor, _ out: RawTensor, lse: RawTensor, _ plan: AttentionPlan) {
        time("attention", [q, k, v, out, lse], flops: plan.flops(q, k, v)) { timed.attention(q, k, v, out, lse: lse, plan) }
    }

    func attentionGrad(
        _ q: RawTensor, _ k: RawTensor, _ v: RawTensor, out: RawTensor, lse: RawTensor, _ g: RawTensor, dq: RawTensor,
        dk: RawTensor, dv: RawTensor, _ plan: AttentionPlan
    ) {
        time("attentionGrad", [q, k, v, out, lse, g, dq, dk, dv], flops: 2.5 * plan.flops(q, k, v)) {
            timed.attentionGrad(q, k, v, out: out, lse: lse, g, dq: dq, dk: dk, dv: dv, plan)
        }
    }

    func attentionKept(_ out: RawTensor, _ plan: AttentionPlan) {
        time("attentionKept", [out]) { timed.attentionKept(out, plan) }
    }

    func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double) {
        time("randomUniform", [out]) { timed.randomUniform(out, seed: seed, offset: offset, low: low, high: high) }
    }

    func randomNormal(_ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double) {
        time("randomNormal", [out]) {
            timed.randomNormal(out, seed: seed, offset: offset, mean: mean, standardDeviation: standardDeviation)
        }
    }

    func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int) {
        time("randomIntegers", [out]) { timed.randomIntegers(out, seed: seed, offset: offset, low: low, high: high) }
    }

    func dropout(_ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double) {
        time("dropout", [x, out, mask]) { timed.dropout(x, out, mask: mask, seed: seed, offset: offset, keep: keep) }
    }

    func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double) {
        time("dropoutGrad", [g, mask, out]) { timed.dropoutGrad(g, mask: mask, out, keep: keep) }
    }

    func sgd(_ p: RawTensor, _ g: RawTensor, momentum: RawTensor?, _ options: SGDSweep) {
        time("sgd", [p, g, momentum, p, momentum]) { timed.sgd(p, g, momentum: momentum, options) }
    }

    func adam(_ p: RawTensor, _ g: RawTensor, m: RawTensor, v: RawTensor, maxV: RawTensor?, _ options: AdamSweep) {
        time("adam", [p, g, m, v, maxV, p, m, v, maxV]) { timed.adam(p, g, m: m, v: v, maxV: maxV, options) }
    }

    func adam(_ steps: [AdamStep]) {
        let touched: [RawTensor?] = steps.flatMap { [$0.p, $0.m, $0.v, $0.maxV] }
        let gradients: [RawTensor?] = steps.map { $0.g }
        time("adam", touched + gradients + touched) { timed.adam(steps) }
    }

    func rmsProp(
        _ p: RawTensor, _ g: RawTensor, square: RawTensor, average: RawTensor?, momentum: RawTensor?, _ options: RMSPropSweep
    ) {
        time("rmsProp", [p, g, square, average, momentum, p, square, average, momentum]) {
            timed.rmsProp(p, g, square: square, average: average, momentum: momentum, options)
        }
    }

    func narrowStep(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor?, _ c: RawTensor?,
        _ rounding: NarrowRounding
    ) {
        time("narrowStep", [p, g, a, b, c, p, a, b, c]) { timed.narrowStep(rule, p, g, a, b, c, rounding) }
    }

    func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64) {
        time("roundStochastically", [x, out]) { timed.roundStochastically(x, to: out, seed: seed, offset: offset) }
    }

    func compensatedSum(_ x: RawTensor, _ out: RawTensor, _ view: AxisView) {
        time("compensatedSum", [x, out]) { timed.compensatedSum(x, out, view) }
    }

    func readsChannelsLast(_ dtype: DType, _ plan: ConvolutionPlan) -> Bool { timed.readsChannelsLast(dtype, plan) }

    func convolution(_ x: RawTensor, weight: RawTensor, bias: RawTensor?, _ out: RawTensor, _ plan: ConvolutionPlan) {
        time("convolution", [x, weight, bias, out], flops: plan.flops) {
            timed.convolution(x, weight: weight, bias: bias, out, plan)
        }
    }

    func convolutionGradInput(_ g: RawTensor, weight: RawTensor, _ dx: RawTensor, _ plan: ConvolutionPlan) {
        time("convolutionGradInput", [g, weight, dx], flops: plan.flops) {
            timed.convolutionGradInput(g, weight: weight, dx, plan)
        }
    }

    func convolutionGradWeight(_ x: RawTensor, _ g: RawTensor, _ dweight: RawTensor, _ plan: ConvolutionPlan) {
        time("convolutionGradWeight", [x, g, dweight], flops: plan.flops) { timed.convolutionGradWeight(x, g, dweight, plan) }
    }

    func convolutionGradients(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor, dx: RawTensor, dweight: RawTensor, _ plan: ConvolutionPlan
    ) {
        time("convolutionGradients", [x, g, weight, dx, dweight], flops: 2 * plan.flops) {
            timed.convolutionGradients(x, g, weight: weight, dx: dx, dweight: dweight, plan)
        }
    }

    func unfold(_ x: RawTensor, _ columns: RawTensor, _ plan: ConvolutionPlan) {
        time("unfold", [x, columns]) { timed.unfold(x, columns, plan) }
    }

    func fold(_ columns: RawTensor, _ x: RawTensor, _ plan: ConvolutionPlan) {
        time("fold", [columns, x]) { timed.fold(columns, x, plan) }
    }

    func maxPool(_ x: RawTensor, _ out: RawTensor, places: RawTensor?, axes: [PoolAxis]) {
        time("maxPool", [x, out, places]) { timed.maxPool(x, out, places: places, axes: axes) }
    }

    func scatterPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int, adding: Bool) {
        time("scatterPlanes", [x, places, out]) { timed.scatterPlanes(x, places: places, out, planes: planes, adding: adding) }
    }

    func scatterPairs(_ x: RawTensor, places: RawTensor, _ out: RawTensor) {
        time("scatterPairs", [x, places, out]) { timed.scatterPairs(x, places: places, out) }
    }

    func gatherPlanes(_ x: RawTensor, places: RawTensor, _ out: RawTensor, planes: Int) {
        time("gatherPlanes", [x, places, out]) { timed.gatherPlanes(x, places: places, out, planes: planes) }
    }

    func mapAxis(_ x: RawTensor, _ out: RawTensor, outer: Int, inner: Int, _ map: AxisMap) {
        time("mapAxis", [x, out]) { timed.mapAxis(x, out, outer: outer, inner: inner, map) }
    }

    func mapPlanes(_ x: RawTensor, _ out: RawTensor, rows: AxisMap, columns: AxisMap) {
        time("mapPlanes", [x, out]) { timed.mapPlanes(x, out, rows: rows, columns: columns) }
    }

    func channelNorm(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        time("channelNorm", [x, weight, bias, out, mean, variance]) {
            timed.channelNorm(x, weight: weight, bias: bias, out, mean: mean, variance: variance, plan)
        }
    }

    func channelNormApply(
        _ x: RawTensor, weight: RawTensor?, bias: RawTensor?, _ out: RawTensor, mean: RawTensor, variance: RawTensor,
        _ plan: ChannelNormPlan
    ) {
        time("channelNormApply", [x, weight, bias, out, mean, variance]) {
            timed.channelNormApply(x, weight: weight, bias: bias, out, mean: mean, variance: variance, plan)
        }
    }

    func channelNormGrad(
        _ x: RawTensor, _ g: RawTensor, weight: RawTensor?, bias: RawTensor?, mean: RawTensor, variance: RawTensor,
        dx: RawTensor?, dweight: RawTensor?, dbias: RawTensor?, _ plan: ChannelNormPlan, fixed: Bool
    ) {
        time("channelNormGrad", [x, g, weight, bias, mean, variance, dx, dweight, dbias]) {
            timed.channelNormGrad(
                x, g, weight: weight, bias: bias, mean: mean, variance: variance, dx: dx, dweight: dweight, dbias: dbias, plan,
                fixed: fixed)
        }
    }

    func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor) {
        time("ctc", [logProbabilities, alpha, loss]) { timed.ctc(logProbabilities, plan, alpha: alpha, loss: loss) }
    }

    func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor
    ) {
        time("ctcGrad", [logProbabilities, alpha, loss, g, out]) {
            timed.ctcGrad(logProbabilities, plan, alpha: alpha, loss: loss, g, zeroInfinity: zeroInfinity, out)
        }
    }

    func sweep(_ rule: SweepKernel, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor, _ b: RawTensor?, _ numbers: SweepNumbers) {
        time("sweep.\(rule)", [p, g, a, b, p, a, b]) { timed.sweep(rule, p, g, a, b, numbers) }
    }

    func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan
    ) {
        time("recurrence", [x, weight, bias, states, cells, gates], flops: plan.flops(weight)) {
            timed.recurrence(
                x, weight: weight, bias: bias, states: states, cells: cells, gates: gates, keepsGates: keepsGates, plan)
        }
    }

    func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan
    ) {
        time("recurrenceGrad", [weight, states, cells, gates, g, dx, dh, dstate, dcell], flops: plan.flops(weight)) {
            timed.recurrenceGrad(
                weight: weight, states: states, cells: cells, gates: gates, g, dx: dx, dh: dh, dstate: dstate, dcell: dcell, plan)
        }
    }
}
