import CoreTensor
import Synchronization

/// Batches of a stream, read in order by one worker at a time, transformed and put together by all of them.
///
/// As ``DataLoader``: the same batches for any number of workers, each loop an epoch, ``state`` to go on from. A run that is resumed skips what it
/// had read before.
public final class StreamLoader<Batch: Sendable>: AsyncSequence, Sendable {
    /// A batch.
    public typealias Element = Batch
    /// Streams fail in any way.
    public typealias Failure = any Error

    private let workers: Int
    private let makeReader: @Sendable (_ state: DataLoaderState, _ workers: Int) -> BatchReader<Batch>
    private let progress = Mutex(LoaderProgress())

    /// - Parameters:
    ///   - batchSize: samples per batch.
    ///   - shuffleBuffer: samples that wait, of which each next one is drawn; 1 keeps the stream's order.
    ///   - dropLast: leaves out a last batch of fewer samples.
    ///   - seed: of the shuffling and the transforms.
    ///   - workers: threads that load; 0: the caller's.
    ///   - prefetch: batches that each worker may be ahead.
    ///   - transform: random augmentation of a sample, with random numbers of its own, keyed by its place in the epoch.
    ///   - collate: makes a batch of samples.
    public init<D: StreamingDataset>(
        _ dataset: D, batchSize: Int, shuffleBuffer: Int = 1, dropLast: Bool = false, seed: UInt64 = 0, workers: Int = 0,
        prefetch: Int = 2, transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)? = nil,
        collate: @escaping @Sendable ([D.Sample], BatchContext) throws -> Batch
    ) {
        if batchSize < 1 || shuffleBuffer < 1 || workers < 0 || prefetch < 1 {
            fail(
                "StreamLoader",
                "batches of \(batchSize), a buffer of \(shuffleBuffer), \(workers) workers, \(prefetch) batches ahead; must be at least 1, 1, 0 and 1"
            )
        }
        self.workers = workers
        makeReader = { state, workers in
            let turns = StreamTurns(
                dataset.stream(epoch: state.epoch), first: state.batch, size: batchSize, dropLast: dropLast,
                buffer: shuffleBuffer,
                generator: epochGenerator(seed, state.epoch).split(2), epoch: state.epoch)
            let job: @Sendable (Int) async throws -> Prefetched<LoadedBatch<Batch>> = { number in
                guard let samples = try await turns.samples(number) else { return .end }
                let began = ContinuousClock.now, first = number * batchSize
                let generator = epochGenerator(seed, state.epoch)
                do {
                    let changed = try samples.enumerated().map { offset, sample in
                        try transform.map { try $0(sample, generator.split(0).split(UInt64(first + offset))) } ?? sample
                    }
                    let context = BatchContext(
                        epoch: state.epoch, batch: number, indices: Array(first..<(first + samples.count)),
                        generator: generator.split(1).split(UInt64(number)))
                    let batch = try collate(changed, context)
                    return .output(LoadedBatch(batch: batch, load: LoadReport(duration: ContinuousClock.now - began)))
                } catch {
                    throw DataLoaderError(index: nil, epoch: state.epoch, batch: number, underlying: error)
                }
            }
            if workers == 0 { return BatchReader(prefetcher: nil, job: job) }
            let prefetcher = Prefetcher(first: state.batch, end: .max, workers: workers, depth: workers * prefetch, job: job)
            return BatchReader(prefetcher: prefetcher, job: job)
        }
    }

    /// As ``DataLoader/state``.
    public var state: DataLoaderState {
        get { progress.withLock { $0.state } }
        set { progress.withLock { $0.set(newValue) } }
    }

    /// What loading took so far; reading the stream is not counted as work.
    public var statistics: DataLoaderStatistics { progress.withLock { $0.statistics } }

    /// Begins an epoch, as ``DataLoader/makeAsyncIterator()``.
    public func makeAsyncIterator() -> Iterator {
        let state = progress.withLock { $0.begin() }
        return Iterator(loader: self, reader: makeReader(state, workers), state: state)
    }

    /// The batches of one loop.
    public struct Iterator: AsyncIteratorProtocol {
        private let loader: StreamLoader
        private let reader: BatchReader<Batch>
        private var state: DataLoaderState
        private var isOver = false

        fileprivate init(loader: StreamLoader, reader: BatchReader<Batch>, state: DataLoaderState) {
            (self.loader, self.reader, self.state) = (loader, reader, state)
        }

        /// The next batch, nil after the last. Throws ``DataLoaderError``.
        public mutating func next() async throws -> Batch? { try await next(isolation: nil) }
        /// The same, called from an actor.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Batch? {
            if isOver { return nil }
            let began = ContinuousClock.now
            isOver = true
            guard let loaded = try await reader.next(state.batch, isolation: actor) else { return nil }
            isOver = false
            state.batch += 1
            let state = state, waited = ContinuousClock.now - began
            loader.progress.withLock { $0.took(loaded.load, waited: waited, now: state) }
            return loaded.batch
        }
    }
}

/// The workers of one loop over a stream, which end with it.
private final class BatchReader<Batch: Sendable>: Sendable {
    private let prefetcher: Prefetcher<LoadedBatch<Batch>>?
    private let job: @Sendable (Int) async throws -> Prefetched<LoadedBatch<Batch>>

    init(
        prefetcher: Prefetcher<LoadedBatch<Batch>>?, job: @escaping @Sendable (Int) async throws -> Prefetched<LoadedBatch<Batch>>
    ) {
        (self.prefetcher, self.job) = (prefetcher, job)
    }
    deinit { prefetcher?.cancel() }

    func next(_ number: Int, isolation: isolated (any Actor)?) async throws -> LoadedBatch<Batch>? {
        if let prefetcher { return try await prefetcher.next() }
        if case .output(let loaded) = try await job(number) { return loaded }
        return nil
    }
}

/// Lets workers read from a stream in the order of their batches.
private actor StreamTurns<Stream: AsyncSequence> where Stream.Element: Sendable, Stream.Failure == any Error {
    private var iterator: Stream.AsyncIterator
    private var turn: Int
    private var toSkip: Int
    private var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    private var pool: [Stream.Element] = []
    private var isAtEnd = false, isBroken = false
    private let size: Int, dropLast: Bool, buffer: Int, epoch: Int
    private let generator: RandomGenerator

    init(_ stream: sending Stream, first: Int, size: Int, dropLast: Bool, buffer: Int, generator: RandomGenerator, epoch: Int) {
        iterator = stream.makeAsyncIterator()
        turn = first
        toSkip = first
        (self.size, self.dropLast, self.buffer, self.generator, self.epoch) = (size, dropLast, buffer, generator, epoch)
    }

    /// The samples of batch `number`; nil at the stream's end.
    func samples(_ number: Int) async throws -> [Stream.Element]? {
        if number != turn { await withCheckedContinuation { waiting[number] = $0 } }
        defer {
            turn += 1
            waiting.removeValue(forKey: turn)?.resume()
        }
        if isBroken { return nil }
        do {
            while toSkip > 0 {
                toSkip -= 1
                if try await batch(number - toSkip - 1) == nil { return nil }
            }
            return try await batch(number)
        } catch {
            isBroken = true
            if error is CancellationError { throw error }
            throw DataLoaderError(index: nil, epoch: epoch, batch: number, underlying: error)
        }
    }

    private func batch(_ number: Int) async throws -> [Stream.Element]? {
        var samples: [Stream.Element] = []
        while samples.count < size {
            try Task.checkCancellation()
            while pool.count < buffer && !isAtEnd {
                if let sample = try await read() { pool.append(sample) } else { isAtEnd = true }
            }
            if pool.isEmpty { break }
            if pool.count == 1 {
                samples.append(pool.removeLast())
            } else {
                let place = Tensor(integers: 0..<pool.count, shape: [], generator: generator).item(Int.self)
                pool.swapAt(place, pool.count - 1)
                samples.append(pool.removeLast())
            }
        }
        return samples.isEmpty || (dropLast && samples.count < size) ? nil : samples
    }

    private func read() async throws -> Stream.Element? {
        // Taken out for the while: only the worker whose turn it is comes here.
        var mine = iterator
        defer { iterator = mine }
        return try await mine.next(isolation: self)
    }
}
