import CCUDA
import CUDAEmulator
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Work that is captured once and replayed gives what the work itself gives, bit for bit.
    @Suite struct Graphs {
        private let device = Emulated.device

        private func bits(_ x: Tensor) -> [UInt64] { x.scalars(Double.self).map(\.bitPattern) }

        @Test func replaysOfOtherInputs() throws {
            let w = Tensor(normal: [5, 4], generator: RandomGenerator(seed: 1)).to(device)
            let graph = try CUDA.Graph.capture([Tensor(zeros: [3, 5], device: device)]) { [softmax($0[0].matmul(w), axis: -1)] }
            #expect(graph.nodeCount >= 2 && graph.replayCount == 0)
            let launches = tk_emulator_get_statistics().graph_launches
            var results: [Tensor] = []
            for seed in 0..<3 {
                let x = Tensor(normal: [3, 5], generator: RandomGenerator(seed: UInt64(seed)))
                // From the CPU and from the device.
                results += try graph.replay([seed == 1 ? x : x.to(device)])
                #expect(bits(results[seed]) == bits(softmax(x.to(device).matmul(w), axis: -1)))
            }
            #expect(tk_emulator_get_statistics().graph_launches == launches + 3 && graph.replayCount == 3)
            #expect(bits(results[0]) != bits(results[1]), "results are copies, which later replays leave alone")
        }

        /// Random numbers go on as they would without a graph; so does what is drawn between the replays.
        @Test func randomNumbersAdvance() throws {
            let x = Tensor(ones: [50], device: device)
            func work(_ generator: RandomGenerator) -> Tensor {
                dropout(x, probability: 0.5, training: true, generator: generator)
                    + Tensor(normal: [50], device: device, generator: generator)
            }
            let eager = RandomGenerator(seed: 5), captured = RandomGenerator(seed: 5)
            let graph = try CUDA.Graph.capture(on: device) { _ in [work(captured)] }
            #expect(captured.state == eager.state, "a capture draws nothing")
            for round in 0..<3 {
                if round == 2 { for generator in [eager, captured] { generator.manualSeed(99) } }
                #expect(bits(work(eager)) == bits(try graph.replay()[0]), "replay \(round)")
                #expect(captured.state == eager.state)
                _ = (Tensor(uniform: [7], generator: eager), Tensor(uniform: [7], generator: captured))
            }
        }

        /// Whole steps of training: dropout, attention, cross-entropy, clipping, AdamW with a schedule.
        @Test(arguments: [false, true]) func trainingSteps(_ mixed: Bool) throws {
            func train(captured: Bool) throws -> (losses: [UInt64], parameters: [[UInt64]]) {
                let generator = RandomGenerator(seed: 8)
                let model = GPT(
                    .init(vocabulary: 11, context: 6, width: 8, layers: 1, heads: 2, dropout: 0.2), generator: generator
                ).to(device)
                let optimizer = AdamW(model.parameters, learningRate: 1e-2, weightDecay: 0.1)
                let scheduler = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: 2, steps: 6, minimum: 1e-3))
                func step(_ batch: [Tensor]) -> [Tensor] {
                    let loss = autocast(enabled: mixed) { model.loss(batch[0], batch[1]) }
                    optimizer.zeroGrad()
                    loss.backward()
                    clipGradNormOnDevice(optimizer.parameters, maxNorm: 0.5)
                    optimizer.step()
                    return [loss]
                }
                var graph: CUDA.Graph?, losses: [UInt64] = []
                for number in 0..<5 {
                    let (x, y) = TinyGPT.batch(UInt64(number)), batch = [x.to(device), y.to(device)]
                    if captured && number == 2 { graph = try CUDA.Graph.capture(batch, step) }
                    losses += bits(try graph?.replay(batch)[0] ?? step(batch)[0])
                    scheduler.advance()
                    #expect(optimizer.stepCount == number + 1)
                }
                return (losses, model.parameters.map { bits($0.value) })
            }
            let eager = try train(captured: false), replayed = try train(captured: true)
            #expect(eager.losses == replayed.losses && eager.parameters == replayed.parameters)
        }

        @Test(arguments: [0, 1]) func stepsOfOtherOptimizers(_ which: Int) throws {
            func train(captured: Bool) throws -> [UInt64] {
                let p = Parameter(Tensor([1.0, -2, 3]).to(device))
                let optimizer: Optimizer =
                    which == 0
                    ? SGD([p], learningRate: 0.1, momentum: 0.9) : RMSProp([p], learningRate: 0.1, momentum: 0.5)
                func step() {
                    let loss = (p.value * p.value * p.value).sum()
                    optimizer.zeroGrad()
                    loss.backward()
                    optimizer.step()
                }
                step()
                let graph = captured ? try CUDA.Graph.capture(on: device) { step() } : nil
                for number in 0..<3 {
                    optimizer.learningRate = 0.1 / Double(number + 1)
                    if let graph { try graph.replay() } else { step() }
                }
                return bits(p.value)
            }
            #expect(try train(captured: true) == train(captured: false))
        }

        /// What a graph uses stays its own: others write elsewhere, whoever has let go of what.
        @Test func memoryIsPrivate() throws {
            var x: Tensor? = Tensor((0..<1000).map { Float($0) }).to(device)
            let address = x!.raw.pointer
            var graph: CUDA.Graph? = try CUDA.Graph.capture(on: device) { [x] _ in [(x! * 2 + 1).sum()] }
            x = nil
            let others = (0..<8).map { Tensor(repeating: Float($0), shape: [1000], device: device) }
            #expect(others.allSatisfy { $0.raw.pointer != address })
            #expect(try graph!.replay()[0].item(Float.self) == 1_000_000)
            #expect((0..<8).allSatisfy { others[$0].onCPU.isEqual(to: Tensor(repeating: Float($0), shape: [1000])) })
            let used = CUDA.memoryStatistics(device)
            let before = used.driverAllocations
            for _ in 0..<3 { #expect(try graph!.replay()[0].item(Float.self) == 1_000_000) }
            #expect(CUDA.memoryStatistics(device).driverAllocations == before, "replays ask for nothing")
            graph = nil
            // Then it is anybody's: sooner or later, as other blocks may be free too, a part of a new tensor.
            var later: [Tensor] = []
            func isFound(_ x: Tensor) -> Bool { x.raw.pointer <= address && address < x.raw.pointer + 4096 }
            while later.count < 4000 && !later.suffix(1).contains(where: isFound) {
                later.append(Tensor(ones: [1000], device: device))
            }
            #expect(later.suffix(1).contains(where: isFound))
        }

        /// Replays in another stream come after those before.
        @Test func replaysFollowEachOther() throws {
            let p = Parameter(Tensor([1.0]).to(device)), optimizer = SGD([p], learningRate: 1)
            func step() {
                optimizer.zeroGrad()
                (-p.value).sum().backward()
                optimizer.step()
            }
            step()
            let graph = try CUDA.Graph.capture(on: device) { _ in
                step(); return [p.value + 0]
            }
            let side = try CUDA.Stream(device: device)
            CUDA.synchronize(device)
            try Emulated.delayed {
                try graph.replay()
                let result = try CUDA.withStream(side) { try graph.replay()[0].item(Float.self) }
                #expect(result == 4)
            }
        }

        // MARK: What is refused

        private func refusal(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "nothing was refused"
            } catch CUDAError.notCapturable(let text) { return text } catch { return "another error: \(error)" }
        }

        @Test func whatCannotBeCaptured() throws {
            let x = Tensor([1.0, 2]).to(device)
            let read = refusal { _ = try CUDA.Graph.capture(on: device) { _ in [x * x.sum().item(Double.self)] } }
            #expect(read.hasPrefix("a tensor's elements are read on the CPU in a capture"), "\(read)")
            let sent = refusal { _ = try CUDA.Graph.capture(on: device) { _ in [x + Tensor([3.0, 4]).to(device)] } }
            #expect(sent.hasPrefix("data is copied from the CPU to the device in a capture"), "\(sent)")
            let waited = refusal {
                _ = try CUDA.Graph.capture(on: device) { _ in
                    CUDA.synchronize(device); return []
                }
            }
            #expect(waited.hasPrefix("the host waits for the device in a capture"), "\(waited)")
            let drawn = refusal { _ = try CUDA.Graph.capture(on: device) { _ in [x * Tensor(uniform: [2]).count] } }
            #expect(drawn.contains("random numbers were drawn in a capture that no kernel of the graph got"), "\(drawn)")
            var state = Tensor([1.0, 1]).to(device)
            let replaced = refusal {
                _ = try CUDA.Graph.capture(on: device) { _ in
                    state = state * 2
                    return []
                }
            }
            #expect(replaced.contains("bytes of tensors from outside were used in a capture and then replaced"), "\(replaced)")
            struct Stop: Error {}
            #expect(throws: Stop.self) { _ = try CUDA.Graph.capture(on: device) { _ in throw Stop() } }
            #expect((x + 1).scalars(Float.self) == [2, 3], "all goes on as before")
            let fine = try CUDA.Graph.capture(on: device) { _ in [x + 1] }
            #expect(try fine.replay()[0].scalars(Float.self) == [2, 3])
        }

        /// A parameter that shares its memory would be copied by a step, behind the graph's back.
        @Test func stepsThatAreNoLongerTheSame() throws {
            let p = Parameter(Tensor([1.0, 2]).to(device)), optimizer = Adam([p], learningRate: 0.1)
            func step() {
                optimizer.zeroGrad()
                (p.value * p.value).sum().backward()
                optimizer.step()
            }
            step()
            let graph = try CUDA.Graph.capture(on: device) { _ in
                step(); return []
            }
            try graph.replay()
            let held = p.value.detached(), values = held.scalars(Float.self)
            let shared = refusal { try graph.replay() }
            #expect(shared.contains("is shared with another"), "\(shared)")
            #expect(held.scalars(Float.self) == values && p.value.scalars(Float.self) == values, "nothing was run")
            p.grad = nil
            let missing = refusal { try graph.replay() }
            #expect(missing.contains("the optimizer's step is not the captured one"), "\(missing)")
        }
    }
}
