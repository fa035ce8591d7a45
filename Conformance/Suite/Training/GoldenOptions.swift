import Tapestry

/// Keyword arguments of a constructor, with a record of those that were read: what nobody read is not supported.
final class GoldenOptions {
    private let values: [String: GoldenValue]
    /// Names that change how PyTorch computes, not what.
    private var used: Set<String> = ["foreach", "fused", "capturable", "differentiable"]

    init(_ values: [String: GoldenValue]) { self.values = values }

    convenience init(_ json: Any?, _ file: GoldenFile) throws {
        self.init(try (json as? [String: Any] ?? [:]).mapValues { try file.value($0) })
    }

    subscript(_ key: String) -> GoldenValue {
        used.insert(key)
        return values[key] ?? .none
    }

    static func number(_ value: GoldenValue) -> Double? {
        switch value {
        case .float(let x): x
        case .int(let i): Double(i)
        case .tensor(let t) where t.count == 1: t.item(Double.self)
        default: nil
        }
    }

    func number(_ key: String) -> Double? { Self.number(self[key]) }
    func number(_ key: String, _ standard: Double) -> Double { number(key) ?? standard }
    func int(_ key: String, _ standard: Int) -> Int { number(key).map { Int($0) } ?? standard }

    func flag(_ key: String, _ standard: Bool = false) -> Bool {
        if case .bool(let b) = self[key] { return b }
        return standard
    }

    func string(_ key: String) -> String? {
        if case .string(let s) = self[key] { return s }
        return nil
    }

    func numbers(_ key: String) -> [Double]? {
        guard case .list(let list) = self[key] else { return nil }
        return list.map { Self.number($0) ?? .nan }
    }

    func pair(_ key: String, _ standard: (Double, Double)) -> (Double, Double) {
        guard let list = numbers(key), list.count == 2 else { return standard }
        return (list[0], list[1])
    }

    /// Throws if an option was not read.
    func finish() throws {
        for (key, value) in values.sorted(by: { $0.key < $1.key }) where !used.contains(key) {
            if case .none = value { continue }
            throw Unsupported("option \(key)")
        }
    }
}
