import CKernels
import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

/// Stochastic rounding, compensated sums, and optimizers of 16-bit parameters that use them.
@Suite(.serialized) struct RoundingTests {
    /// The neighbours of a number among those of a 16-bit type, found by their bits.
    private func neighbours(_ x: Float, _ dtype: DType) -> (below: Float, above: Float) {
        let nearest = Tensor([x]).to(dtype)
        let value = nearest.item(Float.self)
        if value == x { return (x, x) }
        let bits = nearest.withUnsafeBytes { $0.load(as: UInt16.self) }
        // Away from 0 is one more in the bits, towards 0 one less.
        let other: UInt16 = (abs(value) < abs(x)) ? bits + 1 : bits - 1
        let neighbour = dtype == .bfloat16 ? Float(bitPattern: UInt32(other) << 16) : Float(halfBits: other)
        return (min(value, neighbour), max(value, neighbour))
    }

    /// Only the two neighbours occur, and the mean of many draws is the number itself.
    @Test(arguments: [DType.bfloat16, .float16]) func expectation(_ dtype: DType) {
        let n = 20_000
        let generator = RandomGenerator(seed: 3)
        let values: [Float] = [1.001, -1.001, 3.14159, 0.1, -77.7, 1e-3, dtype == .float16 ? 3.3e-6 : 1e-30, 1.9999, 1000.3]
        for x in values {
            let (below, above) = neighbours(x, dtype)
            let drawn = Tensor(repeating: Double(x), shape: [n]).roundedStochastically(to: dtype, generator: generator)
            let results = Set(drawn.to(.float32).scalars(Float.self))
            #expect(results == [below, above], "\(x): \(results) beside \(below), \(above)")
            let mean = drawn.to(.float64).mean().item(Double.self), step = Double(above) - Double(below)
            let share = (Double(x) - Double(below)) / step
            let deviation = 5 * (share * (1 - share) / Double(n)).squareRoot() * step
            #expect(abs(mean - Double(x)) <= deviation, "\(x): mean \(mean)")
        }
    }

    /// What 16 bits hold stays; infinities and NaN stay what they are; the largest number does not become infinite.
    @Test(arguments: [DType.bfloat16, .float16]) func specialValues(_ dtype: DType) {
        let exact: [Float] = [
            0, -0.0, 1, -2.5, 0.15625, dtype == .float16 ? 65504 : 3.3895314e38, dtype == .float16 ? 5.9604645e-8 : 1e-38,
        ]
        let x = Tensor(exact).to(dtype).to(.float32)
        for _ in 0..<20 { #expect(x.roundedStochastically(to: dtype).to(.float32).scalars(Float.self) == x.scalars(Float.self)) }
        let wild = Tensor([Float.infinity, -.infinity, .nan]).roundedStochastically(to: dtype).to(.float32).scalars(Float.self)
        #expect(wild[0] == .infinity && wild[1] == -.infinity && wild[2].isNaN)
        let largest: Float = dtype == .float16 ? 65504 : Float(bitPattern: 0x7f7f_0000)
        let beyond = Tensor([Float](repeating: largest.nextUp, count: 2000)).roundedStochastically(to: dtype)
        #expect(beyond.to(.float32).scalars(Float.self).allSatisfy { $0 == largest })
    }

    /// One seed gives the same bits for any number of threads and instruction set; another seed others.
    @Test(arguments: [DType.bfloat16, .float16]) func reproducible(_ dtype: DType) {
        let x = Tensor(normal: [70_001], generator: RandomGenerator(seed: 1))
        func rounded(_ seed: UInt64) -> [UInt8] {
            x.roundedStochastically(to: dtype, generator: RandomGenerator(seed: seed)).withUnsafeBytes { Array($0) }
        }
        let threads = Configuration.threadCount
        defer { Configuration.threadCount = threads }
        Configuration.threadCount = 1
        let one = rounded(5)
        for count in [2, 3] {
            Configuration.threadCount = count
            #expect(rounded(5) == one)
        }
        #expect(rounded(6) != one)
        defer { _ = tk_set_isa_level(-1) }
        for level in [0, 1, 2] where tk_set_isa_level(Int32(level)) == Int32(level) { #expect(rounded(5) == one) }
        // A generator goes on: the next draw differs.
        let generator = RandomGenerator(seed: 5)
        let first = x.roundedStochastically(to: dtype, generator: generator)
        #expect(!(first .== x.roundedStochastically(to: dtype, generator: generator)).all().item(Bool.self))
    }

    /// The gradient is the cast's, and under vmap every example draws its own numbers.
    @Test func transforms() {
        let x = Tensor([1.001, 2.003, -3.2], requiresGrad: true)
        (x.roundedStochastically(to: .bfloat16).to(.float32) * Tensor([1.0, 2.0, 3.0])).sum().backward()
        #expect(x.grad!.scalars(Float.self) == [1, 2, 3])
        let rows = Tensor(repeating: 1.001, shape: [64, 8])
        let mapped = vmap { $0.roundedStochastically(to: .bfloat16) }(rows)
        #expect(mapped.shape == [64, 8] && mapped.dtype == .bfloat16)
        #expect(Set(mapped.to(.float32).scalars(Float.self)).count == 2)
    }

    // MARK: Compensated sums

    /// Numbers that a running sum loses; the compensated one is exact to a rounding.
    @Test func compensatedSums() {
        let hard: [Double] = [1e16, 1, -1e16, 1, 3, -2, 1e16, 0.5, -1e16]
        let many = Array(repeating: hard, count: 5000).flatMap { $0 }
        let x = Tensor(many, shape: [many.count], dtype: .float64)
        #expect(x.sum(compensated: true).item(Double.self) == 3.5 * 5000)
        #expect(x.sum().item(Double.self) != 3.5 * 5000)
        let columns = x.reshaped([5000, 9]).sum(1, compensated: true)
        #expect(columns.scalars(Double.self).allSatisfy { $0 == 3.5 })
        let transposed = x.reshaped([5000, 9]).transposed(0, 1).contiguous().sum(0, compensated: true)
        #expect(transposed.scalars(Double.self).allSatisfy { $0 == 3.5 })

        // A million numbers of mean 0: the exact sum is float64's.
        let noise = Tensor(normal: [1_000_003], generator: RandomGenerator(seed: 8))
        let exact = Float(noise.to(.float64).sum(compensated: true).item(Double.self))
        #expect(noise.sum(compensated: true).item(Float.self) == exact)
        let half = noise.to(.bfloat16)
        let wanted = Tensor(half.to(.float64).sum(compensated: true).item(Double.self)).to(.float32).to(.bfloat16)
        #expect(half.sum(compensated: true).item(Float.self) == wanted.item(Float.self))
    }

    @Test func compensatedSumsOfSpecialValues() {
        #expect(Tensor([1.0, .infinity, 2]).sum(compensated: true).item(Double.self) == .infinity)
        #expect(Tensor([1.0, .infinity, -.infinity]).sum(compensated: true).item(Double.self).isNaN)
        #expect(Tensor([[1.0, .infinity], [2, 3]]).sum(0, compensated: true).scalars(Double.self) == [3, .infinity])
        #expect(Tensor(zeros: [0]).sum(compensated: true).item(Double.self) == 0)
        let threads = Configuration.threadCount
        defer { Configuration.threadCount = threads }
        let x = Tensor(normal: [300_000], generator: RandomGenerator(seed: 2))
        Configuration.threadCount = 1
        let one = x.sum(compensated: true).item(Float.self)
        Configuration.threadCount = 3
        #expect(x.sum(compensated: true).item(Float.self) == one)
    }

    // MARK: Optimizers

    /// A weight of 1 and updates of a hundredth of bfloat16's step there: frozen by rounding to nearest, moved by the others by what
    /// they add up to.
    @Test(arguments: [DType.bfloat16, .float16]) func smallUpdates(_ dtype: DType) {
        let step = dtype == .bfloat16 ? 0x1p-7 : 0x1p-10, steps = 400
        func end(_ rounding: ParameterRounding) -> Tensor {
            manualSeed(11)
            let weight = Parameter(Tensor(ones: [512]).to(dtype))
            let optimizer = SGD([weight], learningRate: step / 100)
            optimizer.parameterRounding = rounding
            for _ in 0..<steps {
                weight.grad = Tensor(repeating: -1, shape: [512]).to(dtype)
                optimizer.step()
            }
            return weight.value.detached().to(.float64)
        }
        let wanted = 1 + step / 100 * Double(steps)
        #expect((end(.nearest) .== 1).all().item(Bool.self))
        let kept = end(.compensated)
        #expect(abs(kept - wanted).max().item(Double.self) <= step / 2 * 1.05)
        // The sum of 400 draws of 0 or 1 steps, each with probability 0.01: 4 ± 2; the mean of 512 such to 5 σ.
        let drawn = end(.stochastic)
        #expect(abs(drawn.mean().item(Double.self) - wanted) <= 5 * 2 * step / 512.0.squareRoot())
        #expect(drawn.variance(correction: 0).item(Double.self) > 0)
    }

    /// All rules, in one pass over 16 bits, against the same rule on float32 that is rounded by the operation.
    @Test(arguments: OptimizerStateTests.all.indices) func onePass(_ index: Int) {
        let (name, make) = OptimizerStateTests.all[index]
        for rounding in [ParameterRounding.nearest, .compensated] {
            let start = Tensor(normal: [3, 1111], generator: RandomGenerator(seed: 1)).to(.bfloat16)
            let narrow = Parameter(start), wide = Parameter(start.to(.float32))
            let a = make([ParameterGroup([narrow])]), b = make([ParameterGroup([wide])])
            a.parameterRounding = rounding
            for step in 0..<4 {
                let gradient = Tensor(normal: [3, 1111], generator: RandomGenerator(seed: UInt64(step + 5))).to(.bfloat16)
                narrow.grad = gradient
                wide.grad = gradient.to(.float32)
                a.step()
                b.step()
                // Compensated, it follows the float32 weight; otherwise that is rounded after every step.
                if case .nearest = rounding {
                    wide.value = wide.value.detached().to(.bfloat16).to(.float32)
                    #expect(
                        (narrow.value.detached() .== wide.value.detached().to(.bfloat16)).all().item(Bool.self), "\(name) \(step)"
                    )
                } else {
                    let whole = narrow.value.detached().to(.float32) + a.state.tensors["0.compensation"]!.to(.float32)
                    let wrong = mismatch(whole, wide.value.detached(), Tolerance(relative: 2e-4, absolute: 2e-4))
                    #expect(wrong == nil, "\(name) \(step): \(wrong ?? "")")
                }
            }
            #expect(a.state.tensors.allSatisfy { $0.key.hasSuffix("compensation") || $0.value.dtype != .bfloat16 })
        }
    }

    /// Stopped and continued through a checkpoint: every bit as without the stop, compensation and random numbers included.
    @Test(arguments: [ParameterRounding.compensated, .stochastic]) func resuming(_ rounding: ParameterRounding) throws {
        final class Holder: Module {
            let weight = Parameter(Tensor(normal: [40, 7], generator: RandomGenerator(seed: 4)).to(.bfloat16))
        }
        func optimizer(_ model: Holder) -> AdamW {
            let optimizer = AdamW(model.parameters, learningRate: 1e-4)
            optimizer.parameterRounding = rounding
            return optimizer
        }
        func train(_ model: Holder, _ optimizer: Optimizer, _ steps: Range<Int>) {
            for step in steps {
                model.weight.grad = Tensor(normal: [40, 7], generator: RandomGenerator(seed: UInt64(step))).to(.bfloat16)
                optimizer.step()
            }
        }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        manualSeed(2)
        let a = Holder(), whole = optimizer(a)
        train(a, whole, 0..<3)
        try Checkpoint(model: a, optimizer: whole).write(path)
        train(a, whole, 3..<9)
        manualSeed(77)
        let b = Holder(), second = optimizer(b)
        try Checkpoint(path).restore(model: b, optimizer: second)
        train(b, second, 3..<9)
        #expect(a.weight.value.withUnsafeBytes { Array($0) } == b.weight.value.withUnsafeBytes { Array($0) })
    }

    // MARK: Training

    /// A character GPT on Shakespeare: mixed precision, and weights of bfloat16 alone, reach float32's held-out loss within 1 %;
    /// rounded to nearest, the same weights stay behind.
    @Test func languageModel() throws {
        let text = try readText(RoundingTests.shakespeare)
        let tokenizer = CharacterTokenizer(text)
        let tokens = try tokenizer.encode(String(text.prefix(200_000)))
        var windows = try TokenWindows(Array(tokens.suffix(20_000)), length: 16, batchSize: 128, seed: 1)
        let heldOut = windows.next()
        func loss(_ dtype: DType, mixed: Bool = false, _ rounding: ParameterRounding = .nearest) throws -> Double {
            manualSeed(1)
            let model = GPT(
                .init(vocabulary: tokenizer.vocabulary.count, context: 16, width: 64, layers: 1, heads: 4),
                generator: RandomGenerator(seed: 7))
            if dtype != .float32 { model.convert(to: dtype) }
            let optimizer = AdamW(model.parameters, learningRate: 3e-3, betas: (0.9, 0.99))
            optimizer.parameterRounding = rounding
            let schedule = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: 20, steps: 300, minimum: 3e-5))
            var batches = try TokenWindows(Array(tokens.dropLast(20_000)), length: 16, batchSize: 32, seed: 3)
            for _ in 0..<300 {
                let (inputs, targets) = batches.next()
                let loss = autocast(enabled: mixed) { model.loss(inputs, targets) }
                optimizer.zeroGrad()
                loss.backward()
                clipGradNorm(model.parameters, maxNorm: 1)
                optimizer.step()
                schedule.advance()
            }
            model.eval()
            return withoutGrad {
                let logits = model(heldOut.inputs).to(.float32)
                return crossEntropy(logits.reshaped([-1, logits.shape.last!]), heldOut.targets.reshaped([-1])).item(Double.self)
            }
        }
        let exact = try loss(.float32)
        let mixed = try loss(.float32, mixed: true)
        let kahan = try loss(.bfloat16, .compensated), stochastic = try loss(.bfloat16, .stochastic)
        let nearest = try loss(.bfloat16)
        let all = "float32 \(exact), mixed \(mixed), compensated \(kahan), stochastic \(stochastic), nearest \(nearest)"
        #expect(exact < 2.7, "\(all)")
        for other in [mixed, kahan, stochastic] { #expect(other <= 1.01 * exact, "\(all)") }
        #expect(nearest > max(kahan, stochastic), "\(all)")
    }

    private static let shakespeare = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Examples/Data/shakespeare_8_plays.txt")
        .path

    /// Parameters and what a step keeps for its gradients take half the bytes; compensation a half of a float32 again.
    @Test func bytes() {
        func measure(_ dtype: DType, mixed: Bool) -> (parameters: Int, tape: Int) {
            let before = MemoryStatistics.current.bytesInUse
            let model = GPT(
                .init(vocabulary: 64, context: 64, width: 128, layers: 2, heads: 4), generator: RandomGenerator(seed: 7))
            if dtype != .float32 { model.convert(to: dtype) }
            let parameters = MemoryStatistics.current.bytesInUse - before
            let ids = Tensor(zeros: [16, 64], dtype: .int64)
            let start = MemoryStatistics.current.bytesInUse
            let loss = autocast(enabled: mixed) { model.loss(ids, ids) }
            let tape = MemoryStatistics.current.bytesInUse - start
            withExtendedLifetime((loss, model)) {}
            return (parameters, tape)
        }
        _ = measure(.float32, mixed: false)
        let wide = measure(.float32, mixed: false), narrow = measure(.bfloat16, mixed: false)
        let mixed = measure(.float32, mixed: true)
        #expect(Double(narrow.parameters) < 0.55 * Double(wide.parameters), "\(narrow) beside \(wide)")
        #expect(Double(narrow.tape) < 0.6 * Double(wide.tape), "\(narrow) beside \(wide)")
        #expect(mixed.parameters == wide.parameters)
        #expect(Double(mixed.tape) < 0.8 * Double(wide.tape), "\(mixed) beside \(wide)")
    }
}

extension Float {
    /// A float16 by its bits.
    fileprivate init(halfBits bits: UInt16) {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1, exponent = Int(bits >> 10) & 31, mantissa = Float(bits & 1023)
        self =
            exponent == 0
            ? sign * mantissa * 0x1p-24 : sign * (1024 + mantissa) * Float(sign: .plus, exponent: exponent - 25, significand: 1)
    }
}
