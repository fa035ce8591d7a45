import CKernels
import CoreTensor

extension SkipGram {
    private static let wordsPerBlock = 100_000

    /// Trains for the options' epochs; see ``train(progress:)``.
    public func train() { train { _ in } }

    /// Trains for the options' epochs, and calls `progress` every 100,000 words or so; what that throws ends training there. Called again, it goes
    /// on with other random numbers, from the first learning rate.
    public func train(progress: (SkipGramProgress) throws -> Void) rethrows {
        let total = tokens.count * options.epochs, slope = (options.learningRate - options.finalLearningRate) / Double(total)
        for epoch in 0..<options.epochs {
            let stream = epochsBegun
            epochsBegun += 1
            var first = 0
            while first < sentenceCount {
                let end = sentence(atOrAfter: Int(starts[first]) + Self.wordsPerBlock)
                let before = epoch * tokens.count + Int(starts[first])
                let sums = trainBlock(first..<end, stream, options.learningRate - slope * Double(before), slope)
                let words = epoch * tokens.count + Int(starts[end])
                try progress(
                    SkipGramProgress(
                        words: words, total: total, pairs: sums.pairs, loss: sums.loss / Double(max(sums.pairs, 1)),
                        learningRate: options.learningRate - slope * Double(words)))
                first = end
            }
        }
    }

    /// The first sentence that begins at a word or after it, or the number of sentences.
    private func sentence(atOrAfter word: Int) -> Int {
        var low = 0, high = sentenceCount
        while low < high {
            let middle = (low + high) / 2
            if Int(starts[middle]) < word { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func trainBlock(_ sentences: Range<Int>, _ epoch: Int, _ rate: Double, _ slope: Double) -> (loss: Double, pairs: Int)
    {
        // Parts of about as many words for the workers.
        let low = Int(starts[sentences.lowerBound]), words = Int(starts[sentences.upperBound]) - low
        var cuts = (0...options.workers).map { sentence(atOrAfter: low + words * $0 / options.workers) }
        (cuts[0], cuts[options.workers]) = (sentences.lowerBound, sentences.upperBound)
        return withModel { model in
            withRun(sentences, epoch: epoch) { whole in
                let runs = zip(cuts, cuts.dropFirst()).filter { $0 < $1 }.map { first, last in
                    var run = whole
                    (run.first, run.last, run.slope) = (Int64(first), Int64(last), slope)
                    run.rate = rate - slope * Double(Int(starts[first]) - low)
                    return run
                }
                var sums = [tk_skip_gram_sums](repeating: tk_skip_gram_sums(), count: runs.count)
                tk_skip_gram_train(model, runs, Int64(runs.count), &sums)
                return (sums.reduce(0) { $0 + $1.loss }, sums.reduce(0) { $0 + Int($1.pairs) })
            }
        }
    }

    /// The pairs and their noise that one epoch of training takes from some sentences, in its order: for ``SkipGramModel``, and to see what is
    /// learned. The next call of ``train(progress:)`` begins with the epoch that it has not seen yet, at first 0.
    public func pairs(sentences: Range<Int>, epoch: Int) -> SkipGramPairs {
        if sentences.lowerBound < 0 || sentences.upperBound > sentenceCount || epoch < 0 {
            fail("SkipGram.pairs", "sentences \(sentences) of \(sentenceCount), epoch \(epoch)")
        }
        let columns = 2 + options.negatives
        let words: [Int32] = withModel { model in
            withRun(sentences, epoch: epoch) { run in
                withUnsafePointer(to: run) { run in
                    let count = Int(tk_skip_gram_pairs(model, run, nil, 0))
                    return [Int32](unsafeUninitializedCapacity: count * columns) { memory, filled in
                        if count > 0 { tk_skip_gram_pairs(model, run, memory.baseAddress, Int64(count)) }
                        filled = count * columns
                    }
                }
            }
        }
        let table = Tensor(words, shape: [words.count / columns, columns]).to(.int64)
        return SkipGramPairs(
            centers: table[0..., 0].contiguous(), contexts: table[0..., 1].contiguous(), negatives: table[0..., 2...].contiguous()
        )
    }

    /// The kernel's steps for given pairs, one after the other: words `[pairs, 2 + negatives]`, each row center, context and noise. Noise that is
    /// the context is passed over. Returns the mean loss.
    func step(_ words: [Int32], rate: Double) -> Double {
        let count = words.count / (2 + options.negatives)
        return withModel { tk_skip_gram_step($0, words, Int64(count), rate) } / Double(max(count, 1))
    }
}

/// Pairs of words that occur near each other, with noise for each.
public struct SkipGramPairs: Sendable {
    /// The words in the middle, `[pairs]` int64.
    public let centers: Tensor
    /// The words around them, `[pairs]` int64.
    public let contexts: Tensor
    /// Words of noise, `[pairs, negatives]` int64; now and then one is the context.
    public let negatives: Tensor
    /// The number of pairs.
    public var count: Int { centers.count }
}
