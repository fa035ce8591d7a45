import Foundation
import Tapestry
import Testing

@testable import Digits
@testable import VanishingGradients

/// The instruments find the faults that they are for, and nothing where there is none.
@Suite struct DiagnosisTests {
    @Test func gradCheckOfUsersFunctions() throws {
        let x = Tensor(normal: [3, 4], dtype: .float64, generator: RandomGenerator(seed: 1))
        try gradCheck({ ($0[0] * sigmoid($0[0])).sum(1) }, [x], secondOrder: true)
        try gradCheck({ matmul($0[0], $0[1]) }, [x, x.T], secondOrder: true)
        // A gradient that is lost, and one that is twice what it should be.
        let lost = #expect(throws: GradCheckError.self) { try gradCheck({ $0[0] * $0[0].detached() }, [x]) }
        #expect(lost?.input == 0 && lost?.isSecondOrder == false)
        let doubled = #expect(throws: GradCheckError.self) {
            try gradCheck(
                { inputs in
                    let y = sin(inputs[0])
                    y.tapeNode?.preHooks.append { $0.map { $0.map { $0 * 2 } } }
                    return y
                }, [x])
        }
        #expect(abs(doubled!.byTape / doubled!.byDifferences - 2) < 1e-3)
    }

    @Test func gradientsByLayer() {
        let generator = RandomGenerator(seed: 2)
        // Twelve layers of sigmoids, whose derivative is at most 1/4.
        let deep = Sequential((0..<12).flatMap { _ -> [any Layer] in [Linear(16, 16, generator: generator), Sigmoid()] })
        let x = Tensor(normal: [8, 16], generator: generator)
        deep(x).sum().backward()
        let report = GradientReport(deep)
        let norms = report.parameters.filter { $0.name.hasSuffix("weight") }.map { $0.gradientNorm! }
        #expect(norms.first! < norms.last! * 1e-5)
        #expect(report.spread > 1e5 && report.withoutGradient.isEmpty)
        #expect(report.description.contains("layers.22.weight"))
        let grad = deep.parameters[0].grad!
        #expect(abs(report.parameters[0].gradientNorm! - sqrt((grad * grad).sum()).item(Double.self)) < 1e-9)
        deep.zeroGrad()
        #expect(GradientReport(deep).withoutGradient.count == 24)
    }

    @Test func deadReLUs() throws {
        let generator = RandomGenerator(seed: 2)
        let layer = Linear(8, 10, generator: generator)
        var bias = layer.bias!.value.detached()
        bias[0..<4] = Tensor(repeating: -100, shape: [4], dtype: .float32)
        layer.bias!.value = bias
        let x = Tensor(normal: [64, 8], generator: generator)
        let report = ActivationReport { relu(layer(x)) * 2 }
        #expect(report.operations.map(\.operation) == ["LinearBackward", "ReLUBackward", "MulBackward"])
        let dead = try #require(report.deadReLUs(above: 0.3).first)
        #expect(abs(dead.deadShare! - 0.4) < 1e-9 && dead.line?.hasPrefix("DiagnosisTests.swift") == true)
        #expect(report.operations[0].minimum < -90 && report.description.contains("dead 40.0%"))
        #expect(report.operations.allSatisfy { $0.module == nil && $0.after == nil })
        let wide = ActivationReport { tanh(layer(x) * 50) }
        #expect(wide.operations.last!.saturatedShare! > 0.8)
    }

    /// Unscaled scores of wide heads pick one key; scaled ones do not.
    /// Operations with parameters are named by their modules, the others by the one before; parameters are known through a cast.
    @Test func activationsByModule() {
        let generator = RandomGenerator(seed: 2)
        let model = Sequential(Linear(4, 8, generator: generator), ReLU(), LayerNorm(8), Linear(8, 2, generator: generator))
        let x = Tensor(normal: [3, 4], generator: generator)
        let report = ActivationReport(model) { autocast { tanh(model(x)) } }
        let named = report.operations.filter { $0.operation != "CastBackward" }
        #expect(named.map(\.module) == ["layers.0", nil, "layers.2", "layers.3", nil])
        #expect(named.map(\.after) == [nil, "layers.0", nil, nil, "layers.3"])
        #expect(report.description.contains("layers.3 Linear") && report.description.contains("after layers.0: ReLU"))
    }

    @Test func attentionSaturation() {
        let generator = RandomGenerator(seed: 4)
        let q = Tensor(normal: [32, 512], generator: generator), k = Tensor(normal: [64, 512], generator: generator)
        let scaled = AttentionSaturation(query: q, key: k), plain = AttentionSaturation(query: q, key: k, scale: 1)
        #expect(scaled.entropy > 0.85 && scaled.saturatedShare == 0 && scaled.gradientShare > 0.9)
        #expect(plain.entropy < 0.1 && plain.largest > 0.9 && plain.gradientShare < 0.2)
        let even = AttentionSaturation(weights: Tensor(repeating: 0.25, shape: [2, 3, 4]))
        #expect(abs(even.entropy - 1) < 1e-6 && abs(even.gradientShare - 1) < 1e-6)
        #expect(AttentionSaturation(weights: Tensor(eye: 4)).entropy == 0)
    }

    @Test func tapesAsText() {
        let model = Linear(3, 2)
        let y = relu(model(Tensor(ones: [4, 3]))).sum()
        let lines = tapeDescription(of: y, model: model).split(separator: "\n").map(String.init)
        #expect(lines.count == 5)
        #expect(lines[0].hasPrefix("4 SumBackward [] from 3 at DiagnosisTests.swift:"))
        #expect(lines.contains { $0.hasSuffix("leaf weight [2, 3]") })
        let dot = dotGraph(of: y, model: model)
        #expect(dot.hasPrefix("digraph tape {") && dot.hasSuffix("}\n"))
        #expect(dot.contains("label=\"weight [2, 3]\"") && dot.contains("[label=\"ReLU\"]") && dot.contains("-> result"))
        #expect(tapeDescription(of: Tensor(1.0)) == "no tape: the tensor requires no gradient")
    }

    // MARK: Examples

    @Test func vanishingAndExplodingGradients() {
        let lines = VanishingGradients.gradientNorms(steps: 30)
        let (plain, large, lstm) = (lines[0].norms, lines[1].norms, lines[2].norms)
        #expect(plain[0] < plain[29] * 1e-6)
        #expect(large[0] > large[29] * 10)
        #expect(lstm[0] > lstm[29] * 1e-3)
        #expect(VanishingGradients.chart(lines).svg.contains("LSTM"))
    }

    /// Both networks on the package's digits, as the example trains them.
    @Test(arguments: [ModelKind.lenet, .mlp]) func digits(model: ModelKind) async throws {
        var example = try Digits.parse(["--model", model.rawValue, "--workers", "1"])
        let curve = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString).svg")
        defer { try? FileManager.default.removeItem(at: curve) }
        example.curve = curve.path
        let images = try DigitImages.bundled()
        #expect(images.training.count == 1438 && images.test.count == 359)
        let (summary, loading) = try await example.train(images, loggers: [])
        #expect(loading.batches == 30 * 45)
        #expect(summary.metrics["accuracy"]! >= 0.97)
        #expect(try String(contentsOf: curve, encoding: .utf8).contains("validation accuracy"))
    }
}
