import ConformanceSuite
import Foundation
import Tapestry
import Testing

/// Ids of other systems' tokenizers.
@Suite struct TokenizerGoldenTests {
    @Test func goldens() throws {
        var passed = 0
        for folder in Goldens.folders {
            for (name, outcome) in try TokenizerCases.run(in: folder) {
                switch outcome {
                case .passed: passed += 1
                case .failed(let problem): Issue.record("\(name): \(problem)")
                case .unsupported: break
                }
            }
        }
        #expect(passed >= 350)
    }
}
