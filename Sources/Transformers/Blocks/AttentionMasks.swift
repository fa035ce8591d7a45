import CoreTensor

/// Masks of attention, as ``scaledDotProductAttention(_:_:_:mask:causal:alignment:window:softCap:alibiSlopes:scale:dropout:generator:)`` takes
/// them: true, or a number to add, says what is seen.
public enum AttentionMask {
    /// `padding [batch, keys]`, true or not 0 for tokens and false or 0 for padding (Hugging Face's `attention_mask`), as a mask
    /// `[batch, 1, 1, keys]`.
    public static func padding(_ padding: Tensor) -> Tensor {
        if padding.rank != 2 { fail("AttentionMask.padding", "needs [batch, keys], not \(padding.shape)") }
        let seen = padding.dtype == .bool ? padding : padding.detached() .!= 0
        return seen.reshaped([padding.shape[0], 1, 1, padding.shape[1]])
    }

    /// Of sequences padded on the left, the place of each of the last `length` columns among its sequence's tokens: `padding [batch, columns]`
    /// gives `batch` lists. Padding is at 0, as in Hugging Face's generation.
    static func places(_ padding: Tensor, last length: Int) -> [[Int]] {
        let tokens = (padding.detached() .!= 0).to(.int64)
        let places = ((tokens.cumsum(axis: 1) - 1) * tokens)
            .narrowed(axis: 1, start: padding.shape[1] - length, length: length)
        let flat = places.to(device: .cpu).scalars(Int.self)
        return (0..<padding.shape[0]).map { Array(flat[$0 * length..<($0 + 1) * length]) }
    }

    /// Both masks as one: what both see, with the sum of what they add. Shapes broadcast.
    public static func both(_ a: Tensor?, _ b: Tensor?) -> Tensor? {
        guard let a, let b else { return a ?? b }
        switch (a.dtype == .bool, b.dtype == .bool) {
        case (true, true): return a .& b
        case (true, false): return which(a, b, -Double.infinity)
        case (false, true): return which(b, a, -Double.infinity)
        case (false, false): return a + b.to(a.dtype)
        }
    }
}
