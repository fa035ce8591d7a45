import Foundation
import Tapestry
import Testing

@Suite(.serialized) struct TrainingTests {
    /// A small GPT on made-up text, with dropout, weight decay groups, clipping and a schedule.
    private final class Run {
        // Its own: tests beside this one draw from the default.
        let generator: RandomGenerator
        let model: GPT
        let optimizer: AdamW
        let scheduler: LearningRateScheduler
        var batches: TokenWindows
        var losses: [Double] = []

        init(seed: UInt64 = 5) throws {
            let tokens = (0..<600).map { ($0 * 7 + $0 / 5) % 11 }
            generator = RandomGenerator(seed: seed)
            model = GPT(
                .init(vocabulary: 11, context: 8, width: 16, layers: 2, heads: 2, dropout: 0.1), generator: generator)
            optimizer = AdamW(ParameterGroup.decayingMatrices(of: model, weightDecay: 0.1), learningRate: 1e-2)
            scheduler = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: 4, steps: 30, minimum: 1e-3))
            batches = try TokenWindows(tokens, length: 8, batchSize: 4, seed: seed)
        }

        func step() {
            let (inputs, targets) = batches.next()
            let loss = model.loss(inputs, targets)
            optimizer.zeroGrad()
            loss.backward()
            clipGradNorm(optimizer.parameters, maxNorm: 1)
            optimizer.step()
            scheduler.advance()
            losses.append(loss.item(Double.self))
        }

        func train(_ steps: Int) { for _ in 0..<steps { step() } }

        var bits: [[UInt8]] { model.parameters.map { $0.value.withUnsafeBytes { Array($0) } } }
    }

    private func temporaryFolder() throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    /// Stopped after 9 steps and continued from the file: every loss and every bit as without the stop.
    @Test func resumingIsExact() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let whole = try Run()
        whole.train(20)

        let path = folder.appendingPathComponent("run.safetensors").path
        let first = try Run()
        first.train(9)
        try Checkpoint(
            model: first.model, optimizer: first.optimizer, scheduler: first.scheduler, generator: first.generator,
            dataPosition: first.batches.position, facts: ["name": "run \"1\"\n"]
        ).write(path)

        let second = try Run(seed: 6)
        _ = Tensor(normal: [3], generator: second.generator)  // whatever the process did before
        let checkpoint = try Checkpoint(path)
        #expect(checkpoint.facts["name"] == "run \"1\"\n")
        try checkpoint.restore(
            model: second.model, optimizer: second.optimizer, scheduler: second.scheduler, generator: second.generator)
        second.batches = first.batches
        second.batches.position = checkpoint.dataPosition!
        second.train(11)
        #expect(first.losses + second.losses == whole.losses)
        #expect(second.bits == whole.bits)
        #expect(second.optimizer.learningRate == whole.optimizer.learningRate)
    }

    @Test func theSameRunTwice() throws {
        let a = try Run(), before = Configuration.threadCount
        a.train(6)
        defer { Configuration.threadCount = before }
        Configuration.threadCount = before == 1 ? 2 : 1
        let b = try Run()
        b.train(6)
        #expect(a.losses == b.losses)
        #expect(a.bits == b.bits)
    }

    #if compiler(>=6.2)
        /// No buffer and no node stays behind over a thousand steps. In a process of its own: the figures count everything.
        @Test func nothingLeaksOverAThousandSteps() async {
            await #expect(processExitsWith: .success) { try TrainingTests.leakCheck() }
        }
    #endif

    private static func leakCheck() throws {
        let run = try Run()
        run.train(20)
        let before = MemoryStatistics.current.bytesInUse
        run.train(1000)
        let more = MemoryStatistics.current.bytesInUse - before
        // One small tensor per step would be 64 KB.
        if more > 4096 {
            print("\(more) bytes more after 1,000 steps")
            exit(1)
        }
    }

    @Test func learningReducesTheLoss() throws {
        let run = try Run()
        run.train(150)
        let early = run.losses[..<10].max()!, late = run.losses.suffix(10).max()!
        #expect(late < 0.9 * early, "\(early) became \(late)")
    }

    /// At the start every token is about as likely as any other.
    @Test func anUntrainedModelIsUndecided() throws {
        let run = try Run()
        run.step()
        #expect(Swift.abs(run.losses[0] - log(11.0)) < 0.2)
    }

    @Test func generation() throws {
        let run = try Run()
        let a = run.model.generate([1, 2], count: 20, temperature: 0)
        #expect(a.count == 22 && a[..<2] == [1, 2] && a.allSatisfy { 0..<11 ~= $0 })
        #expect(run.model.generate([1, 2], count: 20, temperature: 0) == a)
        let b = run.model.generate([1], count: 20, generator: RandomGenerator(seed: 1))
        #expect(run.model.generate([1], count: 20, generator: RandomGenerator(seed: 1)) == b)
        #expect(run.model.isTraining)
        #expect(
            Set(run.model.generate([3], count: 30, topK: 1)).isSubset(of: Set(run.model.generate([3], count: 30, temperature: 0)))
        )
    }

    @Test func exclusiveOr() {
        manualSeed(1)
        let x = Tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), y = Tensor([[0.0], [1], [1], [0]])
        let model = Sequential(Linear(2, 8), Tanh(), Linear(8, 1))
        let optimizer = Adam(model.parameters, learningRate: 0.05)
        for _ in 0..<300 {
            optimizer.zeroGrad()
            bceWithLogits(model(x), y).backward()
            optimizer.step()
        }
        #expect((sigmoid(model(x)) .> 0.5).to(.float32).isEqual(to: y))
    }

    @Test func optimizerStateMustFit() throws {
        let run = try Run()
        run.train(1)
        let other = Adam([Parameter(Tensor(zeros: [3]))])
        #expect(throws: OptimizerStateError.self) { try other.loadState(run.optimizer.state) }
    }

    /// A parameter that gets no gradient for some steps keeps its own count.
    @Test func skippedParameters() {
        let a = Parameter(Tensor([1.0])), b = Parameter(Tensor([1.0]))
        let optimizer = Adam([a, b], learningRate: 0.1)
        for step in 0..<3 {
            a.grad = Tensor([1.0])
            b.grad = step == 2 ? Tensor([1.0]) : nil
            optimizer.step()
        }
        // Adam's first step is lr · sign(g).
        #expect(Swift.abs(b.value.item(Double.self) - 0.9) < 1e-6)
        #expect(Swift.abs(a.value.item(Double.self) - 0.7) < 1e-5)
    }
}
