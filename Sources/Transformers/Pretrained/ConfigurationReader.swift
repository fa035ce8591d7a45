import Data

/// Why a model's folder was refused.
public struct PretrainedError: Error, CustomStringConvertible, Equatable {
    /// The file or folder.
    public let path: String
    /// What was wrong, naming the key or the tensor where there is one.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// Reads the keys of a `config.json`, each checked for type and range: what is wrong is thrown with the key's name.
struct ConfigurationReader {
    let path: String
    private let object: JSONObject

    /// A configuration of more bytes is none.
    private static let largest = 16 << 20
    /// The largest size of one axis: products of two and a type's width do not overflow.
    static let largestSize = 1 << 28
    /// The largest number of layers.
    static let mostLayers = 1 << 14

    init(file path: String) throws {
        let file = try MappedFile(path)
        if file.bytes.count > Self.largest {
            throw PretrainedError(path, "\(file.bytes.count) bytes are too many for a configuration")
        }
        try self.init(file.bytes, path: path)
    }

    init(text: String, path: String) throws {
        self = try Array(text.utf8).withUnsafeBytes { try ConfigurationReader($0, path: path) }
    }

    private init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
        do {
            guard let object = try JSONValue(bytes).object else { throw PretrainedError(path, "not a JSON object") }
            self.init(object, path: path)
        } catch let error as JSONError {
            throw PretrainedError(path, "not a JSON configuration: \(error)")
        }
    }

    private init(_ object: JSONObject, path: String) {
        self.object = object
        self.path = path
    }

    func error(_ reason: String) -> PretrainedError { PretrainedError(path, reason) }

    /// The value of the first of these keys that is there and not null.
    private func value(_ keys: [String]) -> (key: String, value: JSONValue)? {
        for key in keys { if let value = object[key], !value.isNull { return (key, value) } }
        return nil
    }

    func has(_ key: String) -> Bool { value([key]) != nil }

    func optionalInteger(_ keys: String..., in range: ClosedRange<Int> = 1...largestSize) throws -> Int? {
        guard let (key, value) = value(keys) else { return nil }
        // 12.0 is a whole number too.
        let whole = value.integer ?? value.double.flatMap { Int(exactly: $0) }
        guard let integer = whole, range.contains(integer) else {
            throw error("\(key) is \(Self.shown(value)); must be a whole number in \(range.lowerBound) ... \(range.upperBound)")
        }
        return integer
    }

    func integer(_ key: String, _ others: String..., default: Int? = nil, in range: ClosedRange<Int> = 1...largestSize) throws
        -> Int
    {
        for name in [key] + others { if let found = try optionalInteger(name, in: range) { return found } }
        guard let fallback = `default` else { throw error("has no \(key)") }
        return fallback
    }

    func optionalNumber(_ key: String, in range: ClosedRange<Double> = -1e30...1e30) throws -> Double? {
        guard let (_, value) = value([key]) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw error("\(key) is \(Self.shown(value)); must be a number in \(range.lowerBound) ... \(range.upperBound)")
        }
        return number
    }

    func number(_ key: String, default: Double? = nil, in range: ClosedRange<Double> = -1e30...1e30) throws -> Double {
        if let found = try optionalNumber(key, in: range) { return found }
        guard let fallback = `default` else { throw error("has no \(key)") }
        return fallback
    }

    /// A list of finite numbers of the given length.
    func numbers(_ key: String, count: Int, in range: ClosedRange<Double>) throws -> [Double] {
        guard let (_, value) = value([key]), let list = value.array else { throw error("has no list \(key)") }
        let numbers = list.compactMap(\.double)
        if numbers.count != list.count || list.count != count || !numbers.allSatisfy(range.contains) {
            throw error("\(key) must be \(count) numbers in \(range.lowerBound) ... \(range.upperBound)")
        }
        return numbers
    }

    /// The epsilon of a norm.
    func epsilon(_ key: String, default: Double) throws -> Double { try number(key, default: `default`, in: 0...1) }

    /// The probability of a dropout.
    func probability(_ key: String, default: Double = 0) throws -> Double { try number(key, default: `default`, in: 0...0.999) }

    func flag(_ key: String, default: Bool) throws -> Bool {
        guard let (_, value) = value([key]) else { return `default` }
        guard let flag = value.bool else { throw error("\(key) is \(Self.shown(value)); must be true or false") }
        return flag
    }

    func optionalText(_ key: String) throws -> String? {
        guard let (_, value) = value([key]) else { return nil }
        guard let text = value.string else { throw error("\(key) is \(Self.shown(value)); must be a string") }
        return text
    }

    func texts(_ key: String) throws -> [String]? {
        guard let (_, value) = value([key]) else { return nil }
        guard let list = value.array, case let texts = list.compactMap(\.string), texts.count == list.count else {
            throw error("\(key) must be a list of strings")
        }
        return texts
    }

    func nested(_ key: String) throws -> ConfigurationReader? {
        guard let (_, value) = value([key]) else { return nil }
        guard let object = value.object else { throw error("\(key) is \(Self.shown(value)); must be an object") }
        return ConfigurationReader(object, path: "\(path) (\(key))")
    }

    /// The members of an object with how many there are: labels of a classifier.
    func memberCount(_ key: String) throws -> Int? {
        guard let (_, value) = value([key]) else { return nil }
        guard let object = value.object else { throw error("\(key) is \(Self.shown(value)); must be an object") }
        return object.members.count
    }

    func activation(_ key: String, default: FeedForwardActivation) throws -> FeedForwardActivation {
        guard let name = try optionalText(key) else { return `default` }
        guard let activation = FeedForwardActivation(huggingFaceName: name) else {
            throw error("\(key) is \(name.prefix(60)), which no activation here is called")
        }
        return activation
    }

    private static func shown(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .integer(let integer): "\(integer)"
        case .number(let number): "\(number)"
        case .string(let text): jsonQuoted(String(text.unicodeScalars.prefix(60).map(Character.init)))
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// Text of a JSON object with its members in the order given.
struct ConfigurationWriter {
    private var members: [String] = []

    mutating func add(_ key: String, _ value: Int?) { addRaw(key, value.map(String.init) ?? "null") }
    mutating func add(_ key: String, _ value: Double?) { addRaw(key, value.map { "\($0)" } ?? "null") }
    mutating func add(_ key: String, _ value: Bool) { addRaw(key, value ? "true" : "false") }
    mutating func add(_ key: String, _ value: String?) { addRaw(key, value.map(jsonQuoted) ?? "null") }
    mutating func add(_ key: String, _ values: [String]) {
        addRaw(key, "[" + values.map(jsonQuoted).joined(separator: ", ") + "]")
    }
    mutating func add(_ key: String, _ values: [Double]) {
        addRaw(key, "[" + values.map { "\($0)" }.joined(separator: ", ") + "]")
    }
    mutating func add(_ key: String, _ inner: ConfigurationWriter) { addRaw(key, inner.text(indent: 2)) }
    private mutating func addRaw(_ key: String, _ value: String) { members.append("\(jsonQuoted(key)): \(value)") }

    func text(indent: Int = 0) -> String {
        let pad = String(repeating: " ", count: indent + 2)
        return "{\n" + members.map { pad + $0 }.joined(separator: ",\n") + "\n" + String(repeating: " ", count: indent) + "}"
    }
}
