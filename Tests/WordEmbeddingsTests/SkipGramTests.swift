import CKernels
import Foundation
import Tapestry
import Testing

@testable import WordEmbeddings

/// Skip-gram by the kernel against the tape, and against what it is told to draw. The instruction set and the number of threads are the process's.
@Suite(.serialized) struct SkipGramTests {
    /// Sentences over `words` words, the more frequent the smaller, from a seed.
    private func text(_ sentences: Int, length: Int, words: Int, seed: UInt64 = 3) -> [[String]] {
        let draws = Tensor(uniform: [sentences * length], dtype: .float64, generator: RandomGenerator(seed: seed)).scalars(
            Double.self)
        return (0..<sentences).map { s in
            (0..<length).map { "w\(Int(Double(words) * Foundation.pow(draws[s * length + $0], 2)))" }
        }
    }

    private func options(_ change: (inout SkipGramOptions) -> Void) -> SkipGramOptions {
        var options = SkipGramOptions()
        (options.minimumCount, options.subsampling, options.epochs) = (1, 0, 1)
        change(&options)
        return options
    }

    /// A model with tables of random numbers, contexts too.
    private func randomModel(width: Int, negatives: Int) throws -> SkipGram {
        let model = try SkipGram(
            text(20, length: 12, words: 30), options: options { ($0.width, $0.negatives) = (width, negatives) })
        for keyPath in [\SkipGram.centers, \SkipGram.contexts] {
            model[keyPath: keyPath][0..., 0..<width] =
                Tensor(
                    normal: [model.vocabulary.count, width], generator: RandomGenerator(seed: keyPath == \.centers ? 1 : 2)) * 0.4
        }
        return model
    }

    private func tape(_ model: SkipGram) -> SkipGramModel {
        let copy = SkipGramModel(model.vocabulary.count, model.options.width, dtype: .float64)
        copy.centers.weight.value = model.vectors.vectors.to(.float64)
        copy.contexts.weight.value = model.contextVectors.to(.float64)
        return copy
    }

    private func pairs(_ words: [Int32], negatives: Int) -> SkipGramPairs {
        let table = Tensor(words.map(Int.init), shape: [words.count / (2 + negatives), 2 + negatives])
        return SkipGramPairs(centers: table[0..., 0], contexts: table[0..., 1], negatives: table[0..., 2...])
    }

    /// A step of the kernel is a step of gradient descent on the tape's loss, in float64: with every instruction set, for widths that fill no
    /// cache line, for so much noise that it goes in groups, for noise that is drawn twice, and for a word that is its own context.
    @Test func kernelStepsAreTheTapesGradientSteps() throws {
        defer { tk_set_isa_level(-1) }
        for level in [0, 1, 2] where tk_set_isa_level(Int32(level)) == Int32(level) {
            for (width, negatives) in [(5, 1), (16, 5), (20, 7), (100, 8), (33, 20), (16, 63)] {
                let model = try randomModel(width: width, negatives: negatives)
                let reference = tape(model), optimizer = SGD(reference.parameters, learningRate: 0.3)
                for step in 0..<6 {
                    let context = Int32(step + 1)
                    // Never the context; a word is drawn twice from 21 on, and at step 3 always.
                    var words = [step == 2 ? context : Int32(step), context]
                    for k in 0..<negatives { words.append((context + 1 + Int32(step == 3 ? k / 2 : k) % 20) % 22) }
                    let loss = reference.loss(pairs(words, negatives: negatives))
                    optimizer.zeroGrad()
                    loss.backward()
                    optimizer.step()
                    #expect(abs(model.step(words, rate: 0.3) - loss.item(Double.self)) < 1e-5 * Double(negatives + 1))
                }
                #expect(model.vectors.vectors.to(.float64).isClose(to: reference.centers.weight.value, rtol: 1e-5, atol: 3e-6))
                #expect(model.contextVectors.to(.float64).isClose(to: reference.contexts.weight.value, rtol: 1e-5, atol: 3e-6))
                // What lies past the vectors' end stays 0.
                for table in [model.centers, model.contexts] where width % 16 != 0 {
                    #expect(square(table[0..., width...]).sum().item(Float.self) == 0)
                }
            }
        }
    }

    /// As in word2vec.c, noise that is the context itself is passed over.
    @Test func noiseThatIsTheContextIsPassedOver() throws {
        let model = try randomModel(width: 12, negatives: 4), other = try randomModel(width: 12, negatives: 2)
        let loss = model.step([3, 5, 5, 8, 5, 9], rate: 0.2)
        #expect(abs(loss - other.step([3, 5, 8, 9], rate: 0.2)) < 1e-6)
        #expect(model.vectors.vectors.isClose(to: other.vectors.vectors, rtol: 1e-6, atol: 1e-7))
        #expect(model.contextVectors.isClose(to: other.contextVectors, rtol: 1e-6, atol: 1e-7))
    }

    @Test func lossAgreesWithItsFormulaAndFiniteDifferences() {
        let generator = RandomGenerator(seed: 4)
        func table(_ shape: Shape) -> Tensor { Tensor(normal: shape, dtype: .float64, generator: generator) }
        let v = table([3, 4]), u = table([3, 4]), n = table([3, 2, 4])
        func value(_ v: Tensor, _ u: Tensor, _ n: Tensor) -> Double {
            let (v, u, n) = (v.scalars(Double.self), u.scalars(Double.self), n.scalars(Double.self))
            func dot(_ a: ArraySlice<Double>, _ b: ArraySlice<Double>) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
            var sum = 0.0
            for row in 0..<3 {
                let center = v[(4 * row)..<(4 * row + 4)]
                sum += Foundation.log(1 + Foundation.exp(-dot(u[(4 * row)..<(4 * row + 4)], center)))
                for k in 0..<2 {
                    let start = 4 * (2 * row + k)
                    sum += Foundation.log(1 + Foundation.exp(dot(n[start..<(start + 4)], center)))
                }
            }
            return sum / 3
        }
        #expect(abs(negativeSamplingLoss(v, u, n).item(Double.self) - value(v, u, n)) < 1e-12)
        let gradients = grad(of: { negativeSamplingLoss($0, u, n) })(v).scalars(Double.self)
        let noise = grad(of: { negativeSamplingLoss(v, u, $0) })(n).scalars(Double.self)
        for i in 0..<12 {
            var step = [Double](repeating: 0, count: 12)
            step[i] = 1e-6
            let d = Tensor(step, shape: [3, 4], dtype: .float64)
            #expect(abs((value(v + d, u, n) - value(v - d, u, n)) / 2e-6 - gradients[i]) < 1e-8)
            step += [Double](repeating: 0, count: 12)
            let e = Tensor(step, shape: [3, 2, 4], dtype: .float64)
            #expect(abs((value(v, u, n + e) - value(v, u, n - e)) / 2e-6 - noise[i]) < 1e-8)
        }
    }

    /// Training takes a step for each of the pairs it says it takes, in that order.
    @Test func trainingTakesTheListedPairs() throws {
        let sentences = text(30, length: 15, words: 25)
        let settings = options {
            ($0.width, $0.window, $0.subsampling, $0.learningRate, $0.finalLearningRate) = (24, 4, 0.02, 0.05, 0.05)
        }
        let trained = try SkipGram(sentences, options: settings), stepped = try SkipGram(sentences, options: settings)
        let pairs = trained.pairs(sentences: 0..<trained.sentenceCount, epoch: 0)
        let words = concatenate([pairs.centers.unsqueezed(1), pairs.contexts.unsqueezed(1), pairs.negatives], axis: 1)
        let loss = stepped.step(words.scalars(Int.self).map(Int32.init), rate: 0.05)
        var reported: [SkipGramProgress] = []
        trained.train { reported.append($0) }
        #expect(trained.vectors.vectors.isEqual(to: stepped.vectors.vectors))
        #expect(trained.contextVectors.isEqual(to: stepped.contextVectors))
        #expect(reported.count == 1 && reported[0].pairs == pairs.count && abs(reported[0].loss - loss) < 1e-9)
        #expect(reported[0].words == trained.wordCount && reported[0].total == trained.wordCount)
    }

    /// Contexts lie in the window, which is as long as drawn; noise goes by count^0.75.
    @Test func pairsAreDrawnAsTheOptionsSay() throws {
        // A sentence in which each word is told by its place.
        let places = try SkipGram((0..<400).map { _ in (0..<50).map { "p\($0)" } }, options: options { $0.window = 5 })
        let drawn = places.pairs(sentences: 0..<places.sentenceCount, epoch: 0)
        func place(_ ids: Tensor) -> [Int] { ids.scalars(Int.self).map { Int(places.vocabulary.words[$0].dropFirst())! } }
        var byDistance = [Int](repeating: 0, count: 6)
        for (a, b) in zip(place(drawn.centers), place(drawn.contexts)) where (5..<45).contains(a) { byDistance[abs(a - b)] += 1 }
        #expect(byDistance[0] == 0)
        // A context at distance d is there when the window is at least d: (6 - d) times of 5.
        for d in 1...5 { #expect(abs(Double(byDistance[d]) / (400 * 40 * 2) - Double(6 - d) / 5) < 0.015, "distance \(d)") }

        let model = try SkipGram(text(300, length: 20, words: 40), options: options { $0.negatives = 10 })
        let noise = model.pairs(sentences: 0..<model.sentenceCount, epoch: 2).negatives.scalars(Int.self)
        var counts = [Int](repeating: 0, count: model.vocabulary.count)
        for word in noise { counts[word] += 1 }
        let weights = model.vocabulary.counts.map { Foundation.pow(Double($0), 0.75) }, total = weights.reduce(0, +)
        var chi = 0.0
        for (seen, weight) in zip(counts, weights) {
            let expected = Double(noise.count) * weight / total
            chi += (Double(seen) - expected) * (Double(seen) - expected) / expected
        }
        // The 99.99th percentile of χ² with 39 degrees of freedom is 81.
        #expect(noise.count > 100_000 && chi < 81 && counts.allSatisfy { $0 > 0 }, "χ² \(chi)")
    }

    /// Frequent words are thinned out to √(t/f) + t/f of their occurrences.
    @Test func frequentWordsAreThinnedOut() throws {
        // "a" is half of the text; the others are 1 in 200 each.
        let sentences = (0..<400).map { s in (0..<50).map { $0 % 2 == 0 ? "a" : "b\((s * 25 + $0 / 2) % 100)" } }
        let model = try SkipGram(sentences, options: options { ($0.subsampling, $0.window, $0.negatives) = (0.01, 1, 1) })
        let centers = model.pairs(sentences: 0..<model.sentenceCount, epoch: 0).centers.scalars(Int.self)
        // Within a sentence every word that is kept has two neighbours but the first and the last.
        let a = Double(centers.count { $0 == 0 }), b = Double(centers.count { $0 != 0 })
        let kept = (0.01 / 0.5).squareRoot() + 0.01 / 0.5
        #expect(model.vocabulary.words[0] == "a" && abs(a / b - kept) < 0.015, "\(a / b) for \(kept)")
        #expect(keptShares([1, 1000, 0x10_0000], threshold: 0) == [.max, .max, .max])
    }

    /// The table gives each word its share exactly, whatever the shares.
    @Test func aliasTableHasTheShares() {
        for weights in [[1.0], [1, 1, 1], [5, 1, 0.25, 100, 3, 3], (1...1000).map { 1 / Double($0) }] {
            let table = aliasTable(weights), total = weights.reduce(0, +)
            var shares = [Double](repeating: 0, count: weights.count)
            for (column, entry) in table.enumerated() {
                let own = (entry.threshold == .max ? 0x1p32 : Double(entry.threshold)) / 0x1p32
                shares[column] += own / Double(weights.count)
                shares[Int(entry.alias)] += (1 - own) / Double(weights.count)
            }
            for (share, weight) in zip(shares, weights) { #expect(abs(share - weight / total) < 1e-8) }
        }
    }

    /// One worker gives the same bits for any number of threads; several workers go over every pair.
    @Test func oneWorkerIsReproducible() throws {
        let before = Configuration.threadCount
        defer { Configuration.threadCount = before }
        let sentences = text(400, length: 12, words: 80)
        func vectors(threads: Int, seed: UInt64 = 1) throws -> Tensor {
            Configuration.threadCount = threads
            let model = try SkipGram(sentences, options: options { ($0.width, $0.epochs, $0.seed) = (32, 2, seed) })
            model.train()
            return model.vectors.vectors
        }
        let first = try vectors(threads: 1)
        let again = try vectors(threads: 1), more = try vectors(threads: 2)
        #expect(first.isEqual(to: again) && first.isEqual(to: more))
        let other = try vectors(threads: 1, seed: 2)
        #expect(!first.isEqual(to: other))

        Configuration.threadCount = 2
        func losses(workers: Int) throws -> (pairs: Int, losses: [Double]) {
            let model = try SkipGram(sentences, options: options { ($0.width, $0.epochs, $0.workers) = (32, 8, workers) })
            var pairs = 0, losses: [Double] = []
            model.train {
                pairs += $0.pairs
                losses.append($0.loss)
            }
            return (pairs, losses)
        }
        let alone = try losses(workers: 1), together = try losses(workers: 3)
        #expect(alone.pairs == together.pairs)
        #expect(alone.losses.last! < alone.losses[0] - 0.1 && abs(alone.losses.last! - together.losses.last!) < 0.1)
    }

    /// What a progress closure throws ends training.
    @Test func progressCanEndTraining() throws {
        struct Enough: Error {}
        let model = try SkipGram(text(40, length: 10, words: 20), options: options { $0.epochs = 50 })
        var reports = 0
        #expect(throws: Enough.self) {
            try model.train { _ in
                reports += 1
                if reports == 3 { throw Enough() }
            }
        }
        #expect(reports == 3)
    }

    /// Words of a theme stand together; which of its two forms a word has goes with other words. Neighbours are of the theme, and the forms
    /// stand to each other alike.
    @Test func plantedStructureIsFound() throws {
        let themes = 12, generator = RandomGenerator(seed: 8)
        let draws = Tensor(integers: 0..<1_000_000, shape: [6000, 12], generator: generator).matrix(Int.self)
        // A word "t3x" with words of theme 3 and of form x around it.
        let sentences = draws.map { d in
            let theme = d[0] % themes, form = d[1] % 2 == 0 ? "x" : "y"
            var sentence = (2..<8).map { d[$0] % 2 == 0 ? "theme\(theme)_\(d[$0] / 2 % 3)" : "form\(form)_\(d[$0] / 2 % 3)" }
            sentence.insert("t\(theme)\(form)", at: d[8] % 6)
            return sentence
        }
        let model = try SkipGram(
            sentences, options: options { ($0.width, $0.epochs, $0.learningRate, $0.negatives) = (32, 8, 0.05, 5) })
        model.train()
        let vectors = model.vectors
        var near = 0, right = 0
        for theme in 0..<themes {
            let found = try vectors.nearest(to: "theme\(theme)_0", count: 2).map(\.word)
            near += Set(found) == ["theme\(theme)_1", "theme\(theme)_2"] ? 1 : 0
            let other = (theme + 5) % themes
            right += try vectors.analogy("t\(theme)x", "t\(theme)y", "t\(other)x", count: 1)[0].word == "t\(other)y" ? 1 : 0
        }
        #expect(near >= 11 && right >= 10, "\(near) and \(right) of \(themes)")
    }

    @Test func vocabulariesAndBadInput() throws {
        let vocabulary = try WordVocabulary([["b", "a", "b"], ["c", "a", "é", "z"], []], minimumCount: 1)
        #expect(vocabulary.words == ["a", "b", "c", "z", "é"] && vocabulary.counts == [2, 2, 1, 1, 1])
        #expect(vocabulary.id(of: "c") == 2 && vocabulary.id(of: "q") == nil)
        #expect(try WordVocabulary([["b", "a", "b"]], minimumCount: 2).words == ["b"])
        #expect(throws: WordVectorError.self) { try SkipGram([["a", "b"], []]) }
        // One word has no context; sentences longer than 10,000 words are cut, none of their words is lost.
        let lonely = try SkipGram([["a"]], options: options { $0.epochs = 2 })
        lonely.train()
        #expect(lonely.pairs(sentences: 0..<1, epoch: 0).count == 0)
        let long = try SkipGram([text(1, length: 25_000, words: 9)[0]], options: options { $0.window = 1 })
        #expect(long.sentenceCount == 3 && long.wordCount == 25_000)
    }
}
