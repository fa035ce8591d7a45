import Foundation

/// The normalisation forms of Unicode (annex 15) over UTF-8.
enum UnicodeForm: Sendable {
    case nfc, nfd, nfkc, nfkd

    private func apply(_ text: String) -> String {
        switch self {
        case .nfc: text.precomposedStringWithCanonicalMapping
        case .nfd: text.decomposedStringWithCanonicalMapping
        // Foundation leaves what the compatibility mapping made uncomposed (Hangul jamo).
        case .nfkc: text.decomposedStringWithCompatibilityMapping.precomposedStringWithCanonicalMapping
        case .nfkd: text.decomposedStringWithCompatibilityMapping
        }
    }

    /// The normalised text. ASCII stays as it is; only runs of other scalars, with the ASCII scalar before that they may join, are
    /// looked at, and each only once.
    func apply(_ text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        var known: [[UInt8]: [UInt8]] = [:]
        var result: [UInt8] = []
        result.reserveCapacity(text.count + text.count / 4)
        var position = 0
        while position < text.count {
            var start = position
            while start < text.count && text[start] < 0x80 { start += 1 }
            var end = start
            while end < text.count && text[end] >= 0x80 { end += 1 }
            if start == end {
                result += text[position...]
                break
            }
            if start > position { start -= 1 }
            result += text[position..<start]
            let run = Array(text[start..<end])
            if let form = known[run] {
                result += form
            } else {
                let form = Array(apply(String(decoding: run, as: UTF8.self)).utf8)
                if known.count < 10_000 { known[run] = form }
                result += form
            }
            position = end
        }
        return result
    }
}
