/// An expression of a template.
indirect enum TemplateExpression: Sendable {
    case literal(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case dictionary([(TemplateExpression, TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, TemplateExpression?, TemplateExpression?, TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments, negated: Bool)
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
    case conditional(TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
}

struct TemplateArguments: Sendable {
    var positional: [TemplateExpression] = []
    var named: [(name: String, value: TemplateExpression)] = []
}

/// A piece of a template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case output(TemplateExpression)
    case loop(
        names: [String], over: TemplateExpression, filter: TemplateExpression?, body: [TemplateNode], otherwise: [TemplateNode])
    case condition([(TemplateExpression, [TemplateNode])], otherwise: [TemplateNode])
    case set([String], attribute: String?, TemplateExpression)
    case setBlock(String, [TemplateNode])
    case macro(String, [(name: String, standard: TemplateExpression?)], [TemplateNode])
    case breakLoop, continueLoop
}

/// A token between a template's braces.
enum TemplateToken: Equatable {
    case name(String), string(String), integer(Int), number(Double), symbol(String)
}

/// Cuts a template into text and what stands in braces, with the white space around blocks treated as Hugging Face's library does
/// (`trim_blocks`, `lstrip_blocks`).
struct TemplateLexer {
    enum Part {
        case text(String)
        case output([TemplateToken])
        case block([TemplateToken])
    }

    static func parts(_ source: String) throws -> [Part] {
        var bytes = Array(source.utf8)
        // Jinja drops a line feed at the very end.
        if bytes.last == 10 { bytes.removeLast() }
        var parts: [Part] = []
        var text: [UInt8] = []
        var i = 0
        var stripsNext = false
        // Whether the text began with its line.
        var startsLine = true
        func at(_ i: Int, _ word: String) -> Bool { bytes.count - i >= 2 && bytes[i...].starts(with: word.utf8) }
        while i < bytes.count {
            guard at(i, "{{") || at(i, "{%") || at(i, "{#") else {
                if stripsNext, [0x20, 9, 10, 13].contains(bytes[i]) {
                    i += 1
                    continue
                }
                stripsNext = false
                text.append(bytes[i])
                i += 1
                continue
            }
            let kind = bytes[i + 1]
            i += 2
            if i < bytes.count, bytes[i] == UInt8(ascii: "-") {
                while let last = text.last, [0x20, 9, 10, 13].contains(last) { text.removeLast() }
                i += 1
            } else if i < bytes.count, bytes[i] == UInt8(ascii: "+") {
                i += 1
            } else if kind != UInt8(ascii: "{") {
                // Blanks before a block that begins its line.
                let line = text.lastIndex(of: 10).map { $0 + 1 } ?? 0
                if line > 0 || startsLine, text[line...].allSatisfy({ $0 == 0x20 || $0 == 9 }) { text.removeSubrange(line...) }
            }
            if !text.isEmpty { parts.append(.text(String(decoding: text, as: UTF8.self))) }
            text = []
            let (content, end, strips) = try inside(bytes, i, kind)
            i = end
            stripsNext = strips
            // A line feed right after a block belongs to it.
            startsLine = kind != UInt8(ascii: "{") && !strips && i < bytes.count && bytes[i] == 10
            if startsLine { i += 1 }
            if kind == UInt8(ascii: "{") { parts.append(.output(content)) }
            if kind == UInt8(ascii: "%") { parts.append(.block(content)) }
        }
        if !text.isEmpty { parts.append(.text(String(decoding: text, as: UTF8.self))) }
        return parts
    }

    /// The tokens up to the closing braces, where they end, and whether white space after them goes.
    private static func inside(_ bytes: [UInt8], _ start: Int, _ kind: UInt8) throws -> ([TemplateToken], Int, Bool) {
        var i = start
        let close: UInt8 = kind == UInt8(ascii: "{") ? UInt8(ascii: "}") : kind
        if kind == UInt8(ascii: "#") {
            while i + 1 < bytes.count {
                if bytes[i] == close, bytes[i + 1] == UInt8(ascii: "}") {
                    return ([], i + 2, bytes[i - 1] == UInt8(ascii: "-") && i > start)
                }
                i += 1
            }
            throw TemplateError("a comment without an end")
        }
        var tokens: [TemplateToken] = []
        var depth = 0
        while i < bytes.count {
            let byte = bytes[i]
            if [0x20, 9, 10, 13].contains(byte) {
                i += 1
                continue
            }
            if depth == 0 {
                let strips = byte == UInt8(ascii: "-")
                let place = strips || byte == UInt8(ascii: "+") ? i + 1 : i
                if place + 1 < bytes.count, bytes[place] == close, bytes[place + 1] == UInt8(ascii: "}") {
                    return (tokens, place + 2, strips)
                }
            }
            if byte == 0x22 || byte == 0x27 {
                let (text, end) = try string(bytes, i)
                tokens.append(.string(text))
                i = end
            } else if byte &- 0x30 < 10 {
                var end = i
                while end < bytes.count, bytes[end] &- 0x30 < 10 { end += 1 }
                if end + 1 < bytes.count, bytes[end] == UInt8(ascii: "."), bytes[end + 1] &- 0x30 < 10 {
                    end += 1
                    while end < bytes.count, bytes[end] &- 0x30 < 10 { end += 1 }
                    tokens.append(.number(Double(String(decoding: bytes[i..<end], as: UTF8.self)) ?? 0))
                } else {
                    guard let value = Int(String(decoding: bytes[i..<end], as: UTF8.self)) else {
                        throw TemplateError("a number too large")
                    }
                    tokens.append(.integer(value))
                }
                i = end
            } else if isName(byte) {
                var end = i
                while end < bytes.count, isName(bytes[end]) || bytes[end] &- 0x30 < 10 { end += 1 }
                tokens.append(.name(String(decoding: bytes[i..<end], as: UTF8.self)))
                i = end
            } else {
                let pairs = ["==", "!=", "<=", ">=", "//", "**"]
                let two = i + 1 < bytes.count ? String(decoding: bytes[i...(i + 1)], as: UTF8.self) : ""
                let symbol = pairs.contains(two) ? two : String(decoding: [byte], as: UTF8.self)
                guard byte < 0x80, "()[]{}.,:|=<>+-*/%~!".utf8.contains(byte) else {
                    throw TemplateError("an unknown character in braces")
                }
                if "([{".utf8.contains(byte) { depth += 1 }
                if ")]}".utf8.contains(byte) { depth -= 1 }
                tokens.append(.symbol(symbol))
                i += symbol.utf8.count
            }
            if tokens.count > 100_000 { throw TemplateError("too much in braces") }
        }
        throw TemplateError("braces without an end")
    }

    private static func isName(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") }

    private static func string(_ bytes: [UInt8], _ start: Int) throws -> (String, Int) {
        var text: [UInt8] = []
        var i = start + 1
        while i < bytes.count {
            if bytes[i] == bytes[start] { return (String(decoding: text, as: UTF8.self), i + 1) }
            if bytes[i] == 0x5C, i + 1 < bytes.count {
                i += 1
                switch bytes[i] {
                case UInt8(ascii: "n"): text.append(10)
                case UInt8(ascii: "t"): text.append(9)
                case UInt8(ascii: "r"): text.append(13)
                case 0x22, 0x27, 0x5C: text.append(bytes[i])
                case UInt8(ascii: "u") where i + 4 < bytes.count:
                    guard let value = UInt32(String(decoding: bytes[(i + 1)...(i + 4)], as: UTF8.self), radix: 16),
                        Unicode.Scalar(value) != nil
                    else {
                        throw TemplateError("a broken escape")
                    }
                    UTF8Scalar.append(value, to: &text)
                    i += 4
                default: text += [0x5C, bytes[i]]
                }
            } else {
                text.append(bytes[i])
            }
            i += 1
        }
        throw TemplateError("a string without an end")
    }
}
