import Foundation
import Tapestry
import Testing

@testable import Training

/// The training loop: what it computes is what the parts compute, and a run that was cut off goes on as if it had not been.
@Suite(.serialized) final class TrainerTests {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    // MARK: What it computes

    /// Against the loop that a user would write.
    @Test func theLoopByHand() async throws {
        let run = Fixture.run { $0.averageDecay = nil }
        let summary = try await run.trainer.fit(run.loader)
        // 90 samples in batches of 8 are 12 batches; two a step.
        #expect(summary.steps == 24 && summary.epochs == 4 && summary.end == .finished)
        let loader = Fixture.run(workers: 0).loader
        manualSeed(11)
        let net = Fixture.Net()
        let optimizer = AdamW(net.parameters, learningRate: 1e-2)
        let scheduler = LearningRateScheduler(optimizer, .cosine(steps: 40))
        let accumulator = GradientAccumulator(optimizer.parameters)
        var losses: [Double] = []
        for _ in 0..<4 {
            var batches = 0
            for try await (x, y) in loader {
                accumulator.backward(mseLoss(net(x), y), count: y.count)
                batches += 1
                if batches % 2 == 0 {
                    losses.append(accumulator.finish())
                    clipGradNorm(optimizer.parameters, maxNorm: 1)
                    optimizer.step()
                    scheduler.advance()
                }
            }
        }
        expectSame(run.weights, net.stateDict)
        #expect(zip(run.recorder.losses, losses).allSatisfy { abs($0 - $1) < 1e-12 })
        #expect(run.recorder.losses.last! < run.recorder.losses.first! / 2)
    }

    /// Interrupted after any step, in mid-epoch and mid-accumulation or not, a run ends with the same bits.
    @Test func resumesBitForBit() async throws {
        let whole = Fixture.run()
        _ = try await whole.trainer.fit(whole.loader)
        for stop in [1, 5, 6, 7, 13, 24] {
            let path = folder.appendingPathComponent("\(stop)").path
            let first = Fixture.run {
                $0.folder = path
                $0.steps = stop
            }
            _ = try await first.trainer.fit(first.loader)
            // Another process has other random numbers at hand.
            let second = Fixture.run(
                {
                    $0.folder = path
                    $0.resumes = true
                }, workers: 0)
            manualSeed(999)
            let summary = try await second.trainer.fit(second.loader)
            #expect(summary.steps == 24 && summary.epochs == 4)
            #expect(second.recorder.events.first == "began \(stop)")
            expectSame(whole.weights, second.weights, "stopped after \(stop)")
            expectSame(whole.trainer.average!.stateDict, second.trainer.average!.stateDict, "averages, stopped after \(stop)")
            #expect(whole.recorder.losses == first.recorder.losses + second.recorder.losses)
        }
    }

    @Test func validationKeepsTheBest() async throws {
        let path = folder.path
        let run = Fixture.run {
            $0.epochs = 12
            $0.folder = path
            $0.patience = 3
            $0.averageDecay = nil
        }
        let held = DataLoader(Fixture.data(), batchSize: 16)
        let summary = try await run.trainer.fit(run.loader, validation: held)
        let best = try #require(summary.best)
        #expect(summary.metrics.keys.sorted() == ["loss"])
        #expect(run.net.isTraining)
        try run.trainer.loadBest()
        let again = try await run.trainer.evaluate(held)
        #expect(again["loss"] == best)
        // The metric of the best weights, by hand.
        run.net.eval()
        let byHand = withoutGrad { mseLoss(run.net(Fixture.data().inputs), Fixture.data().labels).item(Double.self) }
        #expect(abs(byHand - best) < 1e-6)
    }

    @Test func stopsWhenNothingImproves() async throws {
        let run = Fixture.run {
            $0.epochs = 50
            $0.patience = 2
            $0.minimumImprovement = 100
        }
        let summary = try await run.trainer.fit(run.loader, validation: DataLoader(Fixture.data(), batchSize: 16))
        #expect(summary.end == .earlyStopping && summary.epochs == 3 && summary.bestStep == 6)
        let misnamed = Fixture.run { $0.monitor = "accuracy" }
        await #expect(throws: TrainingError.self) {
            try await misnamed.trainer.fit(misnamed.loader, validation: DataLoader(Fixture.data(), batchSize: 16))
        }
    }

    /// Validation sees the averages, training goes on with its own weights.
    @Test func averagesAreValidated() async throws {
        let run = Fixture.run { $0.steps = 12 }
        let held = DataLoader(Fixture.data(), batchSize: 90)
        _ = try await run.trainer.fit(run.loader, validation: held)
        let own = run.weights
        let measured = try await run.trainer.evaluate(held)["loss"]!
        expectSame(own, run.weights)
        run.net.eval()
        let averaged = run.trainer.average!.withAverages {
            withoutGrad { mseLoss(run.net(Fixture.data().inputs), Fixture.data().labels).item(Double.self) }
        }
        #expect(abs(measured - averaged) < 1e-7)
    }

    @Test(arguments: [DType.bfloat16, .float16]) func mixedPrecision(dtype: DType) async throws {
        let wide = Fixture.run { $0.epochs = 8 },
            narrow = Fixture.run {
                $0.epochs = 8
                $0.mixedPrecision = dtype
            }
        let expected = try await wide.trainer.fit(wide.loader, validation: DataLoader(Fixture.data(), batchSize: 90)).best!
        let found = try await narrow.trainer.fit(narrow.loader, validation: DataLoader(Fixture.data(), batchSize: 90)).best!
        #expect(abs(found - expected) < 0.05 * max(expected, 0.02), "\(found) for \(expected)")
        if dtype == .float16 {
            // The scale is part of the checkpoint.
            let state = try narrow.trainer.checkpoint().facts["trainer"]
            #expect(state?.contains("\"scale\":") == true)
        }
    }

    // MARK: What goes wrong

    @Test func signalsSaveAndStop() async throws {
        let whole = Fixture.run()
        _ = try await whole.trainer.fit(whole.loader)
        let path = folder.path
        for signal in [SIGINT, SIGTERM] {
            try? FileManager.default.removeItem(at: folder)
            let run = Fixture.run { $0.folder = path }
            run.recorder.action = { event, _ in if case .step(let r) = event, r.step == 9 { Fixture.signal(signal) } }
            let summary = try await run.trainer.fit(run.loader)
            #expect(summary.end == .interrupted(signal: signal) && summary.steps == 9)
            let next = Fixture.run {
                $0.folder = path
                $0.resumes = true
            }
            _ = try await next.trainer.fit(next.loader)
            expectSame(whole.weights, next.weights)
        }
    }

    /// Models are not Sendable: training stays where its caller is.
    @MainActor @Test func trainsOnTheMainActor() async throws {
        let run = Fixture.run { $0.steps = 3 }
        run.recorder.action = { _, _ in MainActor.assertIsolated() }
        let held = DataLoader(Fixture.data(), batchSize: 30, workers: 1)
        #expect(try await run.trainer.fit(run.loader, validation: held).steps == 3)
        #expect(try await run.trainer.evaluate(held)["loss"]!.isFinite)
    }

    /// A stream is resumed by skipping what was read.
    @Test func streamsResumeToo() async throws {
        struct Points: StreamingDataset {
            func stream(epoch: Int) -> AsyncThrowingStream<(Tensor, Tensor), any Error> {
                let data = Fixture.data()
                return AsyncThrowingStream { continuation in
                    for i in 0..<data.count { continuation.yield(data.sample(at: i)) }
                    continuation.finish()
                }
            }
        }
        func loader() -> StreamLoader<(Tensor, Tensor)> {
            StreamLoader(Points(), batchSize: 8, shuffleBuffer: 20, seed: 4, workers: 2) { samples, _ in try stackedPairs(samples)
            }
        }
        let whole = Fixture.run()
        _ = try await whole.trainer.fit(loader())
        let path = folder.path
        for steps in [9, nil] {
            let part = Fixture.run {
                $0.folder = path
                $0.resumes = true
                $0.steps = steps
            }
            _ = try await part.trainer.fit(loader())
            if steps == nil { expectSame(whole.weights, part.weights) }
        }
    }

    @Test func callbacksMayStop() async throws {
        let run = Fixture.run()
        run.recorder.action = { event, control in if case .step(let r) = event, r.step == 3 { control.stop("enough") } }
        #expect(try await run.trainer.fit(run.loader).end == .stopped(reason: "enough"))
    }

    @Test func notANumberStopsWithItsOrigin() async throws {
        let run = Fixture.run(poison: .nan)
        let error = await #expect(throws: TrainingError.self) { try await run.trainer.fit(run.loader) }
        let origin = try #require(error?.origin)
        #expect(origin.kind == "NaN")
        #expect(error?.description.contains("the loss is nan") == true)
        for parameter in run.net.parameters { #expect(parameter.value.isFinite.all().item(Bool.self)) }
    }

    /// A finite loss whose gradient is not: the rule is named, and nothing of the step is taken.
    @Test func gradientsThatAreNotNumbers() async throws {
        let weight = Parameter(Tensor([4.0, 4]))
        final class Root: Module {
            let weight: Parameter
            init(_ weight: Parameter) { self.weight = weight }
        }
        for policy in [NonFinitePolicy.stop, .skip(limit: 100)] {
            weight.value = Tensor([4.0, 4])
            var options = TrainingOptions(epochs: 1)
            options.nonFinite = policy
            options.accumulation = 2
            let trainer = Trainer<Tensor>(Root(weight), SGD([weight], learningRate: 0.1), options: options) { x in
                // √ of 0 at sample 3.
                (sqrt(weight.value * x).sum(), 1)
            }
            let data = ArrayDataset((0..<6).map { Tensor([1.0, $0 == 3 ? 0 : 1], dtype: .float32) })
            let loader = DataLoader(data, batchSize: 1, collate: { samples, _ in samples[0] })
            if policy == .stop {
                let error = await #expect(throws: TrainingError.self) { try await trainer.fit(loader) }
                #expect(error?.step == 2 && error?.origin?.source == .gradient("SqrtBackward"))
                #expect(error?.description.contains("TrainerTests.swift:") == true)
            } else {
                let summary = try await trainer.fit(loader)
                #expect(summary.steps == 2 && summary.skippedBatches == 1)
            }
            #expect(weight.value.isFinite.all().item(Bool.self))
        }
    }

    @Test func notANumberIsSkippedAndCounted() async throws {
        let run = Fixture.run({ $0.nonFinite = .skip(limit: 1) }, poison: .infinity)
        let summary = try await run.trainer.fit(run.loader)
        #expect(summary.skippedBatches == 4 && summary.steps == 24)
        for parameter in run.net.parameters { #expect(parameter.value.isFinite.all().item(Bool.self)) }
        let all = Fixture.run { $0.nonFinite = .skip(limit: 3) }
        all.net.first.bias!.value = all.net.first.bias!.value * Float.nan
        let error = await #expect(throws: TrainingError.self) { try await all.trainer.fit(all.loader) }
        #expect(error?.description.contains("as in the 3 batches before") == true)
    }

    @Test func originsOfNonFiniteNumbers() throws {
        let x = Tensor([-1.0, 2], requiresGrad: true)
        let found = NonFiniteOrigin.find { (log(x) * 2).sum() }
        let forward = try #require(found)
        #expect(forward.source == .operation("LogBackward") && forward.kind == "NaN")
        #expect(forward.line?.hasPrefix("TrainerTests.swift:") == true)
        let data = try #require(NonFiniteOrigin.find { (x * Tensor([1, Float.nan])).sum() })
        #expect(data.source == .input("MulBackward"))
        let leaf = Tensor([Float.nan], requiresGrad: true)
        #expect(NonFiniteOrigin.find { (leaf * x).sum() }?.source == .leaf("MulBackward"))
        let huge = Tensor([1e30], requiresGrad: true)
        let overflow = try #require(NonFiniteOrigin.find { exp(huge * huge).sum() })
        #expect(overflow.kind == "infinity" && overflow.source == .operation("MulBackward"))
        // √ of 0 is finite, its derivative is not.
        let zero = Tensor([0.0, 1], requiresGrad: true)
        let backward = try #require(NonFiniteOrigin.find { (sqrt(zero) * zero).sum() })
        #expect(backward.source == .gradient("SqrtBackward"))
        #expect(zero.grad == nil)
        #expect(NonFiniteOrigin.find { (x * x).sum() } == nil)
        // A mask of -∞ is no fault.
        #expect(NonFiniteOrigin.find { (softmax(x + Tensor([0, -Float.infinity])) * x).sum() } == nil)
    }

    /// Checkpoints that are damaged or of another run: typed errors, and nothing is changed.
    @Test func checkpointsThatDoNotFit() async throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.path, last = folder.appendingPathComponent("last.safetensors")
        let run = Fixture.run {
            $0.folder = path
            $0.steps = 3
        }
        _ = try await run.trainer.fit(run.loader)
        func resumed() -> Fixture.Run {
            Fixture.run {
                $0.folder = path
                $0.resumes = true
            }
        }
        let bytes = try Data(contentsOf: last)
        for length in [0, 1, 7, 100, bytes.count / 2, bytes.count - 1] {
            try bytes.prefix(length).write(to: last)
            let next = resumed(), before = next.weights
            await #expect(throws: (any Error).self) { try await next.trainer.fit(next.loader) }
            expectSame(before, next.weights)
        }
        // A checkpoint without a trainer's state, of another model, with rubbish for a state.
        try Checkpoint(model: run.net, optimizer: run.trainer.optimizer).write(last.path)
        await #expect(throws: TrainerCheckpointError.self) { try await resumed().trainer.fit(run.loader) }
        var other = try run.trainer.checkpoint()
        other.model["first.weight"] = Tensor(zeros: [3, 4])
        try other.write(last.path)
        await #expect(throws: StateDictError.self) { try await resumed().trainer.fit(run.loader) }
        other = try run.trainer.checkpoint()
        for json in ["", "{", "{\"step\":-1}", "[]"] {
            other.facts["trainer"] = json
            try other.write(last.path)
            await #expect(throws: TrainerCheckpointError.self) { try await resumed().trainer.fit(run.loader) }
        }
    }

    /// Memory that tensors hold does not grow with the steps. `TAPESTRY_ROBUSTNESS_STEPS` asks for more of them.
    @Test func memoryDoesNotGrow() async throws {
        let steps = ProcessInfo.processInfo.environment["TAPESTRY_ROBUSTNESS_STEPS"].flatMap(Int.init) ?? 240
        let run = Fixture.run { ($0.epochs, $0.steps) = (nil, steps) }
        var held: [Int] = []
        run.recorder.action = { event, _ in
            if case .step(let r) = event, r.step % 24 == 0 { held.append(MemoryStatistics.current.bytesInUse) }
        }
        _ = try await run.trainer.fit(run.loader)
        #expect(held.count == steps / 24)
        #expect(held.last! <= held[2] + 20_000, "\(held)")
    }
}
