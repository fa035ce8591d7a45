import CoreTensor

/// A table of vectors: ids `[...]` give `[..., width]`. The weight `[vocabulary, width]` starts standard normal.
public final class Embedding: Module, Layer {
    /// The table `[vocabulary, width]`, a vector per id.
    public let weight: Parameter
    /// This row starts as 0 and gets no gradient.
    public let paddingIndex: Int?

    /// A table drawn from the standard normal distribution. Traps if `paddingIndex` is not in `0 ..< vocabulary`.
    public init(
        _ vocabulary: Int, _ width: Int, paddingIndex: Int? = nil, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        var table = Tensor(normal: [vocabulary, width], dtype: dtype, generator: generator)
        if let paddingIndex {
            if !(0..<vocabulary).contains(paddingIndex) {
                fail("Embedding", "paddingIndex \(paddingIndex) is out of range 0 ..< \(vocabulary)")
            }
            table[paddingIndex] = Tensor(zeros: [width], dtype: dtype)
        }
        weight = Parameter(table)
        self.paddingIndex = paddingIndex
    }

    /// The rows of the ids: integer `[...]` gives `[..., width]`. Traps on ids not in `0 ..< vocabulary`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { embedding(ids, weight.value, paddingIndex: paddingIndex) }
}
