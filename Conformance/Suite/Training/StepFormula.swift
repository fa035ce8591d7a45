import Foundation

/// A function of the step t as the cases write it: arithmetic as Python's, `a if t odd else b`, min, max, sqrt, cos, exp.
struct StepFormula: Sendable {
    private indirect enum Expression: Sendable {
        case number(Double), step
        case binary(String, Expression, Expression)
        case call(String, [Expression])
        case choice(Expression, then: Expression, otherwise: Expression)
    }
    private let root: Expression

    init(_ text: String) throws {
        var parser = Parser(text)
        root = try parser.expression()
        if let rest = parser.token { throw Unsupported("formula \(text) (at \(rest))") }
    }

    func callAsFunction(_ step: Int) -> Double { value(root, Double(step)) }

    private func value(_ e: Expression, _ t: Double) -> Double {
        switch e {
        case .number(let x): return x
        case .step: return t
        case .choice(let condition, let a, let b): return value(condition, t) != 0 ? value(a, t) : value(b, t)
        case .call(let name, let arguments):
            let x = arguments.map { value($0, t) }
            switch name {
            case "min": return x.min()!
            case "max": return x.max()!
            case "sqrt": return x[0].squareRoot()
            case "cos": return Foundation.cos(x[0])
            case "exp": return Foundation.exp(x[0])
            case "odd": return x[0].truncatingRemainder(dividingBy: 2) == 1 ? 1 : 0
            default: return x[0].truncatingRemainder(dividingBy: 2) == 0 ? 1 : 0
            }
        case .binary(let op, let a, let b):
            let x = value(a, t), y = value(b, t)
            switch op {
            case "+": return x + y
            case "-": return x - y
            case "*": return x * y
            case "/": return x / y
            case "//": return (x / y).rounded(.down)
            case "%": return x - y * (x / y).rounded(.down)
            case "<": return x < y ? 1 : 0
            case "<=": return x <= y ? 1 : 0
            case ">": return x > y ? 1 : 0
            case ">=": return x >= y ? 1 : 0
            case "==": return x == y ? 1 : 0
            default: return Foundation.pow(x, y)
            }
        }
    }

    private struct Parser {
        private let text: String
        private var tokens: [String]
        private var place = 0

        init(_ text: String) {
            self.text = text
            tokens = text.matches(of: /\d+\.?\d*(?:e-?\d+)?|\.\d+|\w+|\*\*|\/\/|<=|>=|==|[-+*\/%()<>,]/).map { String($0.0) }
            if tokens.first == "lambda" { tokens.removeFirst(3) }
        }

        var token: String? { place < tokens.count ? tokens[place] : nil }

        private mutating func take(_ wanted: String) -> Bool {
            if token != wanted { return false }
            place += 1
            return true
        }

        mutating func expression() throws -> Expression {
            let a = try chain(0)
            if !take("if") { return a }
            var condition = try chain(0)
            for parity in ["odd", "even"] where take(parity) { condition = .call(parity, [condition]) }
            if !take("else") { throw Unsupported("formula \(text)") }
            return .choice(condition, then: a, otherwise: try expression())
        }

        /// Operators by rank, those of a rank from the left.
        private mutating func chain(_ rank: Int) throws -> Expression {
            let ranks = [["<", "<=", ">", ">=", "=="], ["+", "-"], ["*", "/", "//", "%"]]
            if rank == ranks.count { return try power() }
            var a = try chain(rank + 1)
            while let op = token, ranks[rank].contains(op) {
                place += 1
                a = .binary(op, a, try chain(rank + 1))
            }
            return a
        }

        private mutating func power() throws -> Expression {
            if take("-") { return .binary("-", .number(0), try power()) }
            let a = try atom()
            return take("**") ? .binary("**", a, try power()) : a
        }

        private mutating func atom() throws -> Expression {
            guard let name = token else { throw Unsupported("formula \(text)") }
            place += 1
            if name == "(" {
                let inner = try expression()
                _ = take(")")
                return inner
            }
            if let x = Double(name) { return .number(x) }
            if ["t", "e", "epoch", "step", "x", "s"].contains(name) { return .step }
            if name == "pi" { return .number(.pi) }
            guard ["min", "max", "sqrt", "cos", "exp"].contains(name), take("(") else { throw Unsupported("formula \(text)") }
            var arguments = [try expression()]
            while take(",") { arguments.append(try expression()) }
            _ = take(")")
            return .call(name, arguments)
        }
    }
}
