import CKernels

/// What the sequences of a connectionist temporal classification are; everything is checked.
public struct CTCPlan: Sendable {
    /// All labels, int64.
    public var targets: RawTensor
    /// Where each sequence's labels begin.
    public var offsets: [Int64]
    /// Steps of each sequence.
    public var inputLengths: [Int64]
    /// Labels of each sequence.
    public var targetLengths: [Int64]
    /// The class that stands for no label.
    public var blank: Int

    /// Twice the longest target, and one.
    public var states: Int { 2 * Int(targetLengths.max() ?? 0) + 1 }

    fileprivate func withShape(_ x: RawTensor, _ body: (UnsafePointer<tk_ctc_shape>) -> Void) {
        offsets.withUnsafeBufferPointer { offsets in
            inputLengths.withUnsafeBufferPointer { inputs in
                targetLengths.withUnsafeBufferPointer { lengths in
                    var shape = tk_ctc_shape(
                        time: Int64(x.shape[0]), batch: Int64(x.shape[1]), classes: Int64(x.shape[2]), blank: Int64(blank),
                        max_states: Int64(states), targets: targets.pointer.assumingMemoryBound(to: Int64.self),
                        target_offsets: offsets.baseAddress, input_lengths: inputs.baseAddress,
                        target_lengths: lengths.baseAddress)
                    body(&shape)
                }
            }
        }
    }
}

extension CPUBackend {
    /// One task per sequence, by `tk_ctc`; float32 and float64.
    public func ctc(_ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor) {
        plan.withShape(logProbabilities) {
            tk_ctc(logProbabilities.dtype.code, $0, logProbabilities.pointer, alpha.pointer, loss.pointer)
        }
    }

    /// One task per sequence, by `tk_ctc_grad`; float32 and float64.
    public func ctcGrad(
        _ logProbabilities: RawTensor, _ plan: CTCPlan, alpha: RawTensor, loss: RawTensor, _ g: RawTensor, zeroInfinity: Bool,
        _ out: RawTensor
    ) {
        plan.withShape(logProbabilities) {
            tk_ctc_grad(
                logProbabilities.dtype.code, $0, logProbabilities.pointer, alpha.pointer, loss.pointer, g.pointer, zeroInfinity,
                out.pointer)
        }
    }
}
