import CoreTensor

/// Calls `body` and gives the attention weights of every attention layer called inside, in the order of the calls: `[batch, heads, length,
/// positions]` each, rows that sum to 1, or to 0 where nothing is seen.
///
/// ```swift
/// let (logits, weights) = recordingAttention { model(ids) }
/// ```
///
/// The result is the same as without; the weights are computed besides, at the cost of memory of the square of the length. Covers
/// ``MultiHeadAttention`` and ``GroupedQueryAttention``, and so all published models.
public func recordingAttention<Result>(_ body: () throws -> Result) rethrows -> (result: Result, weights: [Tensor]) {
    let recorder = AttentionRecorder()
    let result = try AttentionRecorder.$current.withValue(recorder) { try body() }
    return (result, recorder.weights)
}

/// Where weights are kept while they are recorded.
final class AttentionRecorder: @unchecked Sendable {
    // Used by the thread that set it: layers run on their caller's.
    @TaskLocal static var current: AttentionRecorder?
    private(set) var weights: [Tensor] = []

    /// The attention that `attend` gives for `values [batch, heads, positions, dim]`; its weights are kept where they are being recorded.
    static func observing(_ values: Tensor, _ attend: (Tensor) -> Tensor) -> Tensor {
        if let current {
            // What attention gives for the unit vectors as values is its weights, whatever masks and caps it has.
            let s = values.shape, unit = Tensor(eye: s[2], dtype: values.dtype, device: values.device)
            current.weights.append(withoutGrad { attend(unit.expanded(to: [s[0], s[1], s[2], s[2]])) })
        }
        return attend(values)
    }
}
