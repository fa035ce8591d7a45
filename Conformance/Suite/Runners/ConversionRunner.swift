import Tapestry

/// Tables of conversions between element types: `f32`, another type's name, and `back_to_f32`.
enum ConversionRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let source = try file.tensor(item["f32"])
        for (key, value) in item where !["name", "kind", "note", "f32", "back_to_f32", "suiteFolder"].contains(key) {
            guard let tensor = value as? [String: Any], tensor["k"] as? String == "tensor" else { continue }
            guard let type = types[key] else { throw Unsupported("type \(key)") }
            let ours = source.to(type)
            let theirs = try file.tensor(value)
            // The 8-bit floats come as bytes.
            if type.isStorageOnly {
                let same = ours.withUnsafeBytes { a in
                    theirs.withUnsafeBytes { b in a.elementsEqual(b) { $0 == $1 || ($0 | 0x80 == 0xff && $1 | 0x80 == 0xff) } }
                }
                if !same { return "the bytes of \(key) differ" }
            } else if let wrong = mismatch(ours, theirs, .exact) {
                return "to \(key): \(wrong)"
            }
            if let back = item["back_to_f32"], let wrong = mismatch(ours.to(.float32), try file.tensor(back), .exact) {
                return "back from \(key): \(wrong)"
            }
        }
        return nil
    }

    private static let types: [String: DType] = [
        "f16": .float16, "bf16": .bfloat16, "f64": .float64, "i64": .int64, "i32": .int32, "i8": .int8, "u8": .uint8,
        "bool": .bool,
        "f8_e4m3": .float8E4M3, "e4m3": .float8E4M3, "f8_e4m3fn": .float8E4M3, "e4m3fn": .float8E4M3,
        "float8_e4m3fn": .float8E4M3,
        "f8_e5m2": .float8E5M2, "e5m2": .float8E5M2, "float8_e5m2": .float8E5M2,
    ]
}
