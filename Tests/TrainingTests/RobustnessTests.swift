import Foundation
import Synchronization
import Tapestry
import Testing

@testable import Training

/// Runs that things happen to: killed processes, full disks, errors at random.
@Suite(.serialized) final class RobustnessTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private static func killedRun(_ path: String) -> Fixture.Run {
        Fixture.run {
            $0.folder = path
            $0.resumes = true
            $0.saveEvery = 1
            $0.epochs = 150
        }
    }

    /// A process that writes a checkpoint after every step is killed 50 times at random points: a checkpoint is always whole and never older than
    /// the one before, and the run ends with the bits of one that nobody touched. Every other process may live until its first checkpoint, as nothing
    /// is tested where a machine is too slow for that.
    @Test func killedAtRandomPoints() async throws {
        let path = folder.path
        var lastStep = 0, leftovers = 0
        for round in 0..<50 {
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as Int] in
                let delay = UInt32(RandomGenerator(seed: UInt64(round)).integer(below: 30_000))
                let mayBeKilled = DispatchSemaphore(value: round % 2)
                Thread.detachNewThread {
                    mayBeKilled.wait()
                    usleep(delay)
                    kill(getpid(), SIGKILL)
                }
                let run = RobustnessTests.killedRun(path)
                run.recorder.action = { event, _ in
                    if case .saved = event { mayBeKilled.signal() }
                }
                _ = try await run.trainer.fit(run.loader)
                sleep(10)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: path)
            leftovers += names.count { $0.hasSuffix(".tmp") }
            guard names.contains("last.safetensors") else { continue }
            let run = Self.killedRun(path)
            try run.trainer.restore(Checkpoint(path + "/last.safetensors"))
            #expect(run.trainer.state.step >= lastStep)
            lastStep = run.trainer.state.step
        }
        #expect(lastStep >= 25)
        let run = Self.killedRun(path)
        let summary = try await run.trainer.fit(run.loader)
        #expect(summary.steps == 900)
        // What killed processes had begun to write is gone.
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["last.safetensors"])
        let whole = Fixture.run { $0.epochs = 150 }
        _ = try await whole.trainer.fit(whole.loader)
        expectSame(whole.weights, run.weights)
    }

    /// A disk that is full for a while: the last good checkpoint stays, training goes on and saves again later.
    @Test func aFullDiskCostsNothing() async throws {
        let path = folder.path
        await #expect(processExitsWith: .success) { [path = path as String] in
            signal(SIGXFSZ, SIG_IGN)
            func limit(_ bytes: UInt) {
                var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t.max)
                if setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) != 0 { exit(2) }
            }
            let run = Fixture.run {
                $0.folder = path
                $0.saveEvery = 2
            }
            run.recorder.action = { event, _ in
                switch event {
                // In the middle of the file.
                case .step(let report) where report.step == 7: limit(2000)
                case .step(let report) where report.step == 13: limit(.max)
                case .saveFailed(_, let step, let reason):
                    // The one from before is whole.
                    guard let kept = try? Checkpoint(path + "/last.safetensors"), kept.optimizer?.stepCount == 6,
                        (8...12).contains(step), reason.contains("last.safetensors: cannot write")
                    else { exit(3) }
                default: break
                }
            }
            let summary = try await run.trainer.fit(run.loader)
            if summary.steps != 24 { exit(4) }
            let events = run.recorder.events
            if events.filter({ $0.hasPrefix("failed") }) != ["failed 8", "failed 10", "failed 12"] { exit(5) }
            if !events.contains("saved last.safetensors 14") { exit(6) }
            // Nothing half-written lies about.
            if try FileManager.default.contentsOfDirectory(atPath: path) != ["last.safetensors"] { exit(7) }
        }
    }

    /// Faults at random: errors that pass, errors that end the loop, NaNs, signals.
    private final class Faults: Sendable {
        private let generator = RandomGenerator(seed: 77)
        let isOn: Bool
        let counts = Mutex<[String: Int]>([:])
        init(_ isOn: Bool) { self.isOn = isOn }
        func strikes(_ name: String, oneIn chances: Int) -> Bool {
            if !isOn || generator.integer(below: chances) != 0 { return false }
            counts.withLock { $0[name, default: 0] += 1 }
            return true
        }
    }

    private struct FaultyData: Dataset {
        let base = Fixture.data()
        let faults: Faults
        var count: Int { base.count }
        struct Fault: Error {}
        func sample(at index: Int) throws -> (Tensor, Tensor) {
            if faults.strikes("passing error", oneIn: 150) { throw Fault() }
            let (x, y) = base.sample(at: index)
            if faults.strikes("NaN", oneIn: 1500) { return (x * Float.nan, y) }
            return (x, y)
        }
    }

    private func train(_ steps: Int, _ faults: Faults, _ path: String) async throws -> (weights: [String: Tensor], attempts: Int)
    {
        for attempt in 1...1000 {
            let run = Fixture.run {
                $0.epochs = nil
                $0.steps = steps
                $0.folder = path
                $0.saveEvery = 5
                $0.resumes = true
            }
            run.recorder.action = { event, _ in
                if case .step = event, faults.strikes("signal", oneIn: 60) { Fixture.signal(SIGTERM) }
            }
            let loader = DataLoader(
                FaultyData(faults: faults), batchSize: 8, shuffle: true, seed: 2, workers: 1 + attempt % 3, retries: 1,
                transform: { sample, generator in
                    if faults.strikes("error of a worker", oneIn: 4000) { throw FaultyData.Fault() }
                    return (sample.0 + Tensor(normal: [4], standardDeviation: 0.01, generator: generator), sample.1)
                })
            do {
                if try await run.trainer.fit(loader).end == .finished { return (run.weights, attempt) }
            } catch let error as TrainingError {
                // Nothing of the step with the NaN went into the weights.
                #expect(error.origin != nil)
            } catch is DataLoaderError {}
        }
        Issue.record("not finished after 1000 attempts")
        return ([:], 0)
    }

    /// `TAPESTRY_ROBUSTNESS_STEPS` asks for more steps.
    @Test func randomFaults() async throws {
        let steps = ProcessInfo.processInfo.environment["TAPESTRY_ROBUSTNESS_STEPS"].flatMap(Int.init) ?? 300
        let none = Faults(false), some = Faults(true)
        let clean = try await train(steps, none, folder.appendingPathComponent("clean").path)
        let faulty = try await train(steps, some, folder.appendingPathComponent("faulty").path)
        let counts = some.counts.withLock { $0 }
        #expect(clean.attempts == 1 && faulty.attempts > 3, "\(faulty.attempts)")
        #expect(
            counts["passing error", default: 0] > 10 && counts["NaN", default: 0] > 0 && counts["signal", default: 0] > 0,
            "\(counts)")
        expectSame(clean.weights, faulty.weights, "\(counts)")
    }

    /// A sample that never loads: the report names it, and what was reached is kept.
    @Test func whatCannotBeRecovered() async throws {
        struct Damaged: Dataset {
            let base = Fixture.data()
            var count: Int { base.count }
            struct Fault: Error, CustomStringConvertible { let description = "photo.jpg: the file is cut off" }
            func sample(at index: Int) throws -> (Tensor, Tensor) {
                if index == 41 { throw Fault() }
                return base.sample(at: index)
            }
        }
        let path = folder.path
        let run = Fixture.run {
            $0.folder = path
            $0.saveEvery = 1
        }
        let loader = DataLoader(Damaged(), batchSize: 8, workers: 2, retries: 2)
        let error = await #expect(throws: DataLoaderError.self) { try await run.trainer.fit(loader) }
        #expect(error?.description == "sample 41 in batch 5 of epoch 0 cannot be loaded: photo.jpg: the file is cut off")
        #expect(try Checkpoint(path + "/last.safetensors").optimizer?.stepCount == 2)
    }
}
