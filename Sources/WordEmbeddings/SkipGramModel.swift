import CoreTensor
import NN

/// Skip-gram with negative sampling on the tape: two tables of vectors and ``NN/negativeSamplingLoss(_:_:_:)``, for any optimizer and device.
/// ``SkipGram`` does the same much faster, as plain gradient descent on the CPU.
///
/// ```swift
/// let text = try SkipGram(sentences), model = SkipGramModel(text.vocabulary.count, 100)
/// let optimizer = Adam(model.parameters, learningRate: 1e-3)
/// model.loss(text.pairs(sentences: 0..<64, epoch: 0)).backward()
/// optimizer.step()
/// ```
public final class SkipGramModel: Module {
    /// The vectors of words, `[vocabulary, width]`.
    public let centers: Embedding
    /// Their vectors as contexts, `[vocabulary, width]`.
    public let contexts: Embedding

    /// Vectors uniform in ±1/2 divided by the width; those of contexts are 0.
    public init(_ vocabulary: Int, _ width: Int, dtype: DType = .float32, generator: RandomGenerator = .default) {
        let bound = 0.5 / Double(width)
        centers = Embedding(
            weight: Parameter(Tensor(uniform: [vocabulary, width], low: -bound, high: bound, dtype: dtype, generator: generator)))
        contexts = Embedding(weight: Parameter(Tensor(zeros: [vocabulary, width], dtype: dtype)))
    }

    /// The mean loss of some pairs, `[]`. Noise that is the context counts, unlike in ``SkipGram``.
    public func loss(_ pairs: SkipGramPairs) -> Tensor {
        negativeSamplingLoss(centers(pairs.centers), contexts(pairs.contexts), contexts(pairs.negatives))
    }
}
