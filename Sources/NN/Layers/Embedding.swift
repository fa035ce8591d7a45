import CoreTensor

/// A table of vectors: ids `[...]` give `[..., width]`. The weight `[vocabulary, width]` starts standard normal.
public final class Embedding: Module, Layer {
    /// The table `[vocabulary, width]`, a vector per id.
    public let weight: Parameter
    /// This row starts as 0 and gets no gradient.
    public let paddingIndex: Int?
    /// Rows that are looked up are first shrunk, in the table itself, to a norm of at most this.
    public let maxNorm: Double?
    /// Which norm `maxNorm` is of.
    public let normType: Double
    /// Whether the gradient of a row is divided by how often its id occurs.
    public let scaleGradByFrequency: Bool

    /// A table drawn from the standard normal distribution. Traps if `paddingIndex` is not in `0 ..< vocabulary`.
    public init(
        _ vocabulary: Int, _ width: Int, paddingIndex: Int? = nil, maxNorm: Double? = nil, normType: Double = 2,
        scaleGradByFrequency: Bool = false, dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        weight = embeddingTable("Embedding", vocabulary, width, paddingIndex, dtype, generator)
        self.paddingIndex = paddingIndex
        self.maxNorm = maxNorm
        self.normType = normType
        self.scaleGradByFrequency = scaleGradByFrequency
    }

    /// A layer with the given table `[vocabulary, width]`, perhaps shared with another layer.
    public init(weight: Parameter, paddingIndex: Int? = nil) {
        self.weight = weight
        self.paddingIndex = paddingIndex
        maxNorm = nil
        normType = 2
        scaleGradByFrequency = false
    }

    /// The rows of the ids: integer `[...]` gives `[..., width]`. Traps on ids not in `0 ..< vocabulary`.
    public func callAsFunction(_ ids: Tensor) -> Tensor {
        if let maxNorm { weight.shrinkRows(ids, "Embedding", maxNorm, normType) }
        if !scaleGradByFrequency { return embedding(ids, weight.value, paddingIndex: paddingIndex) }
        return embedding(
            ids, weight.value, paddingIndex: paddingIndex, maxNorm: nil, scaleGradByFrequency: scaleGradByFrequency)
    }
}

/// Sums, means or maxima of bags of rows of a table, without the rows in between; see
/// ``embeddingBag(_:_:offsets:mode:weights:paddingIndex:includesEnd:maxNorm:normType:scaleGradByFrequency:)``.
public final class EmbeddingBag: Module, Layer {
    /// The table `[vocabulary, width]`, a vector per id.
    public let weight: Parameter
    /// How the rows of a bag become one.
    public let mode: BagMode
    /// This id does not count.
    public let paddingIndex: Int?
    /// Whether the last offset is the end of the last bag.
    public let includesEnd: Bool
    /// Rows that are looked up are first shrunk, in the table itself, to a norm of at most this.
    public let maxNorm: Double?
    /// Which norm `maxNorm` is of.
    public let normType: Double
    /// Whether the gradient of a row is divided by how often its id occurs.
    public let scaleGradByFrequency: Bool

    /// A table drawn from the standard normal distribution. Traps if `paddingIndex` is not in `0 ..< vocabulary`.
    public init(
        _ vocabulary: Int, _ width: Int, mode: BagMode = .mean, paddingIndex: Int? = nil, includesEnd: Bool = false,
        maxNorm: Double? = nil, normType: Double = 2, scaleGradByFrequency: Bool = false, dtype: DType = .float32,
        generator: RandomGenerator = .default
    ) {
        weight = embeddingTable("EmbeddingBag", vocabulary, width, paddingIndex, dtype, generator)
        self.mode = mode
        self.paddingIndex = paddingIndex
        self.includesEnd = includesEnd
        self.maxNorm = maxNorm
        self.normType = normType
        self.scaleGradByFrequency = scaleGradByFrequency
    }

    /// Bags of one length: ids `[bags, length]` give `[bags, width]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { self(ids, offsets: nil) }

    /// Bags given by where they begin in ids `[n]`, and perhaps a factor per id.
    public func callAsFunction(_ ids: Tensor, offsets: [Int]?, weights: Tensor? = nil) -> Tensor {
        if let maxNorm { weight.shrinkRows(ids, "EmbeddingBag", maxNorm, normType) }
        return embeddingBag(
            ids, weight.value, offsets: offsets, mode: mode, weights: weights, paddingIndex: paddingIndex,
            includesEnd: includesEnd,
            scaleGradByFrequency: scaleGradByFrequency)
    }
}

/// Standard normal, with a row of zeros for padding.
private func embeddingTable(
    _ name: String, _ vocabulary: Int, _ width: Int, _ paddingIndex: Int?, _ dtype: DType, _ generator: RandomGenerator
) -> Parameter {
    var table = Tensor(normal: [vocabulary, width], dtype: dtype, generator: generator)
    if let paddingIndex {
        if !(0..<vocabulary).contains(paddingIndex) {
            fail(name, "paddingIndex \(paddingIndex) is out of range 0 ..< \(vocabulary)")
        }
        table[paddingIndex] = Tensor(zeros: [width], dtype: dtype)
    }
    return Parameter(table)
}

extension Parameter {
    /// Shrinks the rows named by `ids` to a norm of at most `maxNorm`, in place and off the tape.
    fileprivate func shrinkRows(_ ids: Tensor, _ name: String, _ maxNorm: Double, _ normType: Double) {
        checkIndices(name, ids, limit: shape[0], what: "id")
        withoutGrad {
            let places = ids.detached().to(.int64).flattened(), table = value.detached()
            let rows = embedding(places, table).renormalized(p: normType, axis: 0, maxNorm: maxNorm)
            value = table.indexCopied(axis: 0, index: places, source: rows)
        }
    }
}
