import CoreTensor

// Primitives without kernels so far. Each says so by its name.

extension CUDABackend {
    /// No kernel yet.
    public func sortRows(_ x: RawTensor, positions: RawTensor) { missing("sortRows") }
    /// No kernel yet.
    public func quantizedLinear(
        _ x: RawTensor, _ plan: QuantizedLinearPlan, bias: RawTensor?, _ out: RawTensor
    ) { missing("quantizedLinear") }
    /// No kernel yet.
    public func linearAlgebra(_ call: LinearAlgebraCall) { missing("linearAlgebra") }
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
