import CoreTensor

/// An epoch's batches, each the indices of its samples; made as they are asked for.
public struct BatchPlan: RandomAccessCollection, Sendable {
    private let length: Int
    private let batch: @Sendable (Int) -> [Int]

    /// `count` batches, of which `batch` gives the indices of the one at a position.
    public init(count: Int, _ batch: @escaping @Sendable (_ position: Int) -> [Int]) {
        length = count
        self.batch = batch
    }

    /// These batches.
    public init(_ batches: [[Int]]) { self.init(count: batches.count) { batches[$0] } }

    /// 0.
    public var startIndex: Int { 0 }
    /// The number of batches.
    public var endIndex: Int { length }
    /// The indices of a batch.
    public subscript(position: Int) -> [Int] { batch(position) }
}

/// How an epoch's samples are put into batches: a function of the epoch's number alone.
public protocol BatchSampler: Sendable {
    /// The batches of epoch `epoch` in order.
    func batches(epoch: Int) -> BatchPlan
}

/// Batches of one size in a sampler's order.
public struct FixedBatches: BatchSampler {
    /// The order of the samples.
    public let sampler: any Sampler
    /// Samples per batch.
    public let size: Int
    /// Leaves out a last batch of fewer samples.
    public let dropLast: Bool

    /// Traps on a size below 1.
    public init(_ sampler: any Sampler, size: Int, dropLast: Bool = false) {
        if size < 1 { fail("FixedBatches", "batches of \(size) samples") }
        (self.sampler, self.size, self.dropLast) = (sampler, size, dropLast)
    }

    /// The order cut into pieces.
    public func batches(epoch: Int) -> BatchPlan {
        let order = sampler.order(epoch: epoch), size = size
        return BatchPlan(count: dropLast ? order.count / size : (order.count + size - 1) / size) { position in
            Array(order[(position * size)..<min((position + 1) * size, order.count)])
        }
    }
}

/// Batches of samples of similar lengths, so that little is padded: the order is cut into pools of some batches, each pool is sorted by
/// length and cut into batches, and the batches are shuffled (tensor2tensor's bucketing, fairseq's `batch_by_size`).
public struct BucketedBatches: BatchSampler {
    /// How much goes into a batch.
    public enum Limit: Sendable, Equatable {
        /// This many samples.
        case samples(Int)
        /// This many tokens after padding (samples times the longest); a longer sample is a batch of its own.
        case tokens(Int)
    }

    /// The length of each sample.
    public let lengths: [Int]
    /// How much goes into a batch.
    public let limit: Limit
    /// Samples per pool: more means less padding and less chance.
    public let poolSize: Int
    /// Leaves out batches of fewer samples than the limit (for a limit of samples).
    public let dropLast: Bool
    /// The seed of the orders; nil: lengths in order, batches unshuffled, as for evaluation.
    public let seed: UInt64?

    /// Traps on limits and pools below 1 and on negative lengths.
    public init(lengths: [Int], limit: Limit, poolSize: Int = 4096, dropLast: Bool = false, seed: UInt64?) {
        let most =
            switch limit {
            case .samples(let n), .tokens(let n): n
            }
        if most < 1 || poolSize < 1 { fail("BucketedBatches", "a limit of \(most) and pools of \(poolSize) samples") }
        if let wrong = lengths.firstIndex(where: { $0 < 0 }) {
            fail("BucketedBatches", "a length of \(lengths[wrong]) at \(wrong)")
        }
        (self.lengths, self.limit, self.poolSize, self.dropLast, self.seed) = (lengths, limit, poolSize, dropLast, seed)
    }

    /// The epoch's batches; every sample is in one of them, unless `dropLast` leaves it out.
    public func batches(epoch: Int) -> BatchPlan {
        let generator = epochGenerator(seed ?? 0, epoch)
        let order =
            seed == nil ? IndexOrder(count: lengths.count) { $0 } : IndexOrder(shuffling: lengths.count, generator: generator)
        var batches: [[Int]] = []
        for start in stride(from: 0, to: order.count, by: poolSize) {
            // Sorting is stable in length and place, so the result is the same everywhere.
            let pool = order[start..<min(start + poolSize, order.count)].enumerated()
                .sorted { (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset) }.map(\.element)
            var batch: [Int] = []
            for index in pool {
                let isFull =
                    switch limit {
                    case .samples(let n): batch.count == n
                    case .tokens(let n): !batch.isEmpty && (batch.count + 1) * lengths[index] > n
                    }
                if isFull {
                    batches.append(batch)
                    batch = []
                }
                batch.append(index)
            }
            if !batch.isEmpty { batches.append(batch) }
        }
        if dropLast, case .samples(let n) = limit { batches.removeAll { $0.count < n } }
        if seed == nil { return BatchPlan(batches) }
        let shuffled = IndexOrder(shuffling: batches.count, generator: generator)
        return BatchPlan(shuffled.map { batches[$0] })
    }
}
