import CKernels

/// The cells of recurrent layers. Raw values are those of the C kernels.
public enum RecurrentKernel: Int32, Sendable {
    /// h' = tanh(x + h).
    case tanh = 0
    /// h' = max(x + h, 0).
    case relu
    /// Input gate, forget gate, candidate, output gate (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).
    case lstm
    /// Reset gate, update gate, candidate (Cho et al., 2014, with the reset gate after the product).
    case gru

    /// How many gates lie side by side in the weights.
    public var gates: Int { self == .lstm ? 4 : self == .gru ? 3 : 1 }
    /// How many numbers per hidden unit a step keeps for the gradient.
    var kept: Int { self == .lstm || self == .gru ? 4 : 0 }
}

/// One direction of a recurrent layer; everything is checked.
public struct RecurrencePlan: Sendable {
    /// The cell.
    public var kernel: RecurrentKernel
    /// Steps, sequences and hidden units.
    public var time, batch, hidden: Int
    /// From the last step to the first.
    public var reverse: Bool
    /// Steps of each sequence; later ones leave its state as it is. Nil: all are `time`.
    public var lengths: [Int64]?

    fileprivate func withC(_ dtype: DType, _ body: (UnsafePointer<tk_recurrence>) -> Void) {
        func call(_ lengths: UnsafePointer<Int64>?) {
            var c = tk_recurrence(
                kind: kernel.rawValue, dtype: dtype.code, time: Int64(time), batch: Int64(batch), hidden: Int64(hidden),
                reverse: reverse, lengths: lengths)
            body(&c)
        }
        if let lengths { lengths.withUnsafeBufferPointer { call($0.baseAddress) } } else { call(nil) }
    }
}

extension CPUBackend {
    /// All steps, by `tk_recurrence_forward`; float32 and float64.
    public func recurrence(
        _ x: RawTensor, weight: RawTensor, bias: RawTensor?, states: RawTensor, cells: RawTensor?, gates: RawTensor?,
        keepsGates: Bool, _ plan: RecurrencePlan
    ) {
        plan.withC(x.dtype) {
            tk_recurrence_forward(
                $0, x.pointer, weight.pointer, bias?.pointer, states.pointer, cells?.pointer, gates?.pointer, keepsGates)
        }
    }

    /// All steps backwards, by `tk_recurrence_backward`; float32 and float64.
    public func recurrenceGrad(
        weight: RawTensor, states: RawTensor, cells: RawTensor?, gates: RawTensor?, _ g: RawTensor, dx: RawTensor, dh: RawTensor,
        dstate: RawTensor, dcell: RawTensor?, _ plan: RecurrencePlan
    ) {
        plan.withC(g.dtype) {
            tk_recurrence_backward(
                $0, weight.pointer, states.pointer, cells?.pointer, gates?.pointer, g.pointer, dx.pointer, dh.pointer,
                dstate.pointer, dcell?.pointer)
        }
    }
}
