/// A pattern as a tree.
indirect enum PatternNode {
    case set(ScalarClass)
    case sequence([PatternNode])
    case alternatives([PatternNode])
    case repeated(PatternNode, min: Int, max: Int, kind: Repetition)
    case look(PatternNode, ahead: Bool, negated: Bool)
    case atomic(PatternNode)
    case assertion(PatternAssertion)

    enum Repetition { case greedy, lazy, possessive }
}

/// What holds between two scalars.
enum PatternAssertion { case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary }

/// Reads the syntax of regular expressions that tokenizers use (Oniguruma's and Rust's common part): classes, properties, groups,
/// alternatives, quantifiers of three kinds, look-ahead and look-behind, `(?i:)`. Anything else is refused, not guessed.
struct PatternParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var ignoresCase = false
    private var dotMatchesLines = false
    private var depth = 0

    static func parse(_ pattern: String) throws -> PatternNode {
        var parser = PatternParser(scalars: Array(pattern.unicodeScalars))
        if parser.scalars.count > 20_000 { throw parser.error("is too long") }
        let node = try parser.alternatives()
        if parser.position < parser.scalars.count { throw parser.error("has a ) too many") }
        return node
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private func error(_ reason: String) -> TokenizerError {
        let text = String(String.UnicodeScalarView(scalars.prefix(200)))
        return TokenizerError("the pattern \(text.debugDescription) \(reason) at position \(position)")
    }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard position + wanted.count <= scalars.count, Array(scalars[position..<(position + wanted.count)]) == wanted else {
            return false
        }
        position += wanted.count
        return true
    }

    private mutating func alternatives() throws -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        if depth > 50 { throw error("nests too deeply") }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws -> PatternNode {
        var nodes: [PatternNode] = []
        while let scalar = next, scalar != "|", scalar != ")" { nodes.append(try quantified()) }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    private mutating func quantified() throws -> PatternNode {
        var node = try atom()
        for _ in 0..<4 {
            let bounds: (Int, Int)
            if take("*") {
                bounds = (0, .max)
            } else if take("+") {
                bounds = (1, .max)
            } else if take("?") {
                bounds = (0, 1)
            } else if next == "{", let counts = try counts() {
                bounds = counts
            } else {
                return node
            }
            let kind: PatternNode.Repetition = take("?") ? .lazy : take("+") ? .possessive : .greedy
            node = .repeated(node, min: bounds.0, max: bounds.1, kind: kind)
        }
        throw error("repeats repetitions")
    }

    /// `{2}`, `{2,}`, `{2,5}`, `{,5}`; nil, with nothing read, if the brace stands for itself.
    private mutating func counts() throws -> (Int, Int)? {
        let start = position
        position += 1
        let low = digits(), hasComma = take(","), high = digits()
        if !take("}") || (low == nil && high == nil) {
            position = start
            return nil
        }
        let bounds = hasComma ? (low ?? 0, high ?? .max) : (low!, low!)
        if bounds.0 > 1000 || (bounds.1 != .max && bounds.1 > 1000) || bounds.0 > bounds.1 { throw error("repeats too often") }
        return bounds
    }

    private mutating func digits() -> Int? {
        var value: Int?
        while let scalar = next, let digit = Int(String(scalar)), (0...9).contains(digit), (value ?? 0) < 1_000_000 {
            value = (value ?? 0) * 10 + digit
            position += 1
        }
        return value
    }

    private func set(_ set: ScalarClass) -> PatternNode { .set(ignoresCase ? set.ignoringCase : set) }

    private mutating func atom() throws -> PatternNode {
        let scalar = scalars[position]
        position += 1
        switch scalar {
        case "(": return try group()
        case "[": return set(try bracket())
        case ".": return .set(dotMatchesLines ? .any : .not(.range(10, 10)))
        case "^": return .assertion(.lineStart)
        case "$": return .assertion(.lineEnd)
        case "\\":
            switch next {
            case "b": position += 1; return .assertion(.wordBoundary)
            case "B": position += 1; return .assertion(.noWordBoundary)
            case "A": position += 1; return .assertion(.textStart)
            case "z", "Z": position += 1; return .assertion(.textEnd)
            default: return set(try escape())
            }
        case "*", "+", "?": throw error("repeats nothing")
        default: return set(.range(scalar.value, scalar.value))
        }
    }

    private mutating func group() throws -> PatternNode {
        let outer = (ignoresCase, dotMatchesLines)
        defer { (ignoresCase, dotMatchesLines) = outer }
        var wrap: (PatternNode) -> PatternNode = { $0 }
        if take("?") {
            if take("=") {
                wrap = { .look($0, ahead: true, negated: false) }
            } else if take("!") {
                wrap = { .look($0, ahead: true, negated: true) }
            } else if take("<=") {
                wrap = { .look($0, ahead: false, negated: false) }
            } else if take("<!") {
                wrap = { .look($0, ahead: false, negated: true) }
            } else if take(">") {
                wrap = { .atomic($0) }
            } else if take("P<") || take("<") {
                while let scalar = next, scalar != ">" { position += 1; _ = scalar }
                if !take(">") { throw error("has a name without an end") }
            } else {
                var on = true
                while let scalar = next, scalar != ":", scalar != ")" {
                    switch scalar {
                    case "-": on = false
                    case "i": ignoresCase = on
                    case "s": dotMatchesLines = on
                    case "m", "u": break
                    default: throw error("has a group of an unknown kind")
                    }
                    position += 1
                }
                if take(")") {
                    // Flags for the rest of the group around: what follows up to its end.
                    let rest = try alternatives()
                    return rest
                }
                if !take(":") { throw error("has a group without an end") }
            }
        }
        let node = try alternatives()
        if !take(")") { throw error("has a group without an end") }
        return wrap(node)
    }

    /// After the backslash.
    private mutating func escape() throws -> ScalarClass {
        guard let scalar = next else { throw error("ends in a backslash") }
        position += 1
        switch scalar {
        case "s": return .whitespace
        case "S": return .not(.whitespace)
        case "d": return .digit
        case "D": return .not(.digit)
        case "w": return .word
        case "W": return .not(.word)
        case "h": return .union([.range(0x30, 0x39), .range(0x41, 0x46), .range(0x61, 0x66)])
        case "n": return .range(10, 10)
        case "r": return .range(13, 13)
        case "t": return .range(9, 9)
        case "f": return .range(12, 12)
        case "v": return .range(11, 11)
        case "0": return .range(0, 0)
        case "p", "P":
            var name = ""
            var negated = scalar == "P"
            if take("{") {
                if take("^") { negated.toggle() }
                while let letter = next, letter != "}" {
                    name.unicodeScalars.append(letter)
                    position += 1
                }
                if !take("}") { throw error("has a property without an end") }
            } else if let letter = next {
                name.unicodeScalars.append(letter)
                position += 1
            }
            guard let property = ScalarClass.property(name) else { throw error("has an unknown property \(name.prefix(40))") }
            return negated ? .not(property) : property
        case "x", "u":
            var text = ""
            if take("{") {
                while let digit = next, digit != "}" {
                    text.unicodeScalars.append(digit)
                    position += 1
                }
                _ = take("}")
            } else {
                for _ in 0..<(scalar == "x" ? 2 : 4) {
                    if let digit = next { text.unicodeScalars.append(digit) }
                    position += 1
                }
            }
            guard let value = UInt32(text, radix: 16), value < 0x110000 else { throw error("has a broken escape") }
            return .range(value, value)
        default:
            let value = scalar.value
            if (0x30...0x39).contains(value) || (0x41...0x5A).contains(value) || (0x61...0x7A).contains(value) {
                throw error("has the unknown escape \\\(scalar)")
            }
            return .range(value, value)
        }
    }

    /// After the opening bracket.
    private mutating func bracket() throws -> ScalarClass {
        depth += 1
        defer { depth -= 1 }
        if depth > 50 { throw error("nests too deeply") }
        let isNegated = take("^")
        var intersected: [ScalarClass] = []
        var parts: [ScalarClass] = []
        var isFirst = true
        while true {
            guard let scalar = next else { throw error("has a class without an end") }
            if scalar == "]" && !isFirst {
                position += 1
                break
            }
            isFirst = false
            if take("&&") {
                intersected.append(.union(parts))
                parts = []
                continue
            }
            if scalar == "[" {
                if take("[:") {
                    parts.append(try posixClass())
                } else {
                    position += 1
                    parts.append(try bracket())
                }
                continue
            }
            let low = try bracketScalar()
            guard case .range(let first, let same) = low, first == same, next == "-", position + 1 < scalars.count,
                scalars[position + 1] != "]"
            else {
                parts.append(low)
                continue
            }
            position += 1
            guard case .range(let last, let end) = try bracketScalar(), last == end, first <= last else {
                throw error("has a broken range")
            }
            parts.append(.range(first, last))
        }
        var result: ScalarClass = parts.count == 1 ? parts[0] : .union(parts)
        if !intersected.isEmpty { result = .intersection(intersected + [result]) }
        return isNegated ? .not(result) : result
    }

    private mutating func bracketScalar() throws -> ScalarClass {
        guard let scalar = next else { throw error("has a class without an end") }
        position += 1
        if scalar == "\\" {
            if take("b") { return .range(8, 8) }
            return try escape()
        }
        return .range(scalar.value, scalar.value)
    }

    private mutating func posixClass() throws -> ScalarClass {
        let negated = take("^")
        var name = ""
        while let letter = next, letter != ":" {
            name.unicodeScalars.append(letter)
            position += 1
        }
        if !take(":]") { throw error("has a class without an end") }
        let result: ScalarClass
        switch name {
        case "alpha": result = .alphabetic
        case "digit": result = .digit
        case "space": result = .whitespace
        case "alnum": result = .union([.alphabetic, .digit])
        case "punct": result = .categories(ScalarTable.categories(named: "P")! | ScalarTable.categories(named: "S")!)
        case "upper": result = .categories(ScalarTable.categories(named: "Lu")!)
        case "lower": result = .categories(ScalarTable.categories(named: "Ll")!)
        case "word": result = .word
        default: throw error("has the unknown class \(name.prefix(40))")
        }
        return negated ? .not(result) : result
    }
}
