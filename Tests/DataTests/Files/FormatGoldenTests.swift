import ConformanceSuite
import Foundation
import Tapestry
import Testing

/// Files of other systems, good and bad, of every format.
@Suite struct FormatGoldenTests {
    @Test(arguments: ["safetensors", "npy", "npz", "gguf"]) func formats(_ group: String) throws {
        let manifests = Goldens.manifests("formats").filter { $0.lastPathComponent == "\(group).json" }
        let report = try ConformanceSuite.run(manifests)
        for (name, problem) in report.failures { Issue.record("\(name): \(problem)") }
        print("\(group): \(report.summary)")
        #expect(report.passed >= ["safetensors": 22, "npy": 24, "npz": 1, "gguf": 15][group]!)
    }
}
