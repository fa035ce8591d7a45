import CKernels
import Foundation
import Tapestry
import Testing

@Suite struct RandomTests {
    @Test func sameSeedSameNumbers() {
        let a = Tensor(normal: [1001], generator: RandomGenerator(seed: 3))
        let b = Tensor(normal: [1001], generator: RandomGenerator(seed: 3))
        let c = Tensor(normal: [1001], generator: RandomGenerator(seed: 4))
        #expect(a.isEqual(to: b))
        #expect(!a.isEqual(to: c))
    }

    /// The state says everything: going on from it gives the same numbers.
    @Test func stateContinues() {
        let generator = RandomGenerator(seed: 9)
        _ = Tensor(uniform: [17], generator: generator)
        let state = generator.state
        let next = (0..<3).map { _ in Tensor(normal: [5], generator: generator) }
        let again = RandomGenerator(seed: 0)
        again.state = state
        for tensor in next { #expect(tensor.isEqual(to: Tensor(normal: [5], generator: again))) }
    }

    @Test func moments() {
        let generator = RandomGenerator(seed: 1)
        let n = Tensor(normal: [200_000], mean: 2, standardDeviation: 3, dtype: .float64, generator: generator)
        #expect(Swift.abs(n.mean().item(Double.self) - 2) < 0.03)
        #expect(Swift.abs(n.standardDeviation().item(Double.self) - 3) < 0.03)
        let standard = (n - 2) / 3
        #expect(Swift.abs(pow(standard, 3).mean().item(Double.self)) < 0.03)
        #expect(Swift.abs(pow(standard, 4).mean().item(Double.self) - 3) < 0.08)
        let u = Tensor(uniform: [200_000], low: -1, high: 3, generator: generator)
        #expect(u.min().item(Double.self) >= -1)
        #expect(u.max().item(Double.self) < 3)
        #expect(Swift.abs(u.mean().item(Double.self) - 1) < 0.02)
        let i = Tensor(integers: -2..<3, shape: [50_000], generator: generator)
        for value in -2..<3 { #expect(Swift.abs((i .== value).to(.float64).mean().item(Double.self) - 0.2) < 0.01) }
    }

    @Test func permutationsAreUniform() {
        let generator = RandomGenerator(seed: 5)
        var counts = [[Int]: Int]()
        for _ in 0..<6000 { counts[Tensor(permutation: 3, generator: generator).scalars(Int.self), default: 0] += 1 }
        #expect(counts.count == 6)
        for count in counts.values { #expect(Swift.abs(count - 1000) < 130) }
    }

    @Test func multinomialFollowsTheWeights() {
        let generator = RandomGenerator(seed: 6)
        let draws = Tensor([0.1, 0, 0.6, 0.3]).expanded(to: [20_000, 4]).multinomial(generator: generator)
        for (index, share) in [0.1, 0, 0.6, 0.3].enumerated() {
            #expect(Swift.abs((draws .== index).to(.float64).mean().item(Double.self) - share) < 0.015)
        }
    }

    @Test func dropoutKeepsTheMean() {
        let x = Tensor(ones: [100_000], requiresGrad: true)
        let y = dropout(x, probability: 0.3, generator: RandomGenerator(seed: 7))
        #expect(Swift.abs((y .== 0).to(.float64).mean().item(Double.self) - 0.3) < 0.01)
        #expect(Swift.abs(y.mean().item(Double.self) - 1) < 0.01)
        y.sum().backward()
        #expect(x.grad!.isEqual(to: y.detached()))
        #expect(dropout(x, probability: 0.3, training: false).isEqual(to: x))
    }

    /// Streams of split generators are their own.
    @Test func splitsDiffer() {
        let parent = RandomGenerator(seed: 8)
        let a = Tensor(uniform: [100], generator: parent.split(0)), b = Tensor(uniform: [100], generator: parent.split(1))
        #expect(!a.isEqual(to: b))
        #expect(a.isEqual(to: Tensor(uniform: [100], generator: parent.split(0))))
    }

    /// Salmon et al.'s reference vectors for Philox 4x32-10 (Random123's kat_vectors).
    @Test func philoxVectors() {
        func philox(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
            var out = [UInt32](repeating: 0, count: 4)
            tk_philox4x32(counter, key, &out)
            return out
        }
        #expect(philox([0, 0, 0, 0], [0, 0]) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
        let ones = UInt32.max
        #expect(philox([ones, ones, ones, ones], [ones, ones]) == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
        #expect(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0])
                == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
    }
}
