/// How tokens become text again: the `decoder` of a `tokenizer.json`. Each step turns a list of pieces of bytes into another.
indirect enum TokenDecoder: Sendable {
    case byteLevel
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    case suffix([UInt8])
    case byteFallback
    case fuse
    case strip(content: [UInt8], start: Int, stop: Int)
    case replace(Pattern, with: [UInt8])
    case ctc(padding: [UInt8], delimiter: [UInt8], cleansUp: Bool)
    case sequence([TokenDecoder])

    func apply(_ tokens: [[UInt8]]) throws -> [[UInt8]] {
        switch self {
        case .byteLevel:
            var bytes: [UInt8] = []
            for token in tokens {
                if !token.withUnsafeBytes({ ByteAlphabet.decode($0, into: &bytes) }) { bytes += token }
            }
            return [bytes]
        case .wordPiece(let prefix, let cleansUp):
            return tokens.enumerated().map { i, token in
                var token = token
                if i > 0 { token = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token }
                return cleansUp ? Self.cleanedUp(token) : token
            }
        case .metaspace(let replacement, let dropsFirst):
            return tokens.enumerated().map { i, token in
                Self.replacing(replacement, in: token, with: i == 0 && dropsFirst ? [] : [0x20])
            }
        case .suffix(let suffix):
            return tokens.enumerated().map { i, token in
                Self.replacing(suffix, in: token, with: i == tokens.count - 1 ? [] : [0x20])
            }
        case .byteFallback:
            var result: [[UInt8]] = []
            var pending: [UInt8] = []
            func flush() {
                if pending.isEmpty { return }
                // Bytes that are no text become one mark each.
                if String(validating: pending, as: UTF8.self) != nil {
                    result.append(pending)
                } else {
                    for _ in pending { result.append([0xEF, 0xBF, 0xBD]) }
                }
                pending = []
            }
            for token in tokens {
                if let byte = token.withUnsafeBytes({ ByteTokens.byte($0) }) {
                    pending.append(byte)
                } else {
                    flush()
                    result.append(token)
                }
            }
            flush()
            return result
        case .fuse: return [Array(tokens.joined())]
        case .strip(let content, let start, let stop):
            return tokens.map { token in
                var token = token[...]
                for _ in 0..<min(start, token.count) where token.starts(with: content) { token = token.dropFirst(content.count) }
                for _ in 0..<min(stop, token.count) where token.suffix(content.count).elementsEqual(content) {
                    token = token.dropLast(content.count)
                }
                return Array(token)
            }
        case .replace(let pattern, let replacement):
            let step = Normalizer.replace(pattern, with: replacement)
            return try tokens.map { try step.apply($0) }
        case .ctc(let padding, let delimiter, let cleansUp):
            var result: [[UInt8]] = []
            var last: [UInt8]?
            for token in tokens where token != last {
                last = token
                var piece = Self.replacing(padding, in: token, with: [])
                if cleansUp { piece = Self.replacing(delimiter, in: Self.cleanedUp(piece), with: [0x20]) }
                if !piece.isEmpty { result.append(piece) }
            }
            return result
        case .sequence(let steps): return try steps.reduce(tokens) { try $1.apply($0) }
        }
    }

    private static func replacing(_ old: [UInt8], in text: [UInt8], with new: [UInt8]) -> [UInt8] {
        if old.isEmpty || text.count < old.count { return text }
        var result: [UInt8] = []
        var i = 0
        while i < text.count {
            if text[i] == old[0], text[i...].starts(with: old) {
                result += new
                i += old.count
            } else {
                result.append(text[i])
                i += 1
            }
        }
        return result
    }

    /// English text: no blanks before punctuation and contractions.
    private static func cleanedUp(_ text: [UInt8]) -> [UInt8] {
        // Every one begins with a blank and one of these.
        let follow = Array(".?!,'nd".utf8)
        if !text.indices.dropLast().contains(where: { text[$0] == 0x20 && follow.contains(text[$0 + 1]) }) { return text }
        let pairs: [(String, String)] = [
            (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
            (" do not", " don't"),
            (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
        ]
        return pairs.reduce(text) { replacing(Array($1.0.utf8), in: $0, with: Array($1.1.utf8)) }
    }
}
