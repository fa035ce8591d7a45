import CoreTensor

/// How ``SkipGram`` trains; word2vec.c's values unless told otherwise.
public struct SkipGramOptions: Sendable, Equatable {
    /// Numbers per vector.
    public var width = 100
    /// The most words between a word and its context; how far is drawn for each word, from 1 to this.
    public var window = 5
    /// Words of noise per pair.
    public var negatives = 5
    /// Words that occur less often are left out.
    public var minimumCount = 5
    /// Words whose share f of the text is above this are left out at random: kept with the probability √(t/f) + t/f. 0: all are kept.
    public var subsampling = 1e-3
    /// Noise is drawn in proportion to a word's count to this power.
    public var noiseExponent = 0.75
    /// The learning rate at the beginning, which falls in proportion to the words read …
    public var learningRate = 0.025
    /// … and at the end.
    public var finalLearningRate = 1e-4
    /// Times through the text.
    public var epochs = 5
    /// Of all random numbers.
    public var seed: UInt64 = 1
    /// Above 1, so many parts of the text are trained on at the same time without locks (Niu et al., 2011, *Hogwild!*), which is faster, and
    /// **not reproducible**: who writes first is left to chance. One worker gives the same bits for any number of threads.
    public var workers = 1

    /// word2vec.c's values.
    public init() {}

    func check() {
        let name = "SkipGramOptions"
        for (what, value) in [
            ("width", width), ("window", window), ("negatives", negatives), ("minimumCount", minimumCount), ("epochs", epochs),
            ("workers", workers),
        ] where value < 1 { fail(name, "\(what) is \(value); it must be at least 1") }
        if negatives > 63 { fail(name, "\(negatives) negatives; at most 63") }
        if window > 1 << 20 || width > 1 << 20 { fail(name, "a window of \(window), vectors of \(width); at most 2^20") }
        if !(subsampling >= 0 && subsampling.isFinite) { fail(name, "subsampling is \(subsampling); it must not be negative") }
        if !noiseExponent.isFinite { fail(name, "noiseExponent is \(noiseExponent)") }
        if !(learningRate > 0 && learningRate.isFinite && finalLearningRate >= 0 && finalLearningRate <= learningRate) {
            fail(name, "a learning rate from \(learningRate) to \(finalLearningRate); it must be above 0 and not rise")
        }
    }
}

/// How far ``SkipGram/train(progress:)`` is.
public struct SkipGramProgress: Sendable {
    /// Words read, and those that will be.
    public let words, total: Int
    /// Pairs since the last report.
    public let pairs: Int
    /// Their mean loss, in nats; every pair's from before its step.
    public let loss: Double
    /// The learning rate now.
    public let learningRate: Double
}
