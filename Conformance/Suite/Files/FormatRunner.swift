import Foundation
import Tapestry

/// Files of other systems: what must be read, and what must be refused by a typed error that costs no memory.
enum FormatRunner {
    private static func path(_ item: [String: Any], _ file: GoldenFile) throws -> String {
        guard let name = item["file"] as? String else { throw GoldenError("the case names no file") }
        let group = file.url.deletingPathExtension().lastPathComponent
        return file.url.deletingLastPathComponent().appendingPathComponent(group).appendingPathComponent(name).path
    }

    /// Every tensor of a file, by name; an `.npy` file's has none.
    private static func tensors(_ path: String) throws -> [String: Tensor] {
        if path.hasSuffix(".npy") { return ["": try readNumpy(path)] }
        // Malformed files have any ending, so the folder tells the format.
        switch URL(fileURLWithPath: path).deletingLastPathComponent().lastPathComponent {
        case "safetensors": return try SafetensorsFile(path).tensors()
        case "gguf": return try GGUFFile(path).tensors()
        case "npz": return try NumpyArchive(path).tensors()
        default: return try TensorArchives.open(path).tensors()
        }
    }

    /// The expected tensor; integers that tensors lack, in the type that they are widened to.
    private static func expected(_ any: Any, _ file: GoldenFile) throws -> Tensor {
        guard let value = any as? [String: Any] else { throw GoldenError("no tensor") }
        switch value["dtype"] as? String {
        case "i16": return try file.wideTensor(value, bits: 16, isSigned: true).to(.int32)
        case "u16": return try file.wideTensor(value, bits: 16, isSigned: false).to(.int32)
        case "u32": return try file.wideTensor(value, bits: 32, isSigned: false)
        case "u64": return try file.wideTensor(value, bits: 64, isSigned: false)
        default: return try file.tensor(value)
        }
    }

    /// `read`: these tensors, and this metadata.
    @Sendable static func read(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let path = try path(item, file)
        let group = file.url.deletingPathExtension().lastPathComponent
        var wanted = item["tensors"] as? [String: Any] ?? [:]
        if let one = item["tensor"] { wanted[""] = one }
        let expected = try wanted.mapValues { try Self.expected($0, file) }
        let found = try tensors(path)
        if Set(found.keys) != Set(expected.keys) { return "has the tensors \(found.keys.sorted())" }
        for (name, tensor) in expected {
            if let wrong = mismatch(found[name]!, tensor, .exact) { return "\(name): \(wrong)" }
        }
        if let metadata = item["metadata"] as? [String: String], group == "safetensors" {
            let ours = try SafetensorsFile(path).metadata
            if ours != metadata { return "has the metadata \(ours)" }
        }
        if let values = item["kv"] as? [String: Any] ?? item["fields"] as? [String: Any], group == "gguf" {
            let gguf = try GGUFFile(path)
            for (key, value) in values where !key.hasPrefix("GGUF.") {
                guard let ours = try gguf.metadata(key) else { return "lacks the key \(key)" }
                if !agree(ours, value) { return "\(key) is \(ours), expected \(value)" }
            }
        }
        return nil
    }

    /// A value of the metadata and one of JSON, plain or marked by kind.
    private static func agree(_ ours: GGUFValue, _ theirs: Any) -> Bool {
        var theirs = theirs
        if let marked = theirs as? [String: Any] {
            if let length = marked["len"] as? Int, case .array(_, let list) = ours { return list.count == length }
            guard let value = marked["v"] else { return false }
            theirs = value
        }
        switch ours {
        case .array(_, let list):
            guard let values = theirs as? [Any], values.count == list.count else { return false }
            return zip(list, values).allSatisfy(agree)
        case .string(let text): return (theirs as? String).map { $0.utf8.elementsEqual(text.utf8) } ?? false
        case .bool(let flag): return theirs as? Bool == flag
        default:
            guard let number = ours.double else { return false }
            if let text = theirs as? String { return Double(text) == number || (text == "nan" && number.isNaN) }
            return (theirs as? NSNumber)?.doubleValue == number
        }
    }

    /// `accept_or_reject`: as the reference reader does.
    @Sendable static func acceptOrReject(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let path = try path(item, file)
        guard item["reference_accepts"] as? Bool == true else {
            let before = MemoryStatistics.current.peakBytesInUse
            do { _ = try tensors(path) } catch {
                let cost = MemoryStatistics.current.peakBytesInUse - before
                return cost > 1 << 20 ? "refused after taking \(cost) bytes" : nil
            }
            return "was read, and must be refused"
        }
        let found: [String: Tensor]
        do { found = try tensors(path) } catch let error as NumpyError where error.reason.contains("elements of") {
            throw Unsupported("arrays that are no tensors (\(error.reason))")
        }
        for expected in item["reference_tensors"] as? [[String: Any]] ?? [] {
            let name = expected["name"] as? String ?? ""
            guard let tensor = found[name] else { return "lacks \(name)" }
            if let shape = expected["shape"] as? [Int], tensor.shape != shape { return "\(name) has the shape \(tensor.shape)" }
            // Bools are 0 or 1 in memory, whatever the file says for true.
            guard let hex = expected["hex"] as? String, tensor.dtype != .bool else { continue }
            let ours = tensor.withUnsafeBytes { $0.map { String(format: "%02x", $0) }.joined() }
            if ours != hex { return "\(name) has the bytes \(ours)" }
        }
        return nil
    }

    /// `read_quantized`: the values that gguf-py computes from the blocks.
    @Sendable static func readQuantized(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let gguf = try GGUFFile(try path(item, file))
        guard let name = gguf.names.first else { return "has no tensor" }
        if let type = item["ggml_type"] as? Int, try gguf.storedType(of: name).rawValue != UInt32(type) {
            return "has the type \(try gguf.storedType(of: name))"
        }
        return mismatch(try gguf.tensor(name), try file.tensor(item["dequantized"]), .exact)
    }
}
