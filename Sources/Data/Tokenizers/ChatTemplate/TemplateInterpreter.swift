/// Fills a template in. It sees the given values and nothing else: attributes are names in dictionaries, functions are those listed
/// here. Steps, output, text made on the way and the depth of macros are bounded.
struct TemplateInterpreter {
    private enum Flow { case normal, breakLoop, continueLoop }

    private var scopes: [[(name: String, value: TemplateValue)]]
    private var namespaces: [[(name: String, value: TemplateValue)]] = []
    private var macros: [(parameters: [(name: String, standard: TemplateExpression?)], body: [TemplateNode])] = []
    private var steps = 0
    private var made = 0
    private var macroDepth = 0

    static let mostSteps = 2_000_000
    /// Bytes of output and of texts made on the way, each.
    static let mostBytes = 1 << 25

    init(_ values: [(name: String, value: TemplateValue)]) { scopes = [values] }

    mutating func run(_ nodes: [TemplateNode]) throws -> String {
        var output = ""
        _ = try run(nodes, into: &output)
        return output
    }

    private mutating func step() throws {
        steps += 1
        if steps > Self.mostSteps { throw TemplateError("the template takes too many steps") }
    }

    /// Notes a text that was made.
    private mutating func checked(_ text: String) throws -> String {
        made += text.utf8.count
        if made > Self.mostBytes { throw TemplateError("the template makes too much text") }
        return text
    }

    private mutating func run(_ nodes: [TemplateNode], into output: inout String) throws -> Flow {
        for node in nodes {
            try step()
            switch node {
            case .text(let text): output += text
            case .output(let expression): output += try evaluate(expression).text
            case .condition(let branches, let otherwise):
                var taken = otherwise
                for (condition, body) in branches where try evaluate(condition).isTrue {
                    taken = body
                    break
                }
                let flow = try run(taken, into: &output)
                if flow != .normal { return flow }
            case .loop(let names, let list, let filter, let body, let otherwise):
                try loop(names, list, filter, body, otherwise, &output)
            case .set(let names, let attribute, let expression):
                let value = try evaluate(expression)
                if let attribute {
                    guard case .namespace(let id) = lookup(names[0]) else { throw TemplateError("\(names[0]) is no namespace") }
                    Self.set(attribute, value, in: &namespaces[id])
                } else {
                    try bind(names, value)
                }
            case .setBlock(let name, let body):
                var text = ""
                _ = try run(body, into: &text)
                Self.set(name, .string(try checked(text)), in: &scopes[scopes.count - 1])
            case .macro(let name, let parameters, let body):
                macros.append((parameters, body))
                Self.set(name, .macro(macros.count - 1), in: &scopes[scopes.count - 1])
            case .breakLoop: return .breakLoop
            case .continueLoop: return .continueLoop
            }
            if output.utf8.count > Self.mostBytes { throw TemplateError("the template puts out too much") }
        }
        return .normal
    }

    private mutating func loop(
        _ names: [String], _ list: TemplateExpression, _ filter: TemplateExpression?, _ body: [TemplateNode],
        _ otherwise: [TemplateNode], _ output: inout String
    ) throws {
        var elements = try Self.elements(evaluate(list))
        scopes.append([])
        defer { scopes.removeLast() }
        if let filter {
            elements = try elements.filter { element in
                try step()
                try bind(names, element)
                return try evaluate(filter).isTrue
            }
        }
        if elements.isEmpty { _ = try run(otherwise, into: &output) }
        for (i, element) in elements.enumerated() {
            try step()
            scopes[scopes.count - 1] = []
            try bind(names, element)
            let facts: [(String, TemplateValue)] = [
                ("index", .integer(i + 1)), ("index0", .integer(i)), ("first", .bool(i == 0)),
                ("last", .bool(i == elements.count - 1)),
                ("length", .integer(elements.count)), ("revindex", .integer(elements.count - i)),
                ("revindex0", .integer(elements.count - i - 1)), ("previtem", i > 0 ? elements[i - 1] : .undefined),
                ("nextitem", i + 1 < elements.count ? elements[i + 1] : .undefined),
            ]
            Self.set("loop", .dictionary(facts.map { (name: $0.0, value: $0.1) }), in: &scopes[scopes.count - 1])
            if try run(body, into: &output) == .breakLoop { break }
        }
    }

    private mutating func bind(_ names: [String], _ value: TemplateValue) throws {
        if names.count == 1 {
            Self.set(names[0], value, in: &scopes[scopes.count - 1])
            return
        }
        guard case .list(let parts) = value, parts.count == names.count else {
            throw TemplateError("cannot be taken apart into \(names)")
        }
        for (name, part) in zip(names, parts) { Self.set(name, part, in: &scopes[scopes.count - 1]) }
    }

    private static func set(_ name: String, _ value: TemplateValue, in scope: inout [(name: String, value: TemplateValue)]) {
        if let i = scope.firstIndex(where: { $0.name == name }) { scope[i].value = value } else { scope.append((name, value)) }
    }

    private func lookup(_ name: String) -> TemplateValue {
        for scope in scopes.reversed() { if let found = scope.first(where: { $0.name == name }) { return found.value } }
        return .undefined
    }

    static func elements(_ value: TemplateValue) throws -> [TemplateValue] {
        switch value {
        case .list(let list): return list
        case .dictionary(let members): return members.map { .string($0.name) }
        case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
        case .undefined, .none: return []
        default: throw TemplateError("what is no list cannot be gone through")
        }
    }

    // MARK: Expressions

    private mutating func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        try step()
        switch expression {
        case .literal(let value): return value
        case .name(let name): return lookup(name)
        case .list(let elements): return .list(try elements.map { try evaluate($0) })
        case .dictionary(let pairs): return .dictionary(try pairs.map { (name: try evaluate($0).text, value: try evaluate($1)) })
        case .attribute(let base, let name): return member(try evaluate(base), name)
        case .item(let base, let key):
            let base = try evaluate(base), key = try evaluate(key)
            switch (base, key) {
            case (.list(let list), .integer(let i)):
                let index = i < 0 ? list.count + i : i
                return list.indices.contains(index) ? list[index] : .undefined
            case (.string(let text), .integer(let i)):
                let scalars = Array(text.unicodeScalars), index = i < 0 ? scalars.count + i : i
                return scalars.indices.contains(index) ? .string(String(scalars[index])) : .undefined
            case (_, .string(let name)): return member(base, name)
            default: return .undefined
            }
        case .slice(let base, let from, let to, let by):
            let base = try evaluate(base)
            func bound(_ expression: TemplateExpression?) throws -> Int? {
                guard let expression, case let value = try evaluate(expression), value != .none else { return nil }
                guard case .integer(let i) = value else { throw TemplateError("a slice by what is no whole number") }
                return i
            }
            let (low, high, stride) = (try bound(from), try bound(to), try bound(by) ?? 1)
            if case .string(let text) = base {
                let scalars = Self.slice(Array(text.unicodeScalars), low, high, stride)
                return .string(String(String.UnicodeScalarView(scalars)))
            }
            return .list(Self.slice(try Self.elements(base), low, high, stride))
        case .call(let callee, let arguments): return try call(callee, arguments)
        case .filter(let base, let name, let arguments):
            let value = try evaluate(base)
            return try filtered(value, name, try positional(arguments), try named(arguments))
        case .test(let base, let name, let arguments, let negated):
            return .bool(try TemplateFunctions.test(try evaluate(base), name, try positional(arguments)) != negated)
        case .not(let value): return .bool(!(try evaluate(value).isTrue))
        case .negative(let value):
            switch try evaluate(value) {
            case .integer(let i) where i != .min: return .integer(-i)
            case .number(let x): return .number(-x)
            default: throw TemplateError("what is no number has no negative")
            }
        case .binary("or", let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .binary("and", let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .binary(let symbol, let left, let right):
            let result = try TemplateFunctions.binary(symbol, try evaluate(left), try evaluate(right))
            if case .string(let text) = result { return .string(try checked(text)) }
            if case .list(let list) = result { steps += list.count }
            return result
        case .conditional(let condition, let then, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(then) }
            return try otherwise.map { try evaluate($0) } ?? .undefined
        }
    }

    private static func slice<T>(_ list: [T], _ low: Int?, _ high: Int?, _ stride: Int) -> [T] {
        func clamp(_ i: Int) -> Int { Swift.max(0, Swift.min(i < 0 ? list.count &+ i : i, list.count)) }
        if stride == -1, low == nil, high == nil { return list.reversed() }
        let start = clamp(low ?? 0), end = clamp(high ?? list.count)
        if stride < 1 || start >= end { return [] }
        return Swift.stride(from: start, to: end, by: stride).map { list[$0] }
    }

    private func member(_ value: TemplateValue, _ name: String) -> TemplateValue {
        switch value {
        case .dictionary(let members): members.last { $0.name == name }?.value ?? .undefined
        case .namespace(let id): namespaces[id].last { $0.name == name }?.value ?? .undefined
        default: .undefined
        }
    }

    private mutating func positional(_ arguments: TemplateArguments) throws -> [TemplateValue] {
        try arguments.positional.map { try evaluate($0) }
    }

    private mutating func named(_ arguments: TemplateArguments) throws -> [(name: String, value: TemplateValue)] {
        try arguments.named.map { ($0.name, try evaluate($0.value)) }
    }

    private mutating func filtered(
        _ value: TemplateValue, _ name: String, _ arguments: [TemplateValue], _ named: [(name: String, value: TemplateValue)]
    ) throws -> TemplateValue {
        let result = try TemplateFunctions.filter(value, name, arguments, named)
        if case .string(let text) = result { return .string(try checked(text)) }
        if case .list(let list) = result { steps += list.count }
        return result
    }

    private mutating func call(_ callee: TemplateExpression, _ list: TemplateArguments) throws -> TemplateValue {
        let arguments = try positional(list), named = try named(list)
        switch callee {
        case .attribute(let base, let method):
            let value = try evaluate(base)
            if case .macro(let id) = member(value, method) { return try expand(id, arguments, named) }
            let result = try TemplateFunctions.method(value, method, arguments)
            if case .string(let text) = result { return .string(try checked(text)) }
            if case .list(let list) = result { steps += list.count }
            return result
        case .name(let name):
            if case .macro(let id) = lookup(name) { return try expand(id, arguments, named) }
            switch name {
            case "namespace":
                namespaces.append(named)
                return .namespace(namespaces.count - 1)
            case "dict": return .dictionary(named)
            case "range":
                let bounds = try arguments.map { value -> Int in
                    guard case .integer(let i) = value else { throw TemplateError("a range of what is no whole number") }
                    return i
                }
                guard (1...3).contains(bounds.count) else { throw TemplateError("a range without bounds") }
                let (low, high, stride) =
                    bounds.count == 1 ? (0, bounds[0], 1) : (bounds[0], bounds[1], bounds.count > 2 ? bounds[2] : 1)
                guard stride != 0, low.magnitude < 1 << 40, high.magnitude < 1 << 40, (high - low) / stride < 100_000 else {
                    throw TemplateError("a range that is too long")
                }
                let numbers = Swift.stride(from: low, to: high, by: stride).map { TemplateValue.integer($0) }
                steps += numbers.count
                return .list(numbers)
            case "raise_exception": throw TemplateError(arguments.first?.text ?? "the template refuses the messages")
            case "strftime_now":
                guard case .string(let format)? = arguments.first else { throw TemplateError("strftime_now without its format") }
                return .string(TemplateFunctions.now(format))
            default: throw TemplateError("the template calls \(name.prefix(40)), which is not known here")
            }
        default: throw TemplateError("the template calls what is no function")
        }
    }

    private mutating func expand(_ id: Int, _ arguments: [TemplateValue], _ named: [(name: String, value: TemplateValue)]) throws
        -> TemplateValue
    {
        macroDepth += 1
        defer { macroDepth -= 1 }
        if macroDepth > 20 { throw TemplateError("macros call each other too deeply") }
        let (parameters, body) = macros[id]
        var scope: [(name: String, value: TemplateValue)] = []
        for (i, parameter) in parameters.enumerated() {
            if i < arguments.count {
                scope.append((parameter.name, arguments[i]))
            } else if let given = named.last(where: { $0.name == parameter.name }) {
                scope.append(given)
            } else {
                scope.append((parameter.name, try parameter.standard.map { try evaluate($0) } ?? .undefined))
            }
        }
        // A macro sees what is global, not its caller's loops.
        let outer = scopes
        scopes = [outer[0], scope]
        defer { scopes = outer }
        var text = ""
        _ = try run(body, into: &text)
        return .string(try checked(text))
    }
}
