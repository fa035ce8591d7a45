import Foundation
import Tapestry
import Testing

@testable import Data

/// Orders: complete, of the right shares, and functions of seed and epoch.
@Suite struct SamplerTests {
    @Test func randomOrders() {
        let sampler = RandomSampler(50, seed: 1)
        #expect(sampler.order(epoch: 0).sorted() == Array(0..<50))
        #expect(Array(sampler.order(epoch: 0)) == Array(sampler.order(epoch: 0)))
        #expect(Array(sampler.order(epoch: 0)) != Array(sampler.order(epoch: 1)))
        #expect(Array(sampler.order(epoch: 0)) != Array(RandomSampler(50, seed: 2).order(epoch: 0)))
        let drawn = RandomSampler(10, seed: 1, replacement: true, draws: 1000).order(epoch: 0)
        #expect(drawn.count == 1000 && Set(drawn) == Set(0..<10))
        #expect(Set(RandomSampler(10, seed: 1, draws: 4).order(epoch: 0)).count == 4)
    }

    /// The order without memory is a permutation for every size, and moves indices far.
    @Test func feistelPermutations() {
        for count in [1, 2, 3, 7, 64, 1000, 4097] {
            let permutation = FeistelPermutation(count: count, key: 11)
            #expect((0..<count).map { permutation[$0] }.sorted() == Array(0..<count), "\(count)")
        }
        let large = IndexOrder(shuffling: 5_000_000_000, generator: RandomGenerator(seed: 1))
        let some = (0..<2000).map { large[$0] }
        #expect(Set(some).count == 2000 && some.allSatisfy { (0..<5_000_000_000).contains($0) })
        let mean = some.reduce(0.0) { $0 + Double($1) } / 2000
        // The mean of 2000 uniform numbers: within 4 standard deviations of the middle.
        #expect(abs(mean - 2.5e9) < 4 * 5e9 / (12.0 * 2000).squareRoot())
    }

    @Test func weights() {
        let weights = [0, 1, 3, 0, 6.0]
        let counts = WeightedSampler(weights, draws: 20_000, seed: 4).order(epoch: 0).reduce(into: [0, 0, 0, 0, 0]) {
            $0[$1] += 1
        }
        for (count, weight) in zip(counts, weights) {
            let p = weight / 10, sigma = (20_000 * p * (1 - p)).squareRoot()
            #expect(abs(Double(count) - 20_000 * p) <= 4 * sigma)
        }
        let once = WeightedSampler(weights, draws: 3, replacement: false, seed: 4)
        #expect(Set(once.order(epoch: 0)) == [1, 2, 4])
        // Without replacement the heaviest comes first in its share of the draws: 0.6.
        let first = (0..<2000).count { once.order(epoch: $0)[0] == 4 }
        #expect(abs(Double(first) - 1200) < 4 * (2000 * 0.6 * 0.4).squareRoot())
    }

    @Test func strata() {
        let labels = (0..<100).map { $0 < 80 ? 0 : $0 < 95 ? 1 : 2 }
        let order = StratifiedSampler(labels: labels, seed: 2).order(epoch: 1)
        #expect(order.sorted() == Array(0..<100))
        for batch in stride(from: 0, to: 100, by: 20) {
            let classes = order[batch..<(batch + 20)].map { labels[$0] }
            #expect((15...17).contains(classes.count { $0 == 0 }))
            #expect((2...4).contains(classes.count { $0 == 1 }))
            #expect((0...2).contains(classes.count { $0 == 2 }))
        }
    }

    @Test func sharesOfProcesses() {
        let base = RandomSampler(23, seed: 9)
        let shares = (0..<4).map { Array(DistributedSampler(base, rank: $0, world: 4).order(epoch: 2)) }
        #expect(shares.allSatisfy { $0.count == 6 })
        #expect(Set(shares.flatMap { $0 }) == Set(0..<23))
        let cut = (0..<4).flatMap { Array(DistributedSampler(base, rank: $0, world: 4, dropLast: true).order(epoch: 2)) }
        #expect(cut.count == 20 && Set(cut).count == 20)
        // More processes than samples.
        #expect((0..<30).allSatisfy { DistributedSampler(base, rank: $0, world: 30).order(epoch: 0).count == 1 })
    }

    @Test func buckets() {
        let lengths = (0..<200).map { ($0 * 37) % 90 + 1 }
        let plan = BucketedBatches(lengths: lengths, limit: .tokens(256), poolSize: 100, seed: 3).batches(epoch: 0)
        #expect(plan.flatMap { $0 }.sorted() == Array(0..<200))
        var paddedTokens = 0
        for batch in plan {
            let longest = batch.map { lengths[$0] }.max()!
            #expect(batch.count * longest <= 256)
            paddedTokens += batch.count * longest
        }
        #expect(Double(lengths.reduce(0, +)) / Double(paddedTokens) > 0.9)
        let fixed = BucketedBatches(lengths: lengths, limit: .samples(16), dropLast: true, seed: nil).batches(epoch: 0)
        #expect(fixed.count == 12 && fixed.allSatisfy { $0.count == 16 })
    }

    @Test func packing() throws {
        let batch = try packed([[1, 2, 3], [], [4], [5, 6], [7, 8, 9, 10]], length: 5, padding: -1)
        #expect(batch.rows == [[4, 2], [0, 3]])
        #expect(batch.tokens.matrix(Int.self) == [[7, 8, 9, 10, 4], [1, 2, 3, 5, 6]])
        #expect(batch.segments.matrix(Int.self) == [[1, 1, 1, 1, 2], [1, 1, 1, 2, 2]])
        #expect(batch.positions.matrix(Int.self) == [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1]])
        let mask = try packed([[1, 2], [3]], length: 4).attentionMask()[0].to(.int32).matrix(Int32.self)
        #expect(mask == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        #expect(throws: CollateError.self) { try packed([[1, 2, 3]], length: 2) }
        #expect(throws: CollateError.self) { try packed([[]], length: 2) }
        // Attention over a packed row is that over its sequences one by one.
        let q = Tensor(normal: [1, 5, 8], generator: RandomGenerator(seed: 1))
        let together = scaledDotProductAttention(q, q, q, mask: try packed([[1, 2, 3], [4, 5]], length: 5).attentionMask())
        for range in [0..<3, 3..<5] {
            let part = q.narrowed(axis: 1, start: range.lowerBound, length: range.count)
            let alone = scaledDotProductAttention(part, part, part, causal: true)
            #expect(
                together.narrowed(axis: 1, start: range.lowerBound, length: range.count).isClose(
                    to: alone, rtol: 1e-5, atol: 1e-6))
        }
    }

    @Test func splits() async throws {
        let (train, test) = ArrayDataset(Array(0..<100)).split(holdingOut: 0.2, seed: 1)
        #expect(train.count == 80 && test.count == 20)
        #expect(Set(train.indices).isDisjoint(with: test.indices))
        let joined = ConcatenatedDataset([train.map { $0 * 2 }, ArrayDataset([7]).subset([0])] as [any Dataset<Int>])
        #expect(joined.count == 81)
        #expect(try await joined.sample(at: 80) == 7)
        #expect(try await joined.sample(at: 3) == train.indices[3] * 2)
    }

    @Test func augmentations() {
        let image = Tensor(arange: 2 * 6 * 6).reshaped(2, 6, 6).to(.float32) + 1
        func generator(_ i: Int) -> RandomGenerator { RandomGenerator(seed: UInt64(i)) }
        let crop = RandomCrop(height: 4, width: 3)
        let corners = Set((0..<200).map { crop(image, generator($0))[0, 0, 0].item(Float.self) })
        #expect(corners.count == 3 * 4)
        #expect(crop(image, generator(1)).isEqual(to: crop(image, generator(1))))
        #expect(
            RandomCrop(height: 8, width: 8, padding: 1)(image, generator(0)).sum().item(Float.self)
                == image.sum().item(Float.self))
        #expect(RandomFlip(probability: 1)(image, generator(0))[0, 0, 0].item(Float.self) == 6)
        #expect(RandomFlip(probability: 1, axis: -2)(image, generator(0))[0, 0, 0].item(Float.self) == 31)
        let flipped = (0..<400).count { RandomFlip()(image, generator($0))[0, 0, 0].item(Float.self) == 6 }
        #expect(abs(flipped - 200) < 40)
        for i in 0..<50 {
            let holes = (Cutout(size: 2)(image, generator(i)) .== 0).sum().item(Int.self)
            #expect([2, 4, 8].contains(holes))
        }
        let normal = Normalize(mean: [1, 2], standardDeviation: [2, 4])(image)
        #expect(normal[1, 0, 0].item(Float.self) == 8.75)
        let x = Tensor(uniform: [8, 3], generator: generator(1)), y = Tensor([0, 1, 2, 3, 0, 1, 2, 3])
        let (mixed, soft) = mixup(x, y, alpha: 0.4, classes: 4, generator: generator(2))
        #expect(mixed.shape == [8, 3])
        #expect(soft.sum(1).isClose(to: Tensor(ones: [8]), rtol: 1e-5))
        // The labels' shares are the inputs': both are the same mixture.
        #expect(abs(mixed.sum().item(Double.self) - x.sum().item(Double.self)) < 1e-4)
        // Moments of Beta(2, 3): mean 0.4, variance 0.04.
        let draws = RandomGenerator(seed: 5)
        let beta = (0..<4000).map { _ in draws.beta(2, 3) }, mean = beta.reduce(0, +) / 4000
        #expect(abs(mean - 0.4) < 4 * 0.2 / 4000.squareRoot())
        #expect(abs(beta.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 4000 - 0.04) < 0.004)
    }
}
