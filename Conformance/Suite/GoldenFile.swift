import Foundation
import Tapestry

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
    case complex(Double, Double)
    case list([GoldenValue]), dictionary([String: GoldenValue]), slice([GoldenValue])

    /// Tensors, and plain numbers as scalars.
    public var numbers: [Tensor] {
        switch self {
        case .tensor(let t): [t]
        case .int(let i): [Tensor(i)]
        case .float(let x): [Tensor(x, dtype: .float64)]
        case .bool(let b): [Tensor(b)]
        case .list(let values): values.flatMap(\.numbers)
        default: []
        }
    }

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
        let object = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
        // Cases of trained models that have no tensors lie in a file by themselves.
        if let meta = object, meta["format"] == nil, meta["cases"] is [[String: Any]] {
            self.meta = meta
            blob = Data()
            return
        }
        guard let meta = object, meta["format"] as? String == "tcase-1", let name = meta["blob"] as? String else {
            throw GoldenError("\(url.lastPathComponent) is not in the format tcase-1")
        }
        self.meta = meta
        blob = try Data(contentsOf: url.deletingLastPathComponent().appendingPathComponent(name))
        guard blob.count == meta["blob_bytes"] as? Int else { throw GoldenError("\(name) is damaged") }
    }

    /// Whether a JSON file says that it is a manifest of cases: by its format, or by beginning with its source.
    public static func isManifest(_ url: URL) -> Bool {
        guard let handle = try? FileHandle(forReadingFrom: url), let start = try? handle.read(upToCount: 200) else {
            return false
        }
        let text = String(decoding: start, as: UTF8.self)
        return text.contains("\"tcase-1\"") || text.hasPrefix("{\"source\"")
    }

    public var cases: [[String: Any]] { meta["cases"] as! [[String: Any]] }

    public static func number(_ any: Any?) -> Double {
        if let s = any as? String { return Double(s)! }
        return (any as! NSNumber).doubleValue
    }

    public static func dtype(_ name: String) -> DType? {
        [
            "f64": .float64, "f32": .float32, "f16": .float16, "bf16": .bfloat16, "i64": .int64, "i32": .int32, "i8": .int8,
            "u8": .uint8, "bool": .bool, "c64": .complex64, "c128": .complex128,
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
        case "complex":
            let parts = v as! [Any]
            return .complex(Self.number(parts[0]), Self.number(parts[1]))
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

    /// Integers of a type that the library lacks, `bits` wide, as `int64`.
    func wideTensor(_ d: [String: Any], bits: Int, isSigned: Bool) throws -> Tensor {
        guard let offset = d["off"] as? Int, let size = d["n"] as? Int, let shape = d["shape"] as? [Int] else {
            throw GoldenError("no tensor")
        }
        let bytes = Array(blob[blob.startIndex + offset..<blob.startIndex + offset + size]), width = bits / 8
        let numbers = try stride(from: 0, to: size, by: width).map { start in
            let value = (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
            if isSigned { return Int(Int64(bitPattern: value << UInt64(64 - bits)) >> Int64(64 - bits)) }
            guard let number = Int(exactly: value) else { throw Unsupported("an unsigned number above the largest int64") }
            return number
        }
        return Tensor(numbers, shape: shape)
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
