import ConformanceSuite
import Foundation
import Testing

/// Cases of other systems, through the runner that the `Conformance` program uses.
@Suite struct ConformanceTests {
    /// PyTorch's operator samples: values, gradients and second-order gradients.
    @Test func operators() throws { try check("opinfo", atLeast: 690) { $0["kind"] as? String == "op" } }

    private func check(_ suite: String, atLeast count: Int, where picks: @escaping ([String: Any]) -> Bool = { _ in true }) throws
    {
        let report = try ConformanceSuite.run(Goldens.manifests(suite), where: picks)
        for failure in report.failures { Issue.record("\(failure.name): \(failure.problem)") }
        print("\(suite): \(report.summary)")
        #expect(report.passed >= count)
    }
}
