import Foundation
import Tapestry

/// Skip-gram with negative sampling as word2vec and gensim train it; see gensim_bench.py.
extension Workloads {
    static let skipGram: [Workload] = ["", "_hogwild"].map { kind in
        Workload("w2v", "w2v_sgns" + kind) {
            let vocabulary = 50_000, words = 300_000
            // Every word once, then words by Zipf's law.
            var sums: [Double] = [], sum = 0.0
            for rank in 1...vocabulary {
                sum += 1 / Double(rank)
                sums.append(sum)
            }
            let draws = Tensor(uniform: [words - vocabulary], low: 0, high: sum, dtype: .float64).scalars(Double.self)
            let ids =
                Array(0..<vocabulary)
                + draws.map { draw in
                    var low = 0, high = vocabulary - 1
                    while low < high {
                        let middle = (low + high) / 2
                        if sums[middle] < draw { low = middle + 1 } else { high = middle }
                    }
                    return low
                }
            let sentences = stride(from: 0, to: words, by: 20).map { start in ids[start..<(start + 20)].map { "w\($0)" } }
            var options = SkipGramOptions()
            (options.width, options.minimumCount, options.subsampling, options.epochs) = (300, 1, 0, 1)
            options.workers = kind.isEmpty ? 1 : Configuration.threadCount
            let model = try SkipGram(sentences, options: options)
            // Sentences of 20 with windows of 1 to 5 words on either side: 5.3 pairs a word, each with 6 rows of 300 numbers read twice and written.
            return Timed(
                shape: "V50000 D300 neg5 window5, 300,000 words, \(options.workers) workers",
                flops: 5.3 * 6 * 300 * 6 * Double(words),
                items: ("words", Double(words))
            ) { model.train() }
        }
    }
}
