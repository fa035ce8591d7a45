import CoreTensor
import Foundation

/// The order of an epoch's indices: a function of the epoch's number alone, so that every run and every worker sees the same.
public protocol Sampler: Sendable {
    /// The indices of epoch `epoch` (0, 1, 2 …) in order.
    func order(epoch: Int) -> IndexOrder
}

/// `0 ..< count` in order.
public struct SequentialSampler: Sampler {
    /// The number of indices.
    public let count: Int
    /// All indices below `count`.
    public init(_ count: Int) { self.count = count }
    /// The same in every epoch.
    public func order(epoch: Int) -> IndexOrder { IndexOrder(count: count) { $0 } }
}

/// Every index once per epoch, in an order drawn from the seed and the epoch's number; with `replacement` each index is drawn by itself.
public struct RandomSampler: Sampler {
    /// The number of samples to choose from.
    public let count: Int
    /// Indices per epoch.
    public let draws: Int
    /// Whether an index may come twice.
    public let replacement: Bool
    /// The seed of the orders.
    public let seed: UInt64

    /// - Parameter draws: indices per epoch; nil: as many as there are samples. Traps if there are more than that without replacement.
    public init(_ count: Int, seed: UInt64, replacement: Bool = false, draws: Int? = nil) {
        let draws = draws ?? count
        if count < 0 || draws < 0 || (!replacement && draws > count) || (count == 0 && draws > 0) {
            fail("RandomSampler", "\(draws) draws \(replacement ? "with" : "without") replacement of \(count) samples")
        }
        (self.count, self.seed, self.replacement, self.draws) = (count, seed, replacement, draws)
    }

    /// The epoch's order: a permutation, or independent draws.
    public func order(epoch: Int) -> IndexOrder {
        let generator = epochGenerator(seed, epoch)
        if replacement {
            if draws == 0 { return IndexOrder([]) }
            return IndexOrder(Tensor(integers: 0..<count, shape: [draws], generator: generator).scalars(Int.self))
        }
        let order = IndexOrder(shuffling: count, generator: generator)
        return draws == count ? order : IndexOrder(count: draws) { order[$0] }
    }
}

/// Indices drawn in proportion to their weights (PyTorch's `WeightedRandomSampler`), as for classes of unequal size.
public struct WeightedSampler: Sampler {
    /// The weight of each index; they need not add up to 1.
    public let weights: [Double]
    /// Indices per epoch.
    public let draws: Int
    /// Whether an index may come twice.
    public let replacement: Bool
    /// The seed of the draws.
    public let seed: UInt64
    private let cumulative: [Double]

    /// Traps on weights that are negative, not finite or all 0, and on more draws without replacement than weights above 0.
    public init(_ weights: [Double], draws: Int? = nil, replacement: Bool = true, seed: UInt64) {
        if let wrong = weights.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
            fail("WeightedSampler", "a weight of \(weights[wrong]) at index \(wrong); weights must be finite and not below 0")
        }
        let positive = weights.count { $0 > 0 }, draws = draws ?? weights.count
        if draws < 0 || positive == 0 || (!replacement && draws > positive) {
            fail(
                "WeightedSampler",
                "\(draws) draws \(replacement ? "with" : "without") replacement of \(positive) samples with a weight above 0")
        }
        (self.weights, self.draws, self.replacement, self.seed) = (weights, draws, replacement, seed)
        cumulative = weights.reduce(into: []) { $0.append(($0.last ?? 0) + $1) }
    }

    /// The epoch's draws. Without replacement by Efraimidis and Spirakis ("Weighted random sampling with a reservoir", 2006): the
    /// largest keys log(u) / w.
    public func order(epoch: Int) -> IndexOrder {
        let generator = epochGenerator(seed, epoch)
        if replacement {
            let total = cumulative.last!
            let uniform = Tensor(uniform: [draws], dtype: .float64, generator: generator).scalars(Double.self)
            return IndexOrder(
                uniform.map { draw in
                    // The first index whose cumulative weight is above the draw.
                    let target = draw * total
                    var low = 0, high = cumulative.count - 1
                    while low < high {
                        let middle = (low + high) / 2
                        if cumulative[middle] > target { high = middle } else { low = middle + 1 }
                    }
                    // Rounding may end on a weight of 0 behind the last one above it.
                    while weights[low] == 0 { low -= 1 }
                    return low
                })
        }
        let uniform = Tensor(uniform: [weights.count], dtype: .float64, generator: generator).scalars(Double.self)
        let keys = weights.indices.filter { weights[$0] > 0 }.map {
            (index: $0, key: log(max(uniform[$0], .leastNormalMagnitude)) / weights[$0])
        }
        return IndexOrder(keys.sorted { ($0.key, $1.index) > ($1.key, $0.index) }.prefix(draws).map(\.index))
    }
}

/// Every index once per epoch, each class shuffled by itself and spread evenly over the epoch, so that a batch has the classes in the
/// proportion of the whole, as far as whole samples allow.
public struct StratifiedSampler: Sampler {
    private let classes: [[Int]]
    /// The seed of the orders.
    public let seed: UInt64

    /// - Parameter labels: the class of each sample.
    public init(labels: [Int], seed: UInt64) {
        let groups = Dictionary(grouping: labels.indices, by: { labels[$0] })
        classes = groups.sorted { $0.key < $1.key }.map(\.value)
        self.seed = seed
    }

    /// The epoch's order: sample j of a class of n has its place at (j + u) / n of the epoch, u drawn for the class.
    public func order(epoch: Int) -> IndexOrder {
        let generator = epochGenerator(seed, epoch)
        var placed: [(place: Double, index: Int)] = []
        for members in classes {
            let order = Tensor(permutation: members.count, generator: generator).scalars(Int.self)
            let offset = Tensor(uniform: [1], dtype: .float64, generator: generator).item(Double.self)
            for (j, member) in order.enumerated() {
                placed.append(((Double(j) + offset) / Double(members.count), members[member]))
            }
        }
        return IndexOrder(placed.sorted { ($0.place, $0.index) < ($1.place, $1.index) }.map(\.index))
    }
}

/// One process's share of another sampler's order (PyTorch's `DistributedSampler`): every `world`-th index from `rank` on. All shares are
/// of one size: the order is filled up from its beginning, or with `dropLast` cut.
public struct DistributedSampler: Sampler {
    /// The order that is shared out; its seed must be the same in all processes.
    public let base: any Sampler
    /// This process, from 0.
    public let rank: Int
    /// The number of processes.
    public let world: Int
    /// Cuts what does not fill all shares.
    public let dropLast: Bool

    /// Traps unless `rank` is in `0 ..< world`.
    public init(_ base: any Sampler, rank: Int, world: Int, dropLast: Bool = false) {
        if world < 1 || !(0..<world).contains(rank) { fail("DistributedSampler", "rank \(rank) of \(world) processes") }
        (self.base, self.rank, self.world, self.dropLast) = (base, rank, world, dropLast)
    }

    /// The share of this process.
    public func order(epoch: Int) -> IndexOrder {
        let all = base.order(epoch: epoch), rank = rank, world = world
        if all.isEmpty { return IndexOrder([]) }
        return IndexOrder(count: dropLast ? all.count / world : (all.count + world - 1) / world) { position in
            all[(position * world + rank) % all.count]
        }
    }
}

/// The stream of an epoch's own random numbers.
func epochGenerator(_ seed: UInt64, _ epoch: Int) -> RandomGenerator { RandomGenerator(seed: seed).split(UInt64(epoch)) }
