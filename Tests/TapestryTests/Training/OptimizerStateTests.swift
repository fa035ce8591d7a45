import ConformanceSuite
import Foundation
import Tapestry
import Testing

/// What all optimizers share: saving, groups, 16-bit parameters; averages, accumulation and clipping.
@Suite struct OptimizerStateTests {
    typealias Make = @Sendable ([ParameterGroup]) -> Optimizer
    static let all: [(String, Make)] = [
        ("SGD", { SGD($0, learningRate: 0.01, momentum: 0.9, nesterov: true) }), ("Adam", { Adam($0, amsgrad: true) }),
        ("AdamW", { AdamW($0) }), ("RMSProp", { RMSProp($0, momentum: 0.5, centered: true) }),
        ("Adagrad", { Adagrad($0, learningRateDecay: 0.1, initialAccumulator: 0.1) }), ("Adadelta", { Adadelta($0) }),
        ("Adamax", { Adamax($0) }), ("NAdam", { NAdam($0) }), ("RAdam", { RAdam($0, betas: (0.9, 0.9)) }),
        ("ASGD", { ASGD($0, start: 2) }), ("Rprop", { Rprop($0) }), ("Adafactor", { Adafactor($0) }), ("Lion", { Lion($0) }),
        ("Muon", { Muon($0) }),
    ]

    private func parameters(_ dtype: DType = .float32) -> [Parameter] {
        let generator = RandomGenerator(seed: 9)
        return [[3, 4], [2, 5]].map { Parameter(Tensor(normal: $0, dtype: .float32, generator: generator).to(dtype)) }
    }

    private func give(_ parameters: [Parameter], _ step: Int) {
        for (k, parameter) in parameters.enumerated() {
            let generator = RandomGenerator(seed: UInt64(100 * k + step))
            parameter.grad = Tensor(normal: parameter.shape, generator: generator).to(parameter.dtype)
        }
    }

    private func bits(_ parameters: [Parameter]) -> [[UInt8]] { parameters.map { $0.value.withUnsafeBytes { Array($0) } } }

    /// Stopped after three steps and continued through a checkpoint file: every bit as without the stop.
    @Test(arguments: all.indices) func resuming(_ index: Int) throws {
        let (name, make) = Self.all[index]
        final class Holder: Module {
            let weights: [Parameter]
            init(_ weights: [Parameter]) { self.weights = weights }
        }
        func groups(_ p: [Parameter]) -> [ParameterGroup] {
            [ParameterGroup([p[0]], learningRate: 0.02), ParameterGroup([p[1]], weightDecay: 0.1)]
        }
        let a = parameters(), whole = make(groups(a))
        for step in 0..<6 {
            give(a, step)
            whole.step()
        }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let b = parameters(), first = make(groups(b))
        for step in 0..<3 {
            give(b, step)
            first.step()
        }
        try Checkpoint(model: Holder(b), optimizer: first).write(path)
        let c = parameters(), second = make(groups(c))
        try Checkpoint(path).restore(model: Holder(c), optimizer: second)
        for step in 3..<6 {
            give(c, step)
            second.step()
        }
        #expect(bits(a) == bits(c), "\(name)")
        #expect(second.stepCount == 6 && second.groups[0].learningRate == 0.02)
        #expect(!a[0].value.isEqual(to: parameters()[0].value), "\(name) did not move")
    }

    /// 16-bit parameters move as float32 ones do, to rounding.
    @Test(arguments: all.indices) func halves(_ index: Int) {
        let (name, make) = Self.all[index]
        let a = parameters(.bfloat16), b = parameters(.bfloat16).map { Parameter($0.value.to(.float32)) }
        let half = make([ParameterGroup(a)]), single = make([ParameterGroup(b)])
        give(a, 1)
        for (x, y) in zip(a, b) { y.grad = x.grad!.to(.float32) }
        half.step()
        single.step()
        for (x, y) in zip(a, b) {
            #expect(x.dtype == .bfloat16)
            #expect(mismatch(x.value, y.value.to(.bfloat16), Tolerance(relative: 1e-2, absolute: 1e-3)) == nil, "\(name)")
        }
    }

    /// Lion against its formula (Chen et al., 2023, algorithm 2).
    @Test func lion() {
        let p = Parameter(Tensor([1.0, -2, 0.5], dtype: .float64))
        let optimizer = Lion([p], learningRate: 0.1, betas: (0.9, 0.95), weightDecay: 0.2)
        var x = [1.0, -2, 0.5], m = [0.0, 0, 0]
        for step in 0..<4 {
            let g = [0.3, step % 2 == 0 ? 1.0 : -1, 0]
            p.grad = Tensor(g, dtype: .float64)
            optimizer.step()
            for i in 0..<3 {
                let u = 0.9 * m[i] + 0.1 * g[i]
                x[i] -= 0.1 * ((u > 0 ? 1 : u < 0 ? -1 : 0) + 0.2 * x[i])
                m[i] = 0.95 * m[i] + 0.05 * g[i]
            }
            #expect(zip(p.value.scalars(Double.self), x).allSatisfy { Swift.abs($0 - $1) < 1e-12 })
        }
    }

    /// Rosenbrock's valley, from the usual start; stopped and continued in the middle.
    @Test func quasiNewton() throws {
        func run(_ saving: Bool) throws -> [Double] {
            let p = Parameter(Tensor([-1.2, 1.0], dtype: .float64))
            var optimizer = LBFGS([p], iterations: 5, historySize: 10, lineSearch: .strongWolfe)
            for step in 0..<12 {
                if saving && step == 4 {
                    let state = optimizer.state
                    optimizer = LBFGS([p], iterations: 5, historySize: 10, lineSearch: .strongWolfe)
                    try optimizer.loadState(state)
                }
                optimizer.step {
                    optimizer.zeroGrad()
                    let x = p.value[0], y = p.value[1]
                    let loss = square(1 - x) + 100 * square(y - x * x)
                    loss.backward()
                    return loss
                }
            }
            return p.value.scalars(Double.self)
        }
        let end = try run(false)
        // PyTorch's end: there the loss no longer changes by more than the tolerance.
        #expect(Swift.abs(end[0] - 0.9999993334076402) < 1e-12 && Swift.abs(end[1] - 0.9999986743824548) < 1e-12)
        #expect(try run(true) == end)
    }

    @Test func averages() {
        let layer = Linear(2, 1)
        let mean = AveragedModel(layer), moving = AveragedModel(layer, .exponential(decay: 0.75))
        for value in [1.0, 2, 6] {
            layer.weight.value = Tensor([[value, -value]])
            mean.update()
            moving.update()
        }
        #expect(mean.stateDict["weight"]!.isClose(to: Tensor([[3.0, -3]])))
        // 1, then 0.75 + 0.5, then 0.9375 + 1.5
        #expect(moving.stateDict["weight"]!.isClose(to: Tensor([[2.4375, -2.4375]])))
        #expect(mean.withAverages { layer.weight.value[0, 0].item(Double.self) } == 3)
        #expect(layer.weight.value[0, 0].item(Double.self) == 6)
        mean.apply()
        #expect(layer.weight.value[0, 1].item(Double.self) == -3)
    }

    /// Batch statistics of the averaged weights: the mean over all batches, the layer's own momentum and mode afterwards.
    @Test func statisticsAnew() {
        final class Centre: Module, RunningStatistics {
            let mean = Buffer(Tensor([100.0]))
            var momentum: Double? = 0.1
            var seen = 0
            func resetRunningStatistics() {
                mean.value = Tensor([0.0])
                seen = 0
            }
            func callAsFunction(_ x: Tensor) -> Tensor {
                if isTraining {
                    seen += 1
                    let share = momentum ?? 1 / Double(seen)
                    mean.value = mean.value * (1 - share) + x.mean() * share
                }
                return x - mean.value
            }
        }
        final class Model: Module { let centre = Centre() }
        let model = Model()
        model.eval()
        updateRunningStatistics(of: model, over: [1.0, 2, 6]) { _ = model.centre(Tensor([$0])) }
        #expect(Swift.abs(model.centre.mean.value.item(Double.self) - 3) < 1e-6)
        #expect(model.centre.momentum == 0.1 && !model.isTraining && !model.centre.isTraining)
    }

    /// Micro-batches of 5, 0, 1 and 10 tokens give the gradients of one batch of 16.
    @Test func accumulation() {
        let generator = RandomGenerator(seed: 3)
        let inputs = Tensor(normal: [16, 4], generator: generator),
            labels = Tensor(integers: 0..<3, shape: [16], generator: generator)
        let layer = Linear(4, 3)
        let whole = crossEntropy(layer(inputs), labels)
        whole.backward()
        let expected = layer.parameters.map { $0.grad! }
        let accumulator = GradientAccumulator(layer.parameters)
        for (start, end) in [(0, 5), (5, 5), (5, 6), (6, 16)] {
            accumulator.backward(crossEntropy(layer(inputs[start..<end]), labels[start..<end]), count: end - start)
        }
        #expect(accumulator.count == 16)
        #expect(Swift.abs(accumulator.finish() - whole.item(Double.self)) < 1e-6)
        for (parameter, gradient) in zip(layer.parameters, expected) {
            #expect(parameter.grad!.isClose(to: gradient, rtol: 1e-6, atol: 1e-6))
        }
    }

    @Test func clippingByOtherNorms() throws {
        func make(_ values: [Double]) -> [Parameter] {
            let parameter = Parameter(Tensor(zeros: [values.count], dtype: .float64))
            parameter.grad = Tensor(values, dtype: .float64)
            return [parameter]
        }
        #expect(gradNorm(make([3, -4]), p: 1) == 7 && gradNorm(make([3, -4]), p: .infinity) == 4)
        #expect(Swift.abs(gradNorm(make([1, 2]), p: 3) - pow(9, 1.0 / 3)) < 1e-12 && gradNorm([]) == 0)
        let largest = make([3, -4])
        clipGradNorm(largest, maxNorm: 2, p: .infinity)
        #expect(Swift.abs(largest[0].grad![1].item(Double.self) + 2) < 1e-5)
        let broken = make([.infinity, 1])
        #expect(throws: NonFiniteGradientError.self) { try clipFiniteGradNorm(broken, maxNorm: 1) }
        #expect(broken[0].grad![1].item(Double.self) == 1)
        #expect(gradNorm(make([.nan, 1]), p: .infinity).isNaN)
    }
}
