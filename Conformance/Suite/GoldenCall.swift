import ComplexModule
import Tapestry

/// The arguments of a call, found by position or by name.
public struct GoldenCall {
    public let arguments: [GoldenValue]
    public let named: [String: GoldenValue]

    /// Which positional arguments were Python tuples: an index per axis rather than one list of positions.
    public let tuples: Set<Int>

    public init(_ arguments: [GoldenValue], _ named: [String: GoldenValue], tuples: Set<Int> = []) {
        self.arguments = arguments
        self.named = named
        self.tuples = tuples
    }

    public func isTuple(_ position: Int) -> Bool { tuples.contains(position) }

    public func value(_ position: Int, _ names: String...) -> GoldenValue {
        if arguments.indices.contains(position) { return arguments[position] }
        for name in names { if let value = named[name] { return value } }
        return .none
    }

    public func has(_ name: String) -> Bool {
        if case .none = named[name] ?? .none { return false }
        return true
    }

    /// Throws for keywords other than these: a case that needs more is skipped, not silently run without it.
    public func allow(_ names: String...) throws { try allow(names) }

    /// The same with a list of names.
    public func allow(_ names: [String]) throws {
        for (name, value) in named where !names.contains(name) {
            if case .none = value { continue }
            throw Unsupported("keyword \(name)")
        }
    }

    public func tensor(_ position: Int, _ name: String = "") throws -> Tensor {
        switch value(position, name) {
        case .tensor(let t): return t
        case .int(let i): return Tensor(i)
        case .float(let x): return Tensor(x)
        case .bool(let b): return Tensor(b)
        case .complex(let re, let im): return Tensor(Complex(re, im), dtype: .complex64)
        default: throw Unsupported("argument \(position) is no tensor")
        }
    }

    public func optionalTensor(_ position: Int, _ name: String) throws -> Tensor? {
        if case .none = value(position, name) { return nil }
        return try tensor(position, name)
    }

    public func int(_ position: Int, _ name: String = "") throws -> Int {
        switch value(position, name) {
        case .int(let i): return i
        case .tensor(let t) where t.count == 1: return t.item(Int.self)
        default: throw Unsupported("argument \(position) \(name) is no integer")
        }
    }

    public func int(_ position: Int, _ name: String, or standard: Int) throws -> Int {
        if case .none = value(position, name) { return standard }
        return try int(position, name)
    }

    public func double(_ position: Int, _ name: String, or standard: Double) throws -> Double {
        switch value(position, name) {
        case .int(let i): return Double(i)
        case .float(let x): return x
        case .bool(let b): return b ? 1 : 0
        case .none: return standard
        default: throw Unsupported("argument \(position) \(name) is no number")
        }
    }

    public func bool(_ position: Int, _ name: String, or standard: Bool = false) -> Bool {
        switch value(position, name) {
        case .bool(let b): b
        case .int(let i): i != 0
        default: standard
        }
    }

    public func string(_ position: Int, _ name: String, or standard: String) -> String {
        if case .string(let s) = value(position, name) { return s }
        return standard
    }

    /// Integers given as one list or as the arguments from `position` on.
    public func ints(_ position: Int, _ name: String = "") throws -> [Int] {
        func int(_ value: GoldenValue) throws -> Int {
            switch value {
            case .int(let i): return i
            case .bool(let b): return b ? 1 : 0
            default: throw Unsupported("no integer")
            }
        }
        if case .list(let list) = value(position, name) { return try list.map(int) }
        if arguments.count > position { return try arguments[position...].map(int) }
        if case .list(let list) = named[name] ?? .none { return try list.map(int) }
        return [try self.int(position, name)]
    }

    /// Axes of a reduction: none or an empty list is all.
    public func axes(_ position: Int, _ name: String = "dim") throws -> Axes {
        switch value(position, name) {
        case .none: return .all
        case .list(let list) where list.isEmpty: return .all
        case .int(let i): return Axes([i])
        default: return Axes(try ints(position, name))
        }
    }
}
