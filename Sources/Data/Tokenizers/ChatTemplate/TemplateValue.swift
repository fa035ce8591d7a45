/// A value of a chat template: what messages and tools are made of.
public indirect enum TemplateValue: Sendable, Equatable {
    case none
    /// What is not there; false, empty text, and no attributes.
    case undefined
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case list([TemplateValue])
    /// Names with values, in order.
    case dictionary([(name: String, value: TemplateValue)])
    /// An object that `set ns.x = …` changes; its content lies with the interpreter.
    case namespace(Int)
    /// A macro of the template, by number.
    case macro(Int)

    public static func == (a: TemplateValue, b: TemplateValue) -> Bool {
        switch (a, b) {
        case (.none, .none), (.undefined, .undefined): true
        case (.bool(let x), .bool(let y)): x == y
        case (.string(let x), .string(let y)): x.utf8.elementsEqual(y.utf8)
        case (.list(let x), .list(let y)): x == y
        case (.dictionary(let x), .dictionary(let y)):
            x.count == y.count && x.allSatisfy { pair in y.contains { $0.name == pair.name && $0.value == pair.value } }
        case (.namespace(let x), .namespace(let y)): x == y
        default: if let x = a.double, let y = b.double { x == y } else { false }
        }
    }

    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .bool(let flag): flag ? 1 : 0
        default: nil
        }
    }

    var isTrue: Bool {
        switch self {
        case .none, .undefined: false
        case .bool(let flag): flag
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let list): !list.isEmpty
        case .dictionary(let members): !members.isEmpty
        case .namespace, .macro: true
        }
    }

    /// As Python's `str` has it.
    var text: String {
        switch self {
        case .none: "None"
        case .undefined: ""
        case .bool(let flag): flag ? "True" : "False"
        case .integer(let value): String(value)
        case .number(let value): value.description
        case .string(let text): text
        case .list(let list): "[" + list.map(\.quoted).joined(separator: ", ") + "]"
        case .dictionary(let members): "{" + members.map { "'\($0.name)': \($0.value.quoted)" }.joined(separator: ", ") + "}"
        case .namespace, .macro: ""
        }
    }

    private var quoted: String { if case .string(let text) = self { "'\(text)'" } else { text } }

    /// JSON, as Python's `json.dumps` lays it out; with `indent`, over several lines.
    func json(indent: Int?, depth: Int = 0) -> String {
        func block(_ open: String, _ close: String, _ parts: [String]) -> String {
            if parts.isEmpty { return open + close }
            guard let indent else { return open + parts.joined(separator: ", ") + close }
            let pad = String(repeating: " ", count: indent * (depth + 1))
            return open + "\n" + parts.map { pad + $0 }.joined(separator: ",\n") + "\n"
                + String(repeating: " ", count: indent * depth) + close
        }
        switch self {
        case .none, .undefined, .namespace, .macro: return "null"
        case .bool(let flag): return flag ? "true" : "false"
        case .integer, .number: return text
        case .string(let text): return jsonQuoted(text).replacing("\n", with: "\\n")
        case .list(let list): return block("[", "]", list.map { $0.json(indent: indent, depth: depth + 1) })
        case .dictionary(let members):
            return block("{", "}", members.map { "\(jsonQuoted($0.name)): \($0.value.json(indent: indent, depth: depth + 1))" })
        }
    }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: TemplateValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, TemplateValue)...) {
        self = .dictionary(elements.map { (name: $0.0, value: $0.1) })
    }
}
