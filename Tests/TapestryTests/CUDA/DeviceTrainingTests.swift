import CUDAEmulator
import ConformanceSuite
import Foundation
import Tapestry
import Testing

@testable import CUDABackend

/// A GPT of a few hundred parameters.
enum TinyGPT {
    static func make(dropout: Double = 0, seed: UInt64 = 3) -> GPT {
        GPT(
            .init(vocabulary: 11, context: 6, width: 8, layers: 1, heads: 2, dropout: dropout),
            generator: RandomGenerator(seed: seed))
    }
    static func batch(_ seed: UInt64) -> (Tensor, Tensor) {
        let generator = RandomGenerator(seed: seed)
        return (
            Tensor(integers: 0..<11, shape: [2, 6], generator: generator),
            Tensor(integers: 0..<11, shape: [2, 6], generator: generator)
        )
    }
}

extension CUDATests {
    /// Models, optimizers and checkpoints on a device.
    @Suite struct Training {
        private let device = Emulated.device

        @Test func aModelMoves() {
            final class Model: Module {
                let layer = Linear(3, 2, generator: RandomGenerator(seed: 1))
                let mean = Buffer(Tensor([1, 2]))
                let frozen = Parameter(Tensor([5.0]))
            }
            let model = Model()
            model.frozen.requiresGrad = false
            let before = model.stateDict
            #expect(model.to(device) === model)
            #expect(model.parameters.allSatisfy { $0.device == device } && model.mean.value.device == device)
            #expect(model.layer.weight.requiresGrad && !model.frozen.requiresGrad)
            for (name, value) in model.stateDict { #expect(value.onCPU.isEqual(to: before[name]!), "\(name)") }
            model.to(.cpu)
            #expect(model.layer.weight.device == .cpu && model.layer.weight.value.isEqual(to: before["layer.weight"]!))
        }

        /// The CPU's bits, from any place of the generator on.
        @Test(arguments: [DType.bfloat16, .float16]) func stochasticRounding(_ type: DType) {
            let special: [Float] = [
                0, -0.0, .infinity, -.infinity, .nan, 65504, -65519, 65520, 3.4e38, 6e-8, -2e-8, 6.1e-5, 1e-40,
            ]
            for count in [0, 1, 127, 128, 129, 1001] {
                let wide = Tensor(normal: [count], standardDeviation: 30, generator: RandomGenerator(seed: 4))
                let x = concatenate([wide, Tensor(special), wide * 1e-6], axis: 0)
                func rounded(_ x: Tensor) -> Tensor {
                    let generator = RandomGenerator(seed: 1 << 40)
                    _ = x.roundedStochastically(to: type, generator: generator)
                    return x.roundedStochastically(to: type, generator: generator)
                }
                let there = rounded(x.to(device))
                #expect(there.device == device)
                #expect(there.onCPU.withUnsafeBytes { Array($0) } == rounded(x).withUnsafeBytes { Array($0) }, "\(count)")
            }
        }

        /// Parameters of 16 bits whose updates are far less than a step between neighbours get on nevertheless, as far as on the CPU.
        @Test(arguments: [ParameterRounding.stochastic, .compensated]) func narrowParameters(_ rounding: ParameterRounding) {
            func trained(_ device: Device) -> Tensor {
                manualSeed(8)
                let parameter = Parameter(Tensor(ones: [300], dtype: .bfloat16, device: device))
                let optimizer = SGD([parameter], learningRate: 1e-3)
                optimizer.parameterRounding = rounding
                for _ in 0..<20 {
                    parameter.grad = Tensor(ones: [300], device: device)
                    optimizer.step()
                }
                return parameter.value.to(device: .cpu)
            }
            let actual = trained(device)
            #expect(actual.withUnsafeBytes { Array($0) } == trained(.cpu).withUnsafeBytes { Array($0) })
            #expect(abs(actual.to(.float32).mean().item(Double.self) - 0.98) < 0.002)
        }

        /// Steps of training give what the CPU gives, within float32's error.
        @Test func trainingAsOnTheCPU() {
            func losses(_ device: Device) -> [Double] {
                let model = TinyGPT.make().to(device)
                let optimizer = AdamW(model.parameters, learningRate: 1e-2, weightDecay: 0.1)
                return (0..<3).map { step in
                    let (x, y) = TinyGPT.batch(UInt64(step))
                    let loss = model.loss(x.to(device), y.to(device))
                    optimizer.zeroGrad()
                    loss.backward()
                    clipGradNorm(optimizer.parameters, maxNorm: 0.5)
                    optimizer.step()
                    return loss.item(Double.self)
                }
            }
            for (a, b) in zip(losses(device), losses(.cpu)) { #expect(Swift.abs(a - b) < 1e-5 * b) }
        }

        /// A checkpoint written from a device goes on there and on the CPU; files are the same.
        @Test func checkpoints() throws {
            let path = NSTemporaryDirectory() + "tapestry-cuda-\(UUID().uuidString).safetensors"
            defer { try? FileManager.default.removeItem(atPath: path) }
            func step(_ model: GPT, _ optimizer: Optimizer, _ seed: UInt64) -> Double {
                let (x, y) = TinyGPT.batch(seed), device = model.finalNorm.weight!.device
                let loss = model.loss(x.to(device), y.to(device))
                optimizer.zeroGrad()
                loss.backward()
                optimizer.step()
                return loss.item(Double.self)
            }
            let model = TinyGPT.make().to(device), optimizer = AdamW(model.parameters, learningRate: 1e-2)
            _ = step(model, optimizer, 1)
            try Checkpoint(model: model, optimizer: optimizer).write(path)
            let next = step(model, optimizer, 2), second = step(model, optimizer, 3)
            for other in [device, .cpu] {
                let fresh = TinyGPT.make(seed: 9).to(other), its = AdamW(fresh.parameters, learningRate: 1e-2)
                try Checkpoint(path).restore(model: fresh, optimizer: its)
                #expect(fresh.parameters.allSatisfy { $0.device == other } && its.stepCount == 1)
                let a = step(fresh, its, 2), b = step(fresh, its, 3)
                if other == device { #expect(a == next && b == second, "bit for bit") }
                #expect(Swift.abs(a - next) < 1e-5 * next && Swift.abs(b - second) < 1e-5 * second)
            }
        }

        @Test func generating() {
            let model = TinyGPT.make()
            let expected = model.generate([1, 2, 3], count: 6, temperature: 0)
            #expect(model.to(device).generate([1, 2, 3], count: 6, temperature: 0) == expected)
            #expect(model.generate([1], count: 3, temperature: 1, generator: RandomGenerator(seed: 2)).count == 4)
        }

        /// Once warm, a step asks the driver for nothing.
        @Test func noDriverAllocations() {
            let model = TinyGPT.make(dropout: 0.1).to(device), optimizer = AdamW(model.parameters)
            func step(_ seed: UInt64) {
                let (x, y) = TinyGPT.batch(seed)
                let loss = model.loss(x.to(device), y.to(device))
                optimizer.zeroGrad()
                loss.backward()
                optimizer.step()
            }
            for seed in 0..<2 { step(UInt64(seed)) }
            let before = CUDA.memoryStatistics(device)
            for seed in 2..<5 { step(UInt64(seed)) }
            let after = CUDA.memoryStatistics(device)
            #expect(after.driverAllocations == before.driverAllocations && after.bytesInUse == before.bytesInUse)
            #expect(after.allocations > before.allocations + 100)
        }

        /// Fresh memory is full of NaNs: nothing reads what nobody wrote.
        @Test func poisonedMemory() {
            let clean = losses()
            CUDA.poisonMemory(true, device)
            defer { CUDA.poisonMemory(false, device) }
            #expect(RawTensor(Layout(shape: [3]), .float32, device).isPoisoned)
            #expect(losses() == clean)
        }

        private func losses() -> [Double] {
            let model = TinyGPT.make().to(device), optimizer = AdamW(model.parameters)
            return (0..<2).map { step in
                let (x, y) = TinyGPT.batch(UInt64(step))
                let loss = model.loss(x.to(device), y.to(device))
                optimizer.zeroGrad()
                loss.backward()
                optimizer.step()
                return loss.item(Double.self)
            }
        }

        // MARK: Mixed precision

        /// Losses and gradients in 16 bits stay near float32's, and arrive in float32.
        @Test(arguments: [DType.bfloat16, .float16]) func autocasting(_ type: DType) {
            let model = TinyGPT.make().to(device), (x, y) = TinyGPT.batch(1)
            let exact = model.loss(x.to(device), y.to(device))
            exact.backward()
            let wanted = model.parameters.map { $0.grad! }
            model.zeroGrad()
            let loss = autocast(to: type) { model.loss(x.to(device), y.to(device)) }
            #expect(loss.dtype == .float32 && loss.device == device)
            loss.backward()
            #expect(Swift.abs(loss.item(Double.self) - exact.item(Double.self)) < 0.02)
            for (parameter, wanted) in zip(model.parameters, wanted) {
                #expect(parameter.grad!.dtype == .float32)
                let scale = Swift.max(abs(wanted).max().item(Double.self), 1e-3)
                let wrong = mismatch(parameter.grad!, wanted, Tolerance(relative: 0, absolute: 0.06 * scale))
                #expect(wrong == nil, "\(wrong ?? "")")
            }
        }

        /// The scale halves on an overflow, whose step is left out, and doubles after enough good steps.
        @Test func scaling() {
            let parameters = (0..<3).map { Parameter(Tensor([Float($0), 2]).to(device)) }
            let optimizer = SGD(parameters, learningRate: 1)
            let scaler = GradScaler(growthInterval: 2)
            func step(_ factor: Double) -> Bool {
                optimizer.zeroGrad()
                let sum = parameters.map { $0.value.to(.float16).sum() }.reduce(Tensor(0.0, dtype: .float16, device: device)) {
                    $0 + $1
                }
                scaler.scale(sum.to(.float32) * factor).backward()
                let stepped = scaler.step(optimizer)
                scaler.update()
                return stepped
            }
            #expect(scaler.scale == 65536)
            #expect(!step(4), "4 · 65536 is no float16")
            #expect(scaler.scale == 32768 && parameters[1].value.scalars(Float.self) == [1, 2])
            #expect(step(1) && parameters[1].value.scalars(Float.self) == [0, 1])
            #expect(scaler.growthCount == 1)
            #expect(step(0.5) && scaler.scale == 65536 && parameters[1].value.scalars(Float.self) == [-0.5, 0.5])
        }

        /// However many parameters there are, the device is waited for once.
        @Test func theScalerWaitsOnce() {
            let parameters = (0..<20).map { _ in Parameter(Tensor(ones: [5], device: device)) }
            for parameter in parameters { parameter.grad = Tensor(ones: [5], device: device) }
            let optimizer = SGD(parameters, learningRate: 1), scaler = GradScaler()
            let waits = tk_emulator_get_statistics().waits
            #expect(scaler.step(optimizer))
            #expect(tk_emulator_get_statistics().waits == waits + 1)
        }

        /// So it is with clipping, which need not wait at all.
        @Test func clippingWaitsOnce() {
            func gradients(_ device: Device) -> [Parameter] {
                let parameters = (0..<6).map { Parameter(Tensor(ones: [$0], device: device)) }
                for (k, parameter) in parameters.enumerated() {
                    parameter.grad = Tensor(normal: [k], generator: RandomGenerator(seed: UInt64(k))).to(device)
                }
                return parameters
            }
            for limit in [0.1, 100] {
                let here = gradients(.cpu), there = gradients(device), elsewhere = gradients(device)
                let norm = clipGradNorm(here, maxNorm: limit)
                let waits = tk_emulator_get_statistics().waits
                #expect(Swift.abs(clipGradNorm(there, maxNorm: limit) - norm) < 1e-12 * norm)
                #expect(tk_emulator_get_statistics().waits == waits + 1)
                let lazy = clipGradNormOnDevice(elsewhere, maxNorm: limit)
                #expect(tk_emulator_get_statistics().waits == waits + 1 && lazy.device == device && lazy.dtype == .float64)
                #expect(Swift.abs(lazy.item(Double.self) - norm) < 1e-12 * norm)
                for k in here.indices {
                    #expect(
                        there[k].grad!.onCPU.isEqual(to: here[k].grad!) && elsewhere[k].grad!.onCPU.isEqual(to: here[k].grad!))
                }
            }
            #expect(clipGradNormOnDevice([], maxNorm: 1).item(Double.self) == 0)
        }
    }
}

extension RawTensor {
    fileprivate var isPoisoned: Bool { Tensor(raw: self).scalars(Float.self).allSatisfy(\.isNaN) }
}
