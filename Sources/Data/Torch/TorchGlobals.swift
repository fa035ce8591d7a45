import CoreTensor

/// The element types of PyTorch's storages.
enum TorchType: String, Sendable {
    case float32 = "FloatStorage", float64 = "DoubleStorage", float16 = "HalfStorage", bfloat16 = "BFloat16Storage"
    case int64 = "LongStorage", int32 = "IntStorage", int16 = "ShortStorage", int8 = "CharStorage", uint8 = "ByteStorage"
    case bool = "BoolStorage", complex64 = "ComplexFloatStorage", complex128 = "ComplexDoubleStorage"
    case float8E4M3 = "Float8_e4m3fnStorage", float8E5M2 = "Float8_e5m2Storage"

    /// The tensor's type; nil for int16, which is widened.
    var dtype: DType? {
        switch self {
        case .float32: .float32
        case .float64: .float64
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64: .int64
        case .int32: .int32
        case .int16: nil
        case .int8: .int8
        case .uint8: .uint8
        case .bool: .bool
        case .complex64: .complex64
        case .complex128: .complex128
        case .float8E4M3: .float8E4M3
        case .float8E5M2: .float8E5M2
        }
    }

    var byteCount: Int { dtype?.byteCount ?? 2 }
}

/// The names that a state dictionary's pickle may use, and what is done for them. There are no others.
enum TorchGlobals {
    /// `torch.float32` and the like, which newer files have beside untyped storages.
    private static let dtypes: [String: TorchType] = [
        "float32": .float32, "float64": .float64, "float16": .float16, "bfloat16": .bfloat16, "int64": .int64, "int32": .int32,
        "int16": .int16, "int8": .int8, "uint8": .uint8, "bool": .bool, "complex64": .complex64, "complex128": .complex128,
        "float8_e4m3fn": .float8E4M3, "float8_e5m2": .float8E5M2,
    ]

    static func named(_ module: String, _ name: String) throws -> PickleValue {
        let full = "\(module).\(name)"
        switch full {
        case "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor",
            "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor_v3", "torch.Size", "torch.storage.UntypedStorage",
            "torch.UntypedStorage":
            return .global(full)
        default:
            if module == "torch", TorchType(rawValue: name) != nil || dtypes[name] != nil { return .global(full) }
            throw PickleReader.Failure(
                reason: "the pickle wants \(full.debugDescription.prefix(120)), which no state dictionary needs; nothing was run")
        }
    }

    private static func type(_ global: PickleValue) -> TorchType? {
        guard case .global(let name) = global, name.hasPrefix("torch.") else { return nil }
        let short = String(name.dropFirst(6))
        return TorchType(rawValue: short) ?? dtypes[short]
    }

    static func call(_ name: String, _ arguments: [PickleValue]) throws -> PickleValue {
        switch name {
        case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v3":
            guard arguments.count >= 4, case .persistent(let id) = arguments[0], let offset = integer(arguments[1]),
                let shape = integers(arguments[2]), let strides = integers(arguments[3])
            else { throw PickleReader.Failure(reason: "a tensor that is not made as PyTorch makes them") }
            let untyped = name.hasSuffix("v3") ? arguments.dropFirst(6).first.flatMap(type) : nil
            return .tensor(TorchTensor(storage: try storage(id, untyped), offset: offset, shape: shape, strides: strides))
        case "torch._utils._rebuild_parameter":
            guard case .tensor? = arguments.first else { throw PickleReader.Failure(reason: "a parameter that is no tensor") }
            return arguments[0]
        case "torch.Size":
            guard case .tuple? = arguments.first else { throw PickleReader.Failure(reason: "a size that is no tuple") }
            return arguments[0]
        default: throw PickleReader.Failure(reason: "the pickle calls \(name)")
        }
    }

    /// `('storage', type, key, location, count)`.
    private static func storage(_ id: PickleValue, _ untyped: TorchType?) throws -> TorchStorage {
        guard case .tuple(let parts, _) = id, parts.count >= 5, case .string("storage") = parts[0],
            case .string(let key) = parts[2],
            let count = integer(parts[4]), count >= 0
        else { throw PickleReader.Failure(reason: "a storage that is not named as PyTorch names them") }
        guard let type = type(parts[1]) ?? untyped else { throw PickleReader.Failure(reason: "a storage of an unknown type") }
        // Untyped storages count bytes.
        if Self.type(parts[1]) == nil { return TorchStorage(key: key, dtype: type, count: count / type.byteCount) }
        return TorchStorage(key: key, dtype: type, count: count)
    }

    private static func integer(_ value: PickleValue) -> Int? { if case .integer(let number) = value { number } else { nil } }

    private static func integers(_ value: PickleValue) -> [Int]? {
        guard case .tuple(let values, _) = value, values.count <= 64 else { return nil }
        let numbers = values.compactMap(integer)
        return numbers.count == values.count ? numbers : nil
    }
}
