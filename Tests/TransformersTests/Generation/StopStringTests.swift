import Testing

@testable import Transformers

@Suite struct StopStringTests {
    /// However the text is cut, the same comes out, and nothing of a stop string.
    @Test(arguments: [
        ("one two three", ["two"], "one ", true), ("aaab", ["aab"], "a", true), ("a\u{308}x", ["\u{308}x"], "a", true),
        ("ends with STO", ["STOP"], "ends with STO", false), ("x\nUser: y", ["\nUser:", "\nAssistant:"], "x", true),
        ("no stops", [], "no stops", false), ("ababac", ["abac", "zz"], "ab", true), ("日本語です", ["語"], "日本", true),
    ]) func cuts(_ text: String, _ stops: [String], _ expected: String, _ stopped: Bool) {
        let scalars = Array(text.unicodeScalars)
        for size in 1...scalars.count {
            var filter = StopStringFilter(stops), out = ""
            for start in stride(from: 0, to: scalars.count, by: size) {
                var piece = ""
                piece.unicodeScalars.append(contentsOf: scalars[start..<Swift.min(start + size, scalars.count)])
                out += filter.append(piece)
            }
            out += filter.finish()
            #expect(Array(out.utf8) == Array(expected.utf8) && filter.isStopped == stopped, "in pieces of \(size)")
        }
    }
}
