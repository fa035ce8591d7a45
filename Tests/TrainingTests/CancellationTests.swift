import Foundation
import Synchronization
import Tapestry
import Testing

@testable import Training

/// A cancelled task leaves a checkpoint from which the run goes on as if it had not been cancelled.
@Suite(.serialized) final class CancellationTests {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Cancels the task that asks for the batch after `last` others, as its owner may at any time.
    private final class CancellingLoader: BatchLoader {
        typealias Element = (Tensor, Tensor)
        let loader: DataLoader<(Tensor, Tensor)>
        private let left: Mutex<Int>

        init(_ loader: DataLoader<(Tensor, Tensor)>, after last: Int) {
            self.loader = loader
            left = Mutex(last)
        }
        var state: DataLoaderState {
            get { loader.state }
            set { loader.state = newValue }
        }
        func makeAsyncIterator() -> Iterator { Iterator(owner: self, inner: loader.makeAsyncIterator()) }
        func count() {
            let isNow = left.withLock { left in
                left -= 1
                return left == -1
            }
            if isNow { withUnsafeCurrentTask { $0?.cancel() } }
        }

        struct Iterator: AsyncIteratorProtocol {
            let owner: CancellingLoader
            var inner: DataLoader<(Tensor, Tensor)>.Iterator
            mutating func next() async throws -> (Tensor, Tensor)? {
                owner.count()
                return try await inner.next()
            }
            mutating func next(isolation actor: isolated (any Actor)?) async throws -> (Tensor, Tensor)? {
                owner.count()
                return try await inner.next(isolation: actor)
            }
        }
    }

    /// Handed to a task, and not used here until that is over.
    private struct Trained: @unchecked Sendable { let trainer: Trainer<(Tensor, Tensor)> }

    /// Trains in a task of its own.
    private func train(
        _ run: Fixture.Run, _ loader: some BatchLoader<(Tensor, Tensor)>, validation: CancellingLoader? = nil
    ) -> Task<Void, any Error> {
        let trained = Trained(trainer: run.trainer)
        return Task { _ = try await trained.trainer.fit(loader, validation: validation) }
    }

    /// After a whole step, in the middle of an accumulation, and at an epoch's first batch.
    @Test(arguments: [1, 4, 7, 12, 13, 30]) func resumesBitForBit(_ batches: Int) async throws {
        let whole = Fixture.run()
        _ = try await whole.trainer.fit(whole.loader)
        let path = folder.path
        let first = Fixture.run { $0.folder = path }
        let loader = CancellingLoader(first.loader, after: batches)
        await #expect(throws: CancellationError.self) { try await self.train(first, loader).value }
        #expect(first.recorder.events.last == "ended cancelled")
        #expect(FileManager.default.fileExists(atPath: "\(path)/last.safetensors"))

        let second = Fixture.run(
            {
                $0.folder = path
                $0.resumes = true
            }, workers: 0)
        manualSeed(999)
        let summary = try await second.trainer.fit(second.loader)
        #expect(summary.steps == 24 && summary.epochs == 4)
        expectSame(whole.weights, second.weights, "cancelled after \(batches) batches")
        #expect(whole.recorder.losses == first.recorder.losses + second.recorder.losses)
    }

    /// A validation that was cut off is made up for, so that the best is the best.
    @Test func inValidation() async throws {
        let path = folder.path
        let held = DataLoader(Fixture.data(), batchSize: 16)
        let whole = Fixture.run { $0.validateEvery = 3 }
        let wanted = try await whole.trainer.fit(whole.loader, validation: held)
        let first = Fixture.run {
            $0.folder = path
            $0.validateEvery = 3
        }
        // The third batch of the second validation.
        let loader = CancellingLoader(held, after: 8)
        await #expect(throws: CancellationError.self) { try await self.train(first, first.loader, validation: loader).value }
        #expect(first.net.isTraining)
        let second = Fixture.run {
            $0.folder = path
            $0.validateEvery = 3
            $0.resumes = true
        }
        let summary = try await second.trainer.fit(second.loader, validation: held)
        expectSame(whole.weights, second.weights)
        #expect(summary.best == wanted.best && summary.bestStep == wanted.bestStep)
        let both = first.recorder.events + second.recorder.events
        func validations(_ events: [String]) -> [String] { events.filter { $0.hasPrefix("validation") } }
        #expect(validations(both) == validations(whole.recorder.events))
    }

    /// Cancelled before the first batch, it takes no step.
    @Test func before() async throws {
        let path = folder.path
        let run = Fixture.run { $0.folder = path }
        await #expect(throws: CancellationError.self) { try await self.train(run, CancellingLoader(run.loader, after: 0)).value }
        #expect(run.recorder.losses.isEmpty && FileManager.default.fileExists(atPath: "\(path)/last.safetensors"))
    }
}
