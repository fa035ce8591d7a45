import Foundation
import Tapestry

/// Folders with golden cases: the bundled one and, if set, the one that `TAPESTRY_GOLDENS` names.
public enum Goldens {
    public static let bundled = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Goldens")

    public static var folders: [URL] {
        [bundled] + (ProcessInfo.processInfo.environment["TAPESTRY_GOLDENS"].map { [URL(fileURLWithPath: $0)] } ?? [])
    }

    /// The manifests of a suite, in every folder.
    public static func manifests(_ suite: String) -> [URL] {
        folders.flatMap { folder -> [URL] in
            let directory = folder.appendingPathComponent(suite)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
            return names.filter { $0.hasSuffix(".json") }.sorted().map { directory.appendingPathComponent($0) }
        }
    }

    /// Parsed JSON of a bundled file.
    public static func json(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: bundled.appendingPathComponent(name))
        guard let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw GoldenError("\(name) is not a JSON object")
        }
        return object
    }
}

public struct GoldenError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A case asks for something the library does not have; it is counted as skipped, with the reason.
public struct Unsupported: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A value of a case: an argument or a result.
public indirect enum GoldenValue {
    case none, ellipsis
    case tensor(Tensor)
    case int(Int), float(Double), bool(Bool), string(String), dtype(String)
    case complex
    case list([GoldenValue]), dictionary([String: GoldenValue]), slice([GoldenValue])

    public var tensors: [Tensor] {
        switch self {
        case .tensor(let t): [t]
        case .list(let values): values.flatMap(\.tensors)
        default: []
        }
    }
}

/// A manifest with its blob (format "tcase-1").
public struct GoldenFile {
    public let url: URL
    public let meta: [String: Any]
    private let blob: Data

    public init(_ url: URL) throws {
        self.url = url
        guard let meta = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any],
            meta["format"] as? String == "tcase-1", let name = meta["blob"] as? String
        else { throw GoldenError("\(url.lastPathComponent) is not in the format tcase-1") }
        self.meta = meta
        blob = try Data(contentsOf: url.deletingLastPathComponent().appendingPathComponent(name))
        guard blob.count == meta["blob_bytes"] as? Int else { throw GoldenError("\(name) is damaged") }
    }

    public var cases: [[String: Any]] { meta["cases"] as! [[String: Any]] }

    public static func number(_ any: Any?) -> Double {
        if let s = any as? String { return Double(s)! }
        return (any as! NSNumber).doubleValue
    }

    public static func dtype(_ name: String) -> DType? {
        [
            "f64": .float64, "f32": .float32, "f16": .float16, "bf16": .bfloat16, "i64": .int64, "i32": .int32, "i8": .int8,
            "u8": .uint8, "bool": .bool,
        ][name]
    }

    /// Reads a value. Tensors whose path is in `leaves` require gradients.
    public func value(_ any: Any, path: String = "", leaves: Set<String> = []) throws -> GoldenValue {
        guard let d = any as? [String: Any], let kind = d["k"] as? String else { throw GoldenError("no value: \(any)") }
        let v = d["v"]
        switch kind {
        case "tensor": return .tensor(try tensor(d, leaf: leaves.contains(path)))
        case "int": return .int((v as! NSNumber).intValue)
        case "float": return .float(Self.number(v))
        case "bool": return .bool(v as! Bool)
        case "str": return .string(v as! String)
        case "dtype": return .dtype(v as! String)
        case "complex": return .complex
        case "list":
            return .list(
                try (v as! [Any]).enumerated().map { try value($1, path: "\(path).\($0)", leaves: leaves) })
        case "slice": return .slice(try (v as! [Any]).map { try value($0) })
        case "dict": return .dictionary(try (v as! [String: Any]).mapValues { try value($0) })
        case "ellipsis": return .ellipsis
        case "none": return .none
        default: throw GoldenError("unknown kind \(kind)")
        }
    }

    public func tensor(_ any: Any?, leaf: Bool = false) throws -> Tensor {
        guard let d = any as? [String: Any], let name = d["dtype"] as? String, let offset = d["off"] as? Int,
            let size = d["n"] as? Int, let shape = d["shape"] as? [Int]
        else { throw GoldenError("no tensor") }
        guard let dtype = Self.dtype(name) else { throw Unsupported("type \(name)") }
        var result = Tensor(zeros: shape, dtype: dtype)
        precondition(result.count * dtype.byteCount == size)
        result.withUnsafeMutableBytes { $0.copyBytes(from: blob[blob.startIndex + offset..<blob.startIndex + offset + size]) }
        if leaf { result.requiresGrad = true }
        return result
    }
}

/// The arguments of a call, found by position or by name.
public struct GoldenCall {
    public let arguments: [GoldenValue]
    public let named: [String: GoldenValue]

    public init(_ arguments: [GoldenValue], _ named: [String: GoldenValue]) {
        self.arguments = arguments
        self.named = named
    }

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
    public func allow(_ names: String...) throws {
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
            guard case .int(let i) = value else { throw Unsupported("no integer") }
            return i
        }
        if case .list(let list) = value(position, name) { return try list.map(int) }
        if arguments.count > position { return try arguments[position...].map(int) }
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
