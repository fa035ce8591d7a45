import ConformanceSuite
import Foundation
import Testing

/// Cases of other systems, through the runner that the `Conformance` program uses.
@Suite struct ConformanceTests {
    /// PyTorch's operator samples: values, gradients and second-order gradients.
    @Test func operators() throws { try check("opinfo", atLeast: 690) { $0["kind"] as? String == "op" } }

    /// Trajectories of optimizers, clipping and loss scaling.
    @Test func optimizers() throws { try check("optim", atLeast: 60) }

    /// Losses composed of operators, one of them of a gradient, and losses as modules.
    @Test func losses() throws {
        try check("losses", atLeast: 4)
        try check("modules", atLeast: 4) { ($0["module"] as? String ?? "").hasSuffix("Loss") }
    }

    /// Layers: outputs, running statistics, gradients of inputs and parameters.
    @Test func modules() throws {
        try check("modules", atLeast: 55) { !($0["module"] as? String ?? "").hasSuffix("Loss") }
    }

    /// Learning rates and momenta of every step.
    @Test func schedules() throws { try check("sched", atLeast: 13) }

    /// ONNX's backend tests: operators with their attributes, and small graphs.
    @Test func onnx() throws { try check("onnx_nodes", atLeast: 100) }

    private func check(_ suite: String, atLeast count: Int, where picks: @escaping ([String: Any]) -> Bool = { _ in true }) throws
    {
        let report = try ConformanceSuite.run(Goldens.manifests(suite), where: picks)
        for failure in report.failures { Issue.record("\(failure.name): \(failure.problem)") }
        print("\(suite): \(report.summary)")
        #expect(report.passed >= count)
    }
}
