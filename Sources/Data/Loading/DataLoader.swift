import CoreTensor
import Synchronization

/// Batches of a data set, loaded ahead by workers while the last one is computed with.
///
/// ```swift
/// let loader = DataLoader(dataset, batchSize: 64, shuffle: true, seed: 7, workers: 4)
/// for epoch in 0..<10 {
///     for try await (images, labels) in loader { … }
/// }
/// ```
///
/// Each loop over the loader is an epoch of its own, with an order of its own. The batches, random transforms included, are the same for any
/// number of workers, as all chance is keyed by the seed, the epoch and the sample's index. Workers have threads of their own; leaving
/// the loop ends them. ``state`` is the place in the data, with which a checkpoint goes on in the middle of an epoch.
public final class DataLoader<Batch: Sendable>: AsyncSequence, Sendable {
    /// A batch.
    public typealias Element = Batch
    /// Loading may fail in any way that a data set does.
    public typealias Failure = any Error

    /// The number of workers; 0 loads each batch when it is asked for.
    public let workers: Int
    /// Batches that each worker may be ahead.
    public let prefetch: Int
    private let badSamples: BadSamplePolicy
    private let plan: @Sendable (_ epoch: Int) -> BatchPlan
    private let load: @Sendable (_ epoch: Int, _ position: Int, _ indices: [Int]) async throws -> LoadedBatch<Batch>
    private let progress = Mutex(LoaderProgress())

    /// - Parameters:
    ///   - batches: which samples are in which batch.
    ///   - seed: of the transforms' random numbers (samplers have seeds of their own).
    ///   - workers: threads that load; 0: the caller's.
    ///   - prefetch: batches that each worker may be ahead (PyTorch's `prefetch_factor`); at most `workers · prefetch` wait.
    ///   - retries: how often a sample that throws is asked for again, as for a network that fails now and then.
    ///   - badSamples: what happens when a sample throws nevertheless.
    ///   - transform: random augmentation of a sample; the generator is the sample's own in this epoch.
    ///   - collate: makes a batch of samples.
    ///
    /// Traps on a negative number of workers or retries and on a prefetch below 1.
    public init<D: Dataset>(
        _ dataset: D, batches: any BatchSampler, seed: UInt64 = 0, workers: Int = 0, prefetch: Int = 2, retries: Int = 0,
        badSamples: BadSamplePolicy = .stop, transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)? = nil,
        collate: @escaping @Sendable ([D.Sample], BatchContext) throws -> Batch
    ) {
        if workers < 0 || prefetch < 1 || retries < 0 {
            fail("DataLoader", "\(workers) workers, \(prefetch) batches ahead, \(retries) retries; must be at least 0, 1 and 0")
        }
        self.workers = workers
        self.prefetch = prefetch
        self.badSamples = badSamples
        plan = { batches.batches(epoch: $0) }
        let source = SampleSource(
            dataset: dataset, seed: seed, retries: retries, skips: badSamples != .stop, transform: transform, collate: collate)
        load = { try await source.load(epoch: $0, position: $1, indices: $2) }
    }

    /// The batches of one epoch.
    public func batchCount(epoch: Int = 0) -> Int { plan(epoch).count }

    /// The place after the batch handed out last; the place to go on from, when it is put into a checkpoint. Setting it makes the next loop
    /// begin there; a loop that is running is not changed.
    public var state: DataLoaderState {
        get { progress.withLock { $0.state } }
        set { progress.withLock { $0.set(newValue) } }
    }

    /// What loading took so far, over all loops.
    public var statistics: DataLoaderStatistics { progress.withLock { $0.statistics } }

    /// Begins an epoch: the one in ``state`` if that was just set, otherwise the next one, from its first batch.
    public func makeAsyncIterator() -> Iterator {
        Iterator(session: Session(self, progress.withLock { $0.begin() }))
    }

    /// The batches of one loop.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let session: Session

        /// The next batch, nil after the last. Throws ``DataLoaderError`` for a sample that cannot be loaded.
        public mutating func next() async throws -> Batch? { try await session.next() }
        /// The same, called from an actor.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Batch? {
            try await session.next(isolation: actor)
        }
    }

    /// One loop. The workers end with it.
    fileprivate final class Session {
        private let loader: DataLoader
        private let epoch: Int
        private let plan: BatchPlan
        private var position: Int
        private let prefetcher: Prefetcher<LoadedBatch<Batch>>?
        private var isOver = false

        init(_ loader: DataLoader, _ state: DataLoaderState) {
            self.loader = loader
            epoch = state.epoch
            position = state.batch
            let plan = loader.plan(state.epoch), load = loader.load, epoch = epoch
            self.plan = plan
            // No more workers than batches.
            let workers = Swift.min(loader.workers, plan.count - position)
            prefetcher =
                workers <= 0
                ? nil
                : Prefetcher(first: position, end: plan.count, workers: workers, depth: workers * loader.prefetch) {
                    .output(try await load(epoch, $0, plan[$0]))
                }
        }

        deinit { prefetcher?.cancel() }

        func next(isolation: isolated (any Actor)? = #isolation) async throws -> Batch? {
            while !isOver {
                let began = ContinuousClock.now
                let loaded: LoadedBatch<Batch>?
                do {
                    if let prefetcher {
                        loaded = try await prefetcher.next()
                    } else if position < plan.count {
                        try Task.checkCancellation()
                        loaded = try await loader.load(epoch, position, plan[position])
                    } else {
                        loaded = nil
                    }
                } catch {
                    isOver = true
                    throw error
                }
                guard let loaded else { break }
                position += 1
                let waited = ContinuousClock.now - began, state = DataLoaderState(epoch: epoch, batch: position)
                let skipped = loader.progress.withLock {
                    $0.took(loaded.load, waited: waited, now: state)
                    return $0.statistics.skippedSamples
                }
                if case .skip(let limit) = loader.badSamples, skipped > limit, let last = loaded.load.skipped.last {
                    isOver = true
                    throw last
                }
                // A batch of which no sample could be loaded is left out.
                if let batch = loaded.batch { return batch }
            }
            isOver = true
            return nil
        }
    }
}
