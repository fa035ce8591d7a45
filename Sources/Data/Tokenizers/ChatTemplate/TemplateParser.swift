/// Reads a template's blocks and expressions: the part of Jinja that chat templates use. Includes, imports and whatever else is not
/// listed here are refused.
struct TemplateParser {
    private let parts: [TemplateLexer.Part]
    private var part = 0
    private var tokens: [TemplateToken] = []
    private var position = 0
    private var depth = 0

    static func parse(_ source: String) throws -> [TemplateNode] {
        if source.utf8.count > 1 << 20 { throw TemplateError("a template of \(source.utf8.count) bytes") }
        var parser = TemplateParser(parts: try TemplateLexer.parts(source))
        let (nodes, end) = try parser.nodes(until: [])
        if let end { throw TemplateError("\(end) without a beginning") }
        return nodes
    }

    private init(parts: [TemplateLexer.Part]) { self.parts = parts }

    // MARK: Blocks

    /// The nodes up to a block that begins with one of the words, whose tokens are then to be read.
    private mutating func nodes(until ends: [String]) throws -> ([TemplateNode], String?) {
        depth += 1
        defer { depth -= 1 }
        if depth > 60 { throw TemplateError("blocks nest too deeply") }
        var nodes: [TemplateNode] = []
        while part < parts.count {
            let current = parts[part]
            part += 1
            switch current {
            case .text(let text): nodes.append(.text(text))
            case .output(let content):
                (tokens, position) = (content, 0)
                nodes.append(.output(try expression()))
                try finish()
            case .block(let content):
                (tokens, position) = (content, 0)
                guard case .name(let word)? = take() else { throw TemplateError("a block without a name") }
                if ends.contains(word) { return (nodes, word) }
                if let node = try block(word) { nodes += node }
            }
        }
        if !ends.isEmpty { throw TemplateError("a block without its \(ends.last!)") }
        return (nodes, nil)
    }

    private mutating func finish() throws {
        if position < tokens.count { throw TemplateError("too much in braces: \(tokens[position])") }
    }

    private mutating func block(_ word: String) throws -> [TemplateNode]? {
        switch word {
        case "if":
            var branches: [(TemplateExpression, [TemplateNode])] = []
            var otherwise: [TemplateNode] = []
            var condition = try expression()
            try finish()
            while true {
                let (body, end) = try nodes(until: ["elif", "else", "endif"])
                branches.append((condition, body))
                if end == "elif" {
                    condition = try expression()
                    try finish()
                    continue
                }
                if end == "else" { otherwise = try nodes(until: ["endif"]).0 }
                return [.condition(branches, otherwise: otherwise)]
            }
        case "for":
            var names = [try name()]
            while takeSymbol(",") { names.append(try name()) }
            guard takeName("in") else { throw TemplateError("a for without its in") }
            let list = try or()
            let filter = takeName("if") ? try expression() : nil
            _ = takeName("recursive")
            try finish()
            let (body, end) = try nodes(until: ["else", "endfor"])
            let otherwise = end == "else" ? try nodes(until: ["endfor"]).0 : []
            return [.loop(names: names, over: list, filter: filter, body: body, otherwise: otherwise)]
        case "set":
            var names = [try name()]
            var attribute: String?
            if takeSymbol(".") { attribute = try name() }
            while attribute == nil, takeSymbol(",") { names.append(try name()) }
            if takeSymbol("=") {
                let value = try tuple()
                try finish()
                return [.set(names, attribute: attribute, value)]
            }
            try finish()
            return [.setBlock(names[0], try nodes(until: ["endset"]).0)]
        case "macro":
            let title = try name()
            var parameters: [(name: String, standard: TemplateExpression?)] = []
            guard takeSymbol("(") else { throw TemplateError("a macro without parameters") }
            while !takeSymbol(")") {
                let parameter = try name()
                parameters.append((parameter, takeSymbol("=") ? try expression() : nil))
                _ = takeSymbol(",")
            }
            try finish()
            return [.macro(title, parameters, try nodes(until: ["endmacro"]).0)]
        case "generation": return try nodes(until: ["endgeneration"]).0
        case "break": return [.breakLoop]
        case "continue": return [.continueLoop]
        default: throw TemplateError("the block \(word.prefix(40)) is not known here")
        }
    }

    // MARK: Tokens

    private mutating func take() -> TemplateToken? {
        guard position < tokens.count else { return nil }
        defer { position += 1 }
        return tokens[position]
    }

    private mutating func takeSymbol(_ symbol: String) -> Bool {
        guard position < tokens.count, tokens[position] == .symbol(symbol) else { return false }
        position += 1
        return true
    }

    private mutating func takeName(_ name: String) -> Bool {
        guard position < tokens.count, tokens[position] == .name(name) else { return false }
        position += 1
        return true
    }

    private mutating func name() throws -> String {
        guard case .name(let name)? = take() else { throw TemplateError("expected a name") }
        return name
    }

    // MARK: Expressions, from the loosest to the tightest

    private mutating func tuple() throws -> TemplateExpression {
        let first = try expression()
        guard takeSymbol(",") else { return first }
        var elements = [first]
        while position < tokens.count, tokens[position] != .symbol(")") {
            elements.append(try expression())
            if !takeSymbol(",") { break }
        }
        return .list(elements)
    }

    private mutating func expression() throws -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > 100 { throw TemplateError("expressions nest too deeply") }
        let value = try or()
        guard takeName("if") else { return value }
        let condition = try or()
        return .conditional(condition, then: value, otherwise: takeName("else") ? try expression() : nil)
    }

    private mutating func or() throws -> TemplateExpression {
        var left = try and()
        while takeName("or") { left = .binary("or", left, try and()) }
        return left
    }

    private mutating func and() throws -> TemplateExpression {
        var left = try not()
        while takeName("and") { left = .binary("and", left, try not()) }
        return left
    }

    private mutating func not() throws -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > 100 { throw TemplateError("expressions nest too deeply") }
        return takeName("not") ? .not(try not()) : try comparison()
    }

    private mutating func comparison() throws -> TemplateExpression {
        var left = try sum()
        while true {
            if let symbol = ["==", "!=", "<=", ">=", "<", ">"].first(where: { takeSymbol($0) }) {
                left = .binary(symbol, left, try sum())
            } else if takeName("in") {
                left = .binary("in", left, try sum())
            } else if position + 1 < tokens.count, tokens[position] == .name("not"), tokens[position + 1] == .name("in") {
                position += 2
                left = .not(.binary("in", left, try sum()))
            } else {
                return left
            }
        }
    }

    private mutating func sum() throws -> TemplateExpression {
        var left = try product()
        while let symbol = ["+", "-", "~"].first(where: { takeSymbol($0) }) { left = .binary(symbol, left, try product()) }
        return left
    }

    private mutating func product() throws -> TemplateExpression {
        var left = try unary()
        while let symbol = ["*", "/", "//", "%"].first(where: { takeSymbol($0) }) { left = .binary(symbol, left, try unary()) }
        return left
    }

    private mutating func unary() throws -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > 100 { throw TemplateError("expressions nest too deeply") }
        if takeSymbol("-") { return .negative(try unary()) }
        return try postfix(try primary())
    }

    private mutating func postfix(_ start: TemplateExpression) throws -> TemplateExpression {
        var value = start
        // A chain is a tree that is evaluated by recursion.
        for _ in 0..<60 {
            if takeSymbol(".") {
                if case .integer(let index)? = position < tokens.count ? tokens[position] : nil {
                    position += 1
                    value = .item(value, .literal(.integer(index)))
                } else {
                    value = .attribute(value, try name())
                }
            } else if takeSymbol("[") {
                value = try subscriptPart(value)
            } else if takeSymbol("(") {
                value = .call(value, try arguments())
            } else if takeSymbol("|") {
                let filter = try name()
                value = .filter(value, filter, takeSymbol("(") ? try arguments() : .init())
            } else if takeName("is") {
                let negated = takeName("not"), test = try name()
                var arguments = TemplateArguments()
                if takeSymbol("(") {
                    arguments = try self.arguments()
                } else if ["in", "equalto", "eq", "sameas", "divisibleby"].contains(test) {
                    arguments.positional = [try postfix(primary())]
                }
                value = .test(value, test, arguments, negated: negated)
            } else {
                return value
            }
        }
        throw TemplateError("an expression with too many parts")
    }

    private mutating func subscriptPart(_ value: TemplateExpression) throws -> TemplateExpression {
        var parts: [TemplateExpression?] = [nil]
        while !takeSymbol("]") {
            if takeSymbol(":") {
                parts.append(nil)
            } else {
                parts[parts.count - 1] = try expression()
            }
            if parts.count > 3 || position >= tokens.count { throw TemplateError("a broken subscript") }
        }
        if parts.count == 1 {
            guard let index = parts[0] else { throw TemplateError("an empty subscript") }
            return .item(value, index)
        }
        return .slice(value, parts[0], parts[1], parts.count > 2 ? parts[2] : nil)
    }

    private mutating func arguments() throws -> TemplateArguments {
        var arguments = TemplateArguments()
        while !takeSymbol(")") {
            if case .name(let name)? = position < tokens.count ? tokens[position] : nil, position + 1 < tokens.count,
                tokens[position + 1] == .symbol("=")
            {
                position += 2
                arguments.named.append((name, try expression()))
            } else {
                arguments.positional.append(try expression())
            }
            if !takeSymbol(","), position >= tokens.count || tokens[position] != .symbol(")") {
                throw TemplateError("broken arguments")
            }
        }
        return arguments
    }

    private mutating func primary() throws -> TemplateExpression {
        switch take() {
        case .string(var text)?:
            // Neighbouring strings are one.
            while position < tokens.count, case .string(let more) = tokens[position] {
                text += more
                position += 1
            }
            return .literal(.string(text))
        case .integer(let value)?: return .literal(.integer(value))
        case .number(let value)?: return .literal(.number(value))
        case .name(let name)?:
            switch name {
            case "true", "True": return .literal(.bool(true))
            case "false", "False": return .literal(.bool(false))
            case "none", "None", "null": return .literal(.none)
            default: return .name(name)
            }
        case .symbol("(")?:
            if takeSymbol(")") { return .list([]) }
            let value = try tuple()
            guard takeSymbol(")") else { throw TemplateError("a ( without its )") }
            return value
        case .symbol("[")?:
            var elements: [TemplateExpression] = []
            while !takeSymbol("]") {
                elements.append(try expression())
                if !takeSymbol(","), position >= tokens.count || tokens[position] != .symbol("]") {
                    throw TemplateError("a broken list")
                }
            }
            return .list(elements)
        case .symbol("{")?:
            var pairs: [(TemplateExpression, TemplateExpression)] = []
            while !takeSymbol("}") {
                let key = try expression()
                guard takeSymbol(":") else { throw TemplateError("a broken dictionary") }
                pairs.append((key, try expression()))
                if !takeSymbol(","), position >= tokens.count || tokens[position] != .symbol("}") {
                    throw TemplateError("a broken dictionary")
                }
            }
            return .dictionary(pairs)
        case let token: throw TemplateError("expected a value, found \(token.map { "\($0)" } ?? "the end")")
        }
    }
}
