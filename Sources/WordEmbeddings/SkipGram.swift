import CKernels
import CoreTensor
import Foundation

/// Word vectors by skip-gram with negative sampling (Mikolov et al., 2013, arXiv:1310.4546): for each word v and each u around it a step of
/// gradient descent on -ln σ(u · v) - Σ ln σ(-n · v), with words n of noise.
///
/// ```swift
/// let model = try SkipGram(sentences)                  // [["to", "be", …], …]
/// model.train { print($0.words, $0.loss) }
/// let vectors = model.vectors
/// print(try vectors.nearest(to: "king", count: 5))
/// try vectors.saveText("vectors.txt")
/// ```
///
/// All steps are one after the other, as in word2vec.c, in a kernel on the CPU; no tape is involved. ``SkipGramModel`` is the same objective on the
/// tape, for other optimizers and devices. With the full softmax in place of noise, skip-gram is `Embedding`, `Linear` without bias and
/// `crossEntropy`.
public final class SkipGram {
    /// The words that have vectors.
    public let vocabulary: WordVocabulary
    /// How training goes.
    public let options: SkipGramOptions
    /// The known words of the text by id, and where sentences begin; longer ones are cut.
    let tokens: [Int32]
    let starts: [Int64]
    /// `[vocabulary, rowWidth]`: rows are whole cache lines, past the vectors' end 0.
    var centers, contexts: Tensor
    let noise: [tk_alias]
    let keep: [UInt32]
    var epochsBegun = 0

    private static let longestSentence = 10_000

    /// Counts the words and draws the first vectors, uniform in ±1/2 divided by the width; those of contexts are 0. Throws ``WordVectorError`` if no
    /// word occurs often enough. Words that do not are passed over, as if the text were without them.
    public convenience init(_ sentences: some Collection<[String]>, options: SkipGramOptions = SkipGramOptions()) throws {
        options.check()
        let vocabulary = try WordVocabulary(sentences, minimumCount: options.minimumCount)
        self.init(sentences, vocabulary, options)
    }

    init(_ sentences: some Collection<[String]>, _ vocabulary: WordVocabulary, _ options: SkipGramOptions) {
        (self.vocabulary, self.options) = (vocabulary, options)
        var tokens: [Int32] = [], starts: [Int64] = [0]
        for sentence in sentences {
            for word in sentence {
                if let id = vocabulary.id(of: word) { tokens.append(Int32(id)) }
                if tokens.count - Int(starts.last!) == Self.longestSentence { starts.append(Int64(tokens.count)) }
            }
            if tokens.count > Int(starts.last!) { starts.append(Int64(tokens.count)) }
        }
        (self.tokens, self.starts) = (tokens, starts)
        noise = aliasTable(vocabulary.counts.map { pow(Double($0), options.noiseExponent) })
        keep = keptShares(vocabulary.counts, threshold: options.subsampling)
        let rowWidth = (options.width + 15) / 16 * 16, bound = 0.5 / Double(options.width)
        centers = Tensor(zeros: [vocabulary.count, rowWidth])
        contexts = Tensor(zeros: [vocabulary.count, rowWidth])
        centers[0..., 0..<options.width] = Tensor(
            uniform: [vocabulary.count, options.width], low: -bound, high: bound, generator: RandomGenerator(seed: options.seed))
    }

    /// The vectors of the words as they are now.
    public var vectors: WordVectors { WordVectors(words: vocabulary.words, vectors: table(centers)) }
    /// The vectors of the words as contexts, `[vocabulary, width]`: what vectors are multiplied by in training.
    public var contextVectors: Tensor { table(contexts) }

    private func table(_ rows: Tensor) -> Tensor { rows[0..., 0..<options.width].contiguous() }

    /// Known words in the text.
    public var wordCount: Int { tokens.count }
    /// Sentences, without empty ones.
    public var sentenceCount: Int { starts.count - 1 }

    /// Calls `body` with the model as the kernels know it.
    func withModel<R>(_ body: (UnsafePointer<tk_skip_gram_model>) throws -> R) rethrows -> R {
        let width = centers.shape[1]
        return try centers.withUnsafeMutableBytes { a in
            try contexts.withUnsafeMutableBytes { b in
                try noise.withUnsafeBufferPointer { noise in
                    try keep.withUnsafeBufferPointer { keep in
                        var model = tk_skip_gram_model(
                            width: Int64(width), vocabulary: Int64(vocabulary.count),
                            centers: a.baseAddress!.assumingMemoryBound(to: Float.self),
                            contexts: b.baseAddress!.assumingMemoryBound(to: Float.self), noise: noise.baseAddress,
                            keep: options.subsampling > 0 ? keep.baseAddress : nil, window: Int32(options.window),
                            negatives: Int32(options.negatives))
                        return try body(&model)
                    }
                }
            }
        }
    }

    /// Sentences of an epoch, counted from the model's first, at rates that fall from `rate`.
    func withRun<R>(
        _ sentences: Range<Int>, epoch: Int, rate: Double = 0, slope: Double = 0, _ body: (tk_skip_gram_run) throws -> R
    ) rethrows -> R {
        // An epoch draws from streams of its own.
        let seed = RandomGenerator(seed: options.seed).split(UInt64(epoch)).state.seed
        return try tokens.withUnsafeBufferPointer { tokens in
            try starts.withUnsafeBufferPointer { starts in
                try body(
                    tk_skip_gram_run(
                        tokens: tokens.baseAddress, starts: starts.baseAddress, first: Int64(sentences.lowerBound),
                        last: Int64(sentences.upperBound), seed: seed, rate: rate, slope: slope,
                        floor: options.finalLearningRate))
            }
        }
    }
}
