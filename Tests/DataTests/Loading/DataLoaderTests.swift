import Foundation
import Synchronization
import Tapestry
import Testing

@testable import Data

/// Batches: the same for any number of workers, loaded ahead, and nothing left behind.
@Suite struct DataLoaderTests {
    /// A sample is its index and something random of its own.
    private struct Numbers: Dataset {
        var count = 103
        var delay = 0.0
        var failing: Set<Int> = []
        func sample(at index: Int) throws -> (Tensor, Tensor) {
            if delay > 0 { Thread.sleep(forTimeInterval: delay) }
            if failing.contains(index) { throw Broken() }
            return (Tensor([Float(index), 0]), Tensor(index))
        }
    }
    struct Broken: Error, CustomStringConvertible { let description = "the file is damaged" }

    private func batches(_ workers: Int, epochs: Int = 2, shuffle: Bool = true) async throws -> [[[Float]]] {
        let loader = DataLoader(
            Numbers(), batchSize: 10, shuffle: shuffle, seed: 5, workers: workers,
            transform: { sample, generator in (sample.0 + Tensor(normal: [2], generator: generator), sample.1) },
            collate: { samples, context in
                let (x, y) = try stackedPairs(samples)
                let noise = Tensor(uniform: [x.shape[0], 1], generator: context.generator)
                return concatenate([x, noise, y.unsqueezed(1).to(.float32)], axis: 1)
            })
        var found: [[[Float]]] = []
        for _ in 0..<epochs { for try await batch in loader { found.append(batch.matrix(Float.self)) } }
        return found
    }

    @Test func sameBatchesForAnyNumberOfWorkers() async throws {
        let expected = try await batches(0)
        #expect(expected.count == 22)
        #expect(expected[10].count == 3)
        for workers in [1, 4, 8] { #expect(try await batches(workers) == expected, "\(workers) workers") }
        // Every sample once per epoch; orders and random numbers differ between epochs.
        let first = expected[..<11].flatMap { $0 }, second = expected[11...].flatMap { $0 }
        #expect(first.map { Int($0[3]) }.sorted() == Array(0..<103))
        #expect(first.map { $0[3] } != second.map { $0[3] })
        // Independent numbers for each sample and epoch: none comes twice.
        #expect(Set(expected.flatMap { $0.map { $0[1] } }).count == 206)
    }

    @Test func resumesInTheMiddleOfAnEpoch() async throws {
        let whole = try await batches(0, epochs: 3)
        for (epoch, batch, workers) in [(0, 4, 0), (1, 11, 3), (1, 3, 4)] {
            let loader = DataLoader(
                Numbers(), batchSize: 10, shuffle: true, seed: 5, workers: workers,
                transform: { sample, generator in (sample.0 + Tensor(normal: [2], generator: generator), sample.1) },
                collate: { samples, context in
                    let (x, y) = try stackedPairs(samples)
                    let noise = Tensor(uniform: [x.shape[0], 1], generator: context.generator)
                    return concatenate([x, noise, y.unsqueezed(1).to(.float32)], axis: 1)
                })
            // Through JSON, as a checkpoint keeps it.
            let saved = try JSONEncoder().encode(DataLoaderState(epoch: epoch, batch: batch))
            loader.state = try JSONDecoder().decode(DataLoaderState.self, from: saved)
            var found: [[[Float]]] = []
            for _ in epoch..<3 { for try await batch in loader { found.append(batch.matrix(Float.self)) } }
            #expect(found == Array(whole[(epoch * 11 + batch)...]), "from \(epoch), \(batch)")
            #expect(loader.state == DataLoaderState(epoch: 2, batch: 11))
        }
    }

    @Test func leavingTheLoopEndsTheWorkers() async throws {
        let before = WorkerThreads.running.load(ordering: .relaxed)
        for _ in 0..<20 {
            let loader = DataLoader(Numbers(count: 10_000), batchSize: 4, workers: 4)
            var seen = 0
            for try await _ in loader {
                seen += 1
                if seen == 3 { break }
            }
            #expect(loader.state == DataLoaderState(epoch: 0, batch: 3))
        }
        // An epoch to its end, and one whose task is cancelled.
        for try await _ in DataLoader(Numbers(), batchSize: 4, workers: 3) {}
        let loader = DataLoader(Numbers(delay: 0.002), batchSize: 4, workers: 2)
        let task = Task { for try await _ in loader {} }
        try await Task.sleep(for: .milliseconds(10))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        for _ in 0..<400 where WorkerThreads.running.load(ordering: .relaxed) > before {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(WorkerThreads.running.load(ordering: .relaxed) <= before)
    }

    @Test(arguments: [0, 1, 4]) func errorsNameTheSample(workers: Int) async throws {
        let loader = DataLoader(Numbers(failing: [37]), batchSize: 10, workers: workers)
        var seen = 0
        do {
            for try await _ in loader { seen += 1 }
            Issue.record("no error")
        } catch let error as DataLoaderError {
            #expect(error.index == 37 && error.batch == 3 && error.epoch == 0)
            #expect(error.description == "sample 37 in batch 3 of epoch 0 cannot be loaded: the file is damaged")
        }
        // The batches before it have come, in order.
        #expect(seen == 3)
        #expect(loader.state.batch == 3)
    }

    @Test func badSamplesAreSkippedAndCounted() async throws {
        for workers in [0, 3] {
            let data = Numbers(failing: [2, 37, 38])
            let loader = DataLoader(data, batchSize: 10, workers: workers, badSamples: .skip(limit: 3))
            var seen: [Int] = []
            for try await (_, y) in loader { seen += y.scalars(Int.self) }
            #expect(seen == Array(0..<103).filter { ![2, 37, 38].contains($0) })
            #expect(loader.statistics.skippedSamples == 3)
            #expect(loader.statistics.lastSkipped?.contains("sample 38") == true)
            let strict = DataLoader(data, batchSize: 10, workers: workers, badSamples: .skip(limit: 2))
            await #expect(throws: DataLoaderError.self) { for try await _ in strict {} }
        }
    }

    /// Fails at every first attempt.
    private final class Flaky: Dataset {
        let count = 20
        let attempts = Mutex<[Int: Int]>([:])
        func sample(at index: Int) throws -> Tensor {
            let attempt = attempts.withLock {
                $0[index, default: 0] += 1
                return $0[index]!
            }
            if attempt == 1 { throw Broken() }
            return Tensor(index)
        }
    }

    @Test func retriesHelpAgainstPassingFaults() async throws {
        let loader = DataLoader(Flaky(), batchSize: 5, workers: 2, retries: 1)
        var seen: [Int] = []
        for try await batch in loader { seen += batch.scalars(Int.self) }
        #expect(seen == Array(0..<20))
        #expect(loader.statistics.retries == 20)
    }

    /// Loading waits, as for a disk, while the loop computes: the loop waits for little of it. The times are of sleeping, not of the machine's speed.
    @Test func loadingAndComputingOverlap() async throws {
        let loader = DataLoader(Numbers(count: 240, delay: 0.001), batchSize: 8, workers: 2, prefetch: 2)
        for try await _ in loader { usleep(20_000) }
        let statistics = loader.statistics
        #expect(statistics.batches == 30)
        #expect(statistics.loadSeconds >= 0.24)
        // Only the first batch is waited for: 1/30 of the loading, on a machine that does nothing else.
        #expect(statistics.overlap > 0.75, "waited \(statistics.waitSeconds) s of \(statistics.loadSeconds) s")
        let inTurn = DataLoader(Numbers(count: 16, delay: 0.001), batchSize: 8)
        for try await _ in inTurn {}
        #expect(inTurn.statistics.overlap < 0.2)
    }

    /// No more batches are loaded ahead than allowed.
    private final class Counting: Dataset {
        let count = 1000
        let asked = Atomic<Int>(0)
        func sample(at index: Int) -> Tensor {
            asked.add(1, ordering: .relaxed)
            return Tensor(index)
        }
    }

    @Test func theQueueIsBounded() async throws {
        let data = Counting()
        let loader = DataLoader(data, batchSize: 1, workers: 2, prefetch: 3)
        var iterator = loader.makeAsyncIterator()
        for taken in 1...5 {
            _ = try await iterator.next()
            try await Task.sleep(for: .milliseconds(30))
            #expect(data.asked.load(ordering: .relaxed) <= taken + 6)
        }
    }

    @Test func emptyAndSmall() async throws {
        for workers in [0, 2] {
            var count = 0
            for try await _ in DataLoader(Numbers(count: 0), batchSize: 4, shuffle: true, workers: workers) { count += 1 }
            #expect(count == 0)
            for try await (x, _) in DataLoader(Numbers(count: 3), batchSize: 4, workers: workers) {
                #expect(x.shape == [3, 2])
                count += 1
            }
            for try await _ in DataLoader(Numbers(count: 3), batchSize: 4, dropLast: true, workers: workers) { count += 1 }
            #expect(count == 1)
        }
    }

    /// Differing shapes are an error of the data, not the end of the program.
    @Test func samplesThatDoNotStack() async throws {
        let data = ArrayDataset([Tensor(zeros: [2]), Tensor(zeros: [3])])
        let error = await #expect(throws: DataLoaderError.self) { for try await _ in DataLoader(data, batchSize: 2) {} }
        #expect(error?.underlying is CollateError)
        let padding = DataLoader(data, batchSize: 2, collate: { samples, _ in try padded(samples, with: -1, multiple: 4) })
        for try await batch in padding {
            #expect(batch.values.matrix(Float.self) == [[0, 0, -1, -1], [0, 0, 0, -1]])
            #expect(batch.mask.to(.int32).matrix(Int32.self) == [[1, 1, 0, 0], [1, 1, 1, 0]])
            #expect(batch.lengths == [2, 3])
        }
    }

    /// The asynchronous samples of a network.
    private struct Remote: Dataset {
        let count = 30
        func sample(at index: Int) async throws -> Tensor {
            try await Task.sleep(for: .microseconds(100 * (index % 3)))
            return Tensor(index)
        }
    }

    @MainActor @Test func asynchronousSamplesAndActors() async throws {
        var seen: [Int] = []
        for try await batch in DataLoader(Remote(), batchSize: 4, workers: 5) {
            MainActor.assertIsolated()
            seen += batch.scalars(Int.self)
        }
        #expect(seen == Array(0..<30))
    }

    private struct Counter: StreamingDataset {
        func stream(epoch: Int) -> AsyncThrowingStream<Int, any Error> {
            AsyncThrowingStream { continuation in
                for i in 0..<50 { continuation.yield(i + 100 * epoch) }
                continuation.finish()
            }
        }
    }

    @Test func streams() async throws {
        func read(_ workers: Int, from state: DataLoaderState? = nil, buffer: Int = 12) async throws -> [[Int]] {
            let loader = StreamLoader(
                Counter(), batchSize: 8, shuffleBuffer: buffer, seed: 3, workers: workers,
                transform: { $0 * 1000 + $1.integer(below: 1000) }, collate: { samples, _ in samples })
            if let state { loader.state = state }
            var found: [[Int]] = []
            for _ in (state?.epoch ?? 0)..<2 { for try await batch in loader { found.append(batch) } }
            return found
        }
        let expected = try await read(0)
        #expect(expected.count == 14)
        #expect(expected[..<7].flatMap { $0 }.map { $0 / 1000 }.sorted() == Array(0..<50))
        #expect(expected[..<7].flatMap { $0 }.map { $0 / 1000 } != Array(0..<50))
        for workers in [1, 4] { #expect(try await read(workers) == expected) }
        #expect(try await read(2, from: DataLoaderState(epoch: 1, batch: 3)) == Array(expected[10...]))
        #expect(try await read(0, buffer: 1)[..<7].flatMap { $0 }.map { $0 / 1000 } == Array(0..<50))
    }
}
