import Tapestry

/// What an edge of an ONNX graph carries.
indirect enum OnnxValue {
    /// A tensor, with the type it would have if the library had that type.
    case tensor(Tensor, OnnxInteger?)
    case sequence([OnnxValue])
    case none

    static func tensor(_ x: Tensor) -> OnnxValue { .tensor(x, nil) }
}

/// What an operator's closure may return: a tensor, several (nil for an output left out), or any values.
protocol OnnxResult { var values: [OnnxValue] { get } }

extension Tensor: OnnxResult { var values: [OnnxValue] { [.tensor(self)] } }
extension OnnxValue: OnnxResult { var values: [OnnxValue] { [self] } }
extension Array: OnnxResult where Element == OnnxValue { var values: [OnnxValue] { self } }

/// Several outputs.
func outputs(_ tensors: Tensor?...) -> [OnnxValue] { outputs(tensors) }
func outputs(_ tensors: [Tensor?]) -> [OnnxValue] { tensors.map { $0.map { .tensor($0) } ?? .none } }

/// An operator of ONNX in terms of the library's functions.
typealias OnnxOperator = @Sendable (OnnxCall) throws -> any OnnxResult

/// A node with its inputs: optional, and attributes with ONNX's defaults.
struct OnnxCall {
    let op: String
    let opset: Int
    let inputs: [OnnxValue]
    let attributes: [String: GoldenValue]
    /// How many outputs are asked for.
    let outputCount: Int

    /// Whether input `i` is there.
    func has(_ i: Int) -> Bool {
        if inputs.indices.contains(i), case .none = inputs[i] { return false }
        return inputs.indices.contains(i)
    }

    func optional(_ i: Int) throws -> Tensor? { has(i) ? try x(i) : nil }

    /// Input `i`, a tensor.
    func x(_ i: Int = 0) throws -> Tensor {
        guard inputs.indices.contains(i), case .tensor(let t, _) = inputs[i] else {
            throw Unsupported("\(op): input \(i) is no tensor")
        }
        return t
    }

    /// The integer type of input `i`: its own, or the one it stands for.
    func integer(_ i: Int) -> OnnxInteger? {
        guard inputs.indices.contains(i), case .tensor(let t, let narrow) = inputs[i] else { return nil }
        return narrow ?? OnnxInteger.of(t.dtype)
    }

    func sequence(_ i: Int = 0) throws -> [OnnxValue] {
        guard inputs.indices.contains(i), case .sequence(let values) = inputs[i] else {
            throw Unsupported("\(op): input \(i) is no sequence")
        }
        return values
    }

    /// Every input as a tensor.
    var tensors: [Tensor] { get throws { try inputs.indices.map { try x($0) } } }

    /// The whole numbers in input `i`; nil if it is left out.
    func inputInts(_ i: Int) throws -> [Int]? { try optional(i)?.scalars(Int.self) }
    /// The numbers in input `i`; nil if it is left out.
    func inputDoubles(_ i: Int) throws -> [Double]? { try optional(i)?.scalars(Double.self) }

    func int(_ name: String, or standard: Int) throws -> Int {
        switch attributes[name] ?? .none {
        case .int(let i): return i
        case .bool(let b): return b ? 1 : 0
        case .none: return standard
        default: throw Unsupported("\(op): attribute \(name) is no integer")
        }
    }

    func optionalInt(_ name: String) throws -> Int? { has(name) ? try int(name, or: 0) : nil }
    func flag(_ name: String, or standard: Bool = false) throws -> Bool { try int(name, or: standard ? 1 : 0) != 0 }

    func double(_ name: String, or standard: Double) throws -> Double {
        switch attributes[name] ?? .none {
        case .float(let x): return x
        case .int(let i): return Double(i)
        case .none: return standard
        default: throw Unsupported("\(op): attribute \(name) is no number")
        }
    }

    func string(_ name: String, or standard: String) throws -> String {
        switch attributes[name] ?? .none {
        case .string(let s): return s
        case .none: return standard
        default: throw Unsupported("\(op): attribute \(name) is no text")
        }
    }

    func has(_ name: String) -> Bool {
        if case .none = attributes[name] ?? .none { return false }
        return true
    }

    func ints(_ name: String) throws -> [Int]? {
        switch attributes[name] ?? .none {
        case .list(let list):
            return try list.map {
                guard case .int(let i) = $0 else { throw Unsupported("\(op): attribute \(name) holds no integers") }
                return i
            }
        case .tensor(let t): return t.scalars(Int.self)
        case .none: return nil
        default: throw Unsupported("\(op): attribute \(name) is no list of integers")
        }
    }

    func doubles(_ name: String) throws -> [Double]? {
        switch attributes[name] ?? .none {
        case .list(let list):
            return try list.map {
                switch $0 {
                case .float(let x): return x
                case .int(let i): return Double(i)
                default: throw Unsupported("\(op): attribute \(name) holds no numbers")
                }
            }
        case .tensor(let t): return t.scalars(Double.self)
        case .none: return nil
        default: throw Unsupported("\(op): attribute \(name) is no list of numbers")
        }
    }

    func strings(_ name: String) throws -> [String]? {
        guard case .list(let list) = attributes[name] ?? .none else { return nil }
        return try list.map {
            guard case .string(let s) = $0 else { throw Unsupported("\(op): attribute \(name) holds no text") }
            return s
        }
    }

    func tensor(_ name: String) -> Tensor? {
        if case .tensor(let t) = attributes[name] ?? .none { return t }
        return nil
    }

    /// An attribute in older opsets, an input from some opset on.
    func intsInEither(_ name: String, input i: Int) throws -> [Int]? { try inputInts(i) ?? ints(name) }

    /// The axis named by an attribute, counted from 0.
    func axis(_ standard: Int, _ name: String = "axis", rank: Int) throws -> Int {
        let axis = try int(name, or: standard)
        return axis < 0 ? axis + rank : axis
    }
}

extension Tensor {
    /// The same with `size` in place of axis `axis`.
    func shape(with size: Int, at axis: Int) -> Shape {
        var shape = self.shape
        shape[axis] = size
        return shape
    }

    /// A vector `[n]` as `[1, …, n, …, 1]`, to meet axis `axis` of a tensor of rank `rank`; others as they are.
    func facing(axis: Int, rank: Int) -> Tensor {
        if self.rank != 1 || count == 1 { return count == 1 ? reshaped([]) : self }
        var shape = Shape(repeating: 1, count: rank)
        shape[axis] = count
        return reshaped(shape)
    }
}
