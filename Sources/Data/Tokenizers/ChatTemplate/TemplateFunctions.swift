import Foundation

/// Operators, filters, tests and methods of templates: Python's and Jinja's, on plain values.
enum TemplateFunctions {
    static func binary(_ symbol: String, _ a: TemplateValue, _ b: TemplateValue) throws -> TemplateValue {
        switch symbol {
        case "==": return .bool(a == b)
        case "!=": return .bool(a != b)
        case "~": return .string(a.text + b.text)
        case "in":
            switch (a, b) {
            case (.string(let part), .string(let text)): return .bool(contains(text, part))
            case (_, .list(let list)): return .bool(list.contains(a))
            case (.string(let name), .dictionary(let members)): return .bool(members.contains { $0.name == name })
            default: return .bool(false)
            }
        case "<", ">", "<=", ">=":
            let order: Int
            if let x = a.double, let y = b.double {
                order = x < y ? -1 : x > y ? 1 : 0
            } else if case (.string(let x), .string(let y)) = (a, b) {
                let (u, v) = (Array(x.unicodeScalars), Array(y.unicodeScalars))
                order = u == v ? 0 : u.lexicographicallyPrecedes(v) ? -1 : 1
            } else {
                throw TemplateError("\(a.text.prefix(40)) and \(b.text.prefix(40)) have no order")
            }
            return .bool(symbol == "<" ? order < 0 : symbol == ">" ? order > 0 : symbol == "<=" ? order <= 0 : order >= 0)
        case "+":
            if case (.string(let x), .string(let y)) = (a, b) { return .string(x + y) }
            if case (.list(let x), .list(let y)) = (a, b) { return .list(x + y) }
        case "*":
            if case (.string(let text), .integer(let count)) = (a, b) {
                let (size, overflow) = text.utf8.count.multipliedReportingOverflow(by: max(count, 0))
                if overflow || size > TemplateInterpreter.mostBytes { throw TemplateError("the template makes too much text") }
                return .string(String(repeating: text, count: max(count, 0)))
            }
        default: break
        }
        return try arithmetic(symbol, a, b)
    }

    private static func arithmetic(_ symbol: String, _ a: TemplateValue, _ b: TemplateValue) throws -> TemplateValue {
        guard let x = a.double, let y = b.double else {
            throw TemplateError("\(symbol) of \(a.text.prefix(40).debugDescription) and \(b.text.prefix(40).debugDescription)")
        }
        if symbol != "/", case (.integer(let i), .integer(let j)) = (a, b) {
            let (result, overflow): (Int, Bool)
            switch symbol {
            case "+": (result, overflow) = i.addingReportingOverflow(j)
            case "-": (result, overflow) = i.subtractingReportingOverflow(j)
            case "*": (result, overflow) = i.multipliedReportingOverflow(by: j)
            default:
                if j == 0 || (i == .min && j == -1) { throw TemplateError("division by zero") }
                // Python rounds down.
                let remainder = i % j, isDown = remainder != 0 && (remainder < 0) != (j < 0)
                (result, overflow) = (symbol == "//" ? i / j - (isDown ? 1 : 0) : remainder + (isDown ? j : 0), false)
            }
            if overflow { throw TemplateError("a number too large") }
            return .integer(result)
        }
        switch symbol {
        case "+": return .number(x + y)
        case "-": return .number(x - y)
        case "*": return .number(x * y)
        case "/", "//", "%":
            if y == 0 { throw TemplateError("division by zero") }
            return .number(symbol == "/" ? x / y : symbol == "//" ? (x / y).rounded(.down) : x - (x / y).rounded(.down) * y)
        default: throw TemplateError("the operator \(symbol) is not known here")
        }
    }

    /// By bytes: canonically equivalent texts are different.
    static func contains(_ text: String, _ part: String) -> Bool {
        part.isEmpty || find(Array(text.utf8), Array(part.utf8), 0) != nil
    }

    private static func find(_ text: [UInt8], _ part: [UInt8], _ start: Int) -> Int? {
        if part.isEmpty || text.count < part.count { return nil }
        var i = start
        while i + part.count <= text.count {
            if text[i] == part[0], text[i..<(i + part.count)].elementsEqual(part) { return i }
            i += 1
        }
        return nil
    }

    private static func split(_ text: String, _ separator: String?) -> [String] {
        guard let separator, !separator.isEmpty else {
            return text.unicodeScalars.split { $0.properties.isWhitespace }.map { String($0) }
        }
        let bytes = Array(text.utf8), part = Array(separator.utf8)
        var result: [String] = []
        var start = 0
        while let place = find(bytes, part, start) {
            result.append(String(decoding: bytes[start..<place], as: UTF8.self))
            start = place + part.count
        }
        return result + [String(decoding: bytes[start...], as: UTF8.self)]
    }

    private static func stripped(_ text: String, _ set: String?, left: Bool = true, right: Bool = true) -> String {
        let scalars = Array(text.unicodeScalars)
        let wanted = set.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { wanted?.contains(scalar) ?? scalar.properties.isWhitespace }
        var start = 0, end = scalars.count
        while left, start < end, goes(scalars[start]) { start += 1 }
        while right, end > start, goes(scalars[end - 1]) { end -= 1 }
        return String(String.UnicodeScalarView(scalars[start..<end]))
    }

    private static func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        return String(first).uppercased() + String(text.unicodeScalars.dropFirst()).lowercased()
    }

    static func method(_ value: TemplateValue, _ name: String, _ arguments: [TemplateValue]) throws -> TemplateValue {
        func text(_ i: Int) -> String? { if i < arguments.count, case .string(let text) = arguments[i] { text } else { nil } }
        switch value {
        case .string(let self):
            switch name {
            case "strip": return .string(stripped(self, text(0)))
            case "lstrip": return .string(stripped(self, text(0), right: false))
            case "rstrip": return .string(stripped(self, text(0), left: false))
            case "upper": return .string(self.uppercased())
            case "lower": return .string(self.lowercased())
            case "title": return .string(self.capitalized)
            case "capitalize": return .string(capitalized(self))
            case "split": return .list(split(self, text(0)).map { .string($0) })
            case "splitlines": return .list(split(self, "\n").map { .string($0) })
            case "startswith": return .bool(text(0).map { self.utf8.starts(with: $0.utf8) } ?? false)
            case "endswith": return .bool(text(0).map { self.utf8.reversed().starts(with: $0.utf8.reversed()) } ?? false)
            case "replace": return try replaced(self, text(0), text(1))
            case "find":
                let place = find(Array(self.utf8), Array((text(0) ?? "").utf8), 0)
                return .integer(place.map { String(decoding: self.utf8.prefix($0), as: UTF8.self).unicodeScalars.count } ?? -1)
            case "join": return try filter(arguments.first ?? .undefined, "join", [value], [])
            default: break
            }
        case .dictionary(let members):
            switch name {
            case "items": return .list(members.map { .list([.string($0.name), $0.value]) })
            case "keys": return .list(members.map { .string($0.name) })
            case "values": return .list(members.map(\.value))
            case "get": return members.last { $0.name == text(0) }?.value ?? (arguments.count > 1 ? arguments[1] : .none)
            default: break
            }
        default: break
        }
        throw TemplateError("the template calls \(name.prefix(40)), which is not known here")
    }

    private static func replaced(_ text: String, _ old: String?, _ new: String?) throws -> TemplateValue {
        guard let old, let new, !old.isEmpty else { throw TemplateError("replace without two texts") }
        let parts = split(text, old)
        if new.utf8.count > 64, (parts.count - 1) * new.utf8.count > TemplateInterpreter.mostBytes {
            throw TemplateError("the template makes too much text")
        }
        return .string(parts.joined(separator: new))
    }

    static func filter(
        _ value: TemplateValue, _ name: String, _ arguments: [TemplateValue], _ named: [(name: String, value: TemplateValue)]
    ) throws -> TemplateValue {
        func argument(_ i: Int, _ key: String) -> TemplateValue? {
            named.last { $0.name == key }?.value ?? (i < arguments.count ? arguments[i] : nil)
        }
        switch name {
        case "trim": return .string(stripped(value.text, argument(0, "chars")?.text))
        case "upper", "lower", "title", "capitalize": return try method(.string(value.text), name, [])
        case "string": return .string(value.text)
        case "safe", "e", "escape": return value
        case "tojson":
            if case .integer(let indent)? = argument(0, "indent") { return .string(value.json(indent: max(0, min(indent, 16)))) }
            return .string(value.json(indent: nil))
        case "default", "d":
            let usesFalse = argument(1, "boolean")?.isTrue ?? false
            return value == .undefined || (usesFalse && !value.isTrue) ? argument(0, "default_value") ?? .string("") : value
        case "length", "count": return .integer(try TemplateInterpreter.elements(value).count)
        case "first": return try TemplateInterpreter.elements(value).first ?? .undefined
        case "last": return try TemplateInterpreter.elements(value).last ?? .undefined
        case "list": return .list(try TemplateInterpreter.elements(value))
        case "reverse":
            if case .string(let text) = value { return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed()))) }
            return .list(try TemplateInterpreter.elements(value).reversed())
        case "join":
            let attribute = argument(1, "attribute")?.text
            let elements = try TemplateInterpreter.elements(value)
            let parts: [TemplateValue] = attribute.map { key in elements.map { get($0, key) } } ?? elements
            let separator = argument(0, "d")?.text ?? ""
            if parts.reduce(separator.utf8.count * parts.count, { $0 + $1.text.utf8.count }) > TemplateInterpreter.mostBytes {
                throw TemplateError("the template makes too much text")
            }
            return .string(parts.map(\.text).joined(separator: separator))
        case "replace": return try replaced(value.text, argument(0, "old")?.text, argument(1, "new")?.text)
        case "items": return try method(value, "items", [])
        case "int":
            if let number = value.double, number.magnitude < 1e15 { return .integer(Int(number)) }
            return .integer(Int(stripped(value.text, nil)) ?? 0)
        case "float": return .number(value.double ?? Double(stripped(value.text, nil)) ?? 0)
        case "abs":
            if case .integer(let i) = value, i != .min { return .integer(abs(i)) }
            return .number(abs(value.double ?? 0))
        case "unique":
            var result: [TemplateValue] = []
            for element in try TemplateInterpreter.elements(value).prefix(10_000) where !result.contains(element) {
                result.append(element)
            }
            return .list(result)
        case "dictsort":
            guard case .dictionary(let members) = value else { throw TemplateError("dictsort of no dictionary") }
            return .list(
                members.sorted { $0.name.lowercased() < $1.name.lowercased() }.map { .list([.string($0.name), $0.value]) })
        case "indent":
            let width: Int = if case .integer(let i)? = argument(0, "width") { max(0, min(i, 64)) } else { 4 }
            return .string(split(value.text, "\n").joined(separator: "\n" + String(repeating: " ", count: width)))
        case "map":
            let elements = try TemplateInterpreter.elements(value)
            if let key = named.last(where: { $0.name == "attribute" })?.value.text { return .list(elements.map { get($0, key) }) }
            guard case .string(let inner)? = arguments.first, inner != "map" else { throw TemplateError("map without a filter") }
            return .list(try elements.map { try filter($0, inner, Array(arguments.dropFirst()), []) })
        case "selectattr", "rejectattr":
            guard case .string(let key)? = arguments.first else { throw TemplateError("\(name) without an attribute") }
            return .list(
                try TemplateInterpreter.elements(value).filter { element in
                    let member = get(element, key)
                    let holds =
                        arguments.count > 1 ? try test(member, arguments[1].text, Array(arguments.dropFirst(2))) : member.isTrue
                    return holds == (name == "selectattr")
                })
        case "select", "reject":
            return .list(
                try TemplateInterpreter.elements(value).filter { element in
                    let holds =
                        arguments.isEmpty ? element.isTrue : try test(element, arguments[0].text, Array(arguments.dropFirst()))
                    return holds == (name == "select")
                })
        default: throw TemplateError("the filter \(name.prefix(40)) is not known here")
        }
    }

    private static func get(_ value: TemplateValue, _ name: String) -> TemplateValue {
        if case .dictionary(let members) = value { members.last { $0.name == name }?.value ?? .undefined } else { .undefined }
    }

    static func test(_ value: TemplateValue, _ name: String, _ arguments: [TemplateValue]) throws -> Bool {
        switch (name, value) {
        case ("defined", _): return value != .undefined
        case ("undefined", _): return value == .undefined
        case ("none", _): return value == .none
        case ("string", .string), ("mapping", .dictionary), ("boolean", .bool), ("integer", .integer), ("float", .number),
            ("number", .integer),
            ("number", .number), ("iterable", .list), ("iterable", .string), ("iterable", .dictionary), ("sequence", .list),
            ("sequence", .string),
            ("sequence", .dictionary), ("callable", .macro):
            return true
        case ("string", _), ("mapping", _), ("boolean", _), ("integer", _), ("float", _), ("number", _), ("iterable", _),
            ("sequence", _),
            ("callable", _):
            return false
        case ("true", _): return value == .bool(true) && value.double == 1
        case ("false", _): if case .bool(false) = value { return true } else { return false }
        case ("equalto", _), ("eq", _), ("sameas", _): return value == arguments.first ?? .undefined
        case ("ne", _): return value != arguments.first ?? .undefined
        case ("in", _): return try binary("in", value, arguments.first ?? .undefined).isTrue
        case ("odd", .integer(let i)): return i % 2 != 0
        case ("even", .integer(let i)): return i % 2 == 0
        case ("divisibleby", .integer(let i)):
            guard case .integer(let by)? = arguments.first, by > 0 else { throw TemplateError("divisibleby without a number") }
            return i % by == 0
        case ("lower", .string(let text)): return text == text.lowercased()
        case ("upper", .string(let text)): return text == text.uppercased()
        default: throw TemplateError("the test \(name.prefix(40)) is not known here")
        }
    }

    /// The date, by `strftime`'s letters.
    static func now(_ format: String) -> String {
        var time = time(nil)
        var parts = tm()
        localtime_r(&time, &parts)
        var buffer = [CChar](repeating: 0, count: 256)
        let count = strftime(&buffer, buffer.count, String(format.prefix(64)), &parts)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
