import Foundation
import Tapestry

/// Runs the cases of ONNX's backend tests: single nodes and small graphs.
enum OnnxRunner {
    static func node(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let expected = item["outputs"] as? [Any] ?? []
        let inputs = try (item["inputs"] as? [Any] ?? []).map { try value($0, file) }
        let results = try call(item, opsets: opsets(item), inputs: inputs, outputCount: expected.count, file)
        for (i, expected) in expected.enumerated() {
            if let wrong = try problem(results, i, expected, item, file) { return "output \(i): \(wrong)" }
        }
        return nil
    }

    static func graph(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        var edges: [String: OnnxValue] = [:]
        let nodes = item["nodes"] as? [[String: Any]] ?? []
        let isTrained = nodes.contains { $0["op"] as? String == "Gradient" }
        for key in ["initializers", "graph_inputs"] {
            for (name, any) in item[key] as? [String: Any] ?? [:] {
                edges[name] = try value(any, file)
                if isTrained, case .tensor(let x, nil) = edges[name], x.dtype.isDifferentiable {
                    edges[name] = .tensor(x.asLeaf())
                }
            }
        }
        for node in nodes {
            let names = node["outputs"] as? [String] ?? []
            if node["op"] as? String == "Gradient" {
                for (name, gradient) in zip(names, try gradients(node, edges, file)) { edges[name] = .tensor(gradient) }
                continue
            }
            let inputs = try (node["inputs"] as? [String] ?? []).map { name in
                if name.isEmpty { return OnnxValue.none }
                guard let value = edges[name] else { throw GoldenError("nothing gives \(name)") }
                return value
            }
            let results = try call(node, opsets: opsets(item), inputs: inputs, outputCount: names.count, file)
            for (name, result) in zip(names, results) where !name.isEmpty { edges[name] = result }
        }
        for (name, expected) in item["graph_outputs"] as? [String: Any] ?? [:] {
            if let wrong = try problem([edges[name] ?? .none], 0, expected, item, file) { return "output \(name): \(wrong)" }
        }
        return nil
    }

    /// The node that asks for derivatives of one edge's sum by others.
    private static func gradients(_ node: [String: Any], _ edges: [String: OnnxValue], _ file: GoldenFile) throws -> [Tensor] {
        let attributes = try (node["attributes"] as? [String: Any] ?? [:]).mapValues { try file.value($0) }
        func edge(_ name: String) throws -> Tensor {
            guard case .tensor(let x, _) = edges[name] ?? .none else { throw GoldenError("Gradient: \(name) is no tensor") }
            return x
        }
        guard case .string(let root) = attributes["y"] ?? .none, case .list(let list) = attributes["xs"] ?? .none else {
            throw GoldenError("Gradient without xs or y")
        }
        let y = try edge(root)
        let xs = try list.map { name in
            guard case .string(let name) = name else { throw GoldenError("Gradient by no name") }
            return try edge(name)
        }
        let found = Tapestry.gradients(of: [y], withRespectTo: xs, gradients: [Tensor(onesLike: y)], retainGraph: true)
        return zip(found, xs).map { $0 ?? Tensor(zerosLike: $1) }
    }

    private static func opsets(_ item: [String: Any]) -> [String: Int] { item["opset"] as? [String: Int] ?? [:] }

    private static func call(
        _ node: [String: Any], opsets: [String: Int], inputs: [OnnxValue], outputCount: Int, _ file: GoldenFile
    ) throws -> [OnnxValue] {
        let op = node["op"] as? String ?? "", domain = node["domain"] as? String ?? ""
        guard let function = OnnxTable.functions[op] else { throw Unsupported("ONNX operator \(op)") }
        let attributes = try (node["attributes"] as? [String: Any] ?? [:]).mapValues { any in
            do { return try file.value(any) } catch let error as GoldenError { throw Unsupported("\(op): \(error)") }
        }
        let version = opsets[domain.isEmpty ? "ai.onnx" : domain] ?? 1
        return try function(
            OnnxCall(op: op, opset: version, inputs: inputs, attributes: attributes, outputCount: outputCount)
        ).values
    }

    /// An input: tensors of types that the library lacks as `int64`.
    private static func value(_ any: Any, _ file: GoldenFile) throws -> OnnxValue {
        guard let d = any as? [String: Any] else { throw GoldenError("no value") }
        switch d["k"] as? String {
        case "tensor":
            guard let narrow = OnnxInteger.named[d["dtype"] as? String ?? ""] else { return .tensor(try file.tensor(d)) }
            return .tensor(try file.wideTensor(d, bits: narrow.bits, isSigned: narrow.isSigned), narrow)
        case "none": return .none
        case "list": return .sequence(try (d["v"] as? [Any] ?? []).map { try value($0, file) })
        default:
            let tensors = try file.value(d).numbers
            guard tensors.count == 1 else { throw Unsupported("ONNX input of kind \(d["k"] ?? "?")") }
            return .tensor(tensors[0])
        }
    }

    private static func problem(
        _ results: [OnnxValue], _ i: Int, _ any: Any, _ item: [String: Any], _ file: GoldenFile
    ) throws -> String? {
        let expected = try value(any, file)
        if case .none = expected { return nil }
        if i >= results.count { return "is missing" }
        return mismatch(
            results[i], expected, Tolerance(relative: GoldenFile.number(item["rtol"]), absolute: GoldenFile.number(item["atol"])))
    }

    private static func mismatch(_ result: OnnxValue, _ expected: OnnxValue, _ tolerance: Tolerance) -> String? {
        switch (result, expected) {
        case (_, .none): return nil
        case (.tensor(let x, _), .tensor(let wanted, let narrow)):
            let tolerance = wanted.dtype.isDifferentiable ? tolerance : .exact
            guard let narrow else { return ConformanceSuite.compare(x, wanted, tolerance) }
            if !x.dtype.isInteger { return "type \(x.dtype), expected integers" }
            return ConformanceSuite.compare(narrow.wrapped(x.to(.int64)), wanted, tolerance)
        case (.sequence(let list), .sequence(let wanted)):
            if list.count != wanted.count { return "\(list.count) elements, expected \(wanted.count)" }
            for (i, (element, wanted)) in zip(list, wanted).enumerated() {
                if let wrong = mismatch(element, wanted, tolerance) { return "element \(i): \(wrong)" }
            }
            return nil
        default: return "is of another kind"
        }
    }
}

extension ConformanceSuite {
    fileprivate static func compare(_ x: Tensor, _ wanted: Tensor, _ tolerance: Tolerance) -> String? {
        mismatch(x, wanted, tolerance)
    }
}

/// ONNX's operators by name, those of the other domains too: no name is in two of them.
enum OnnxTable {
    static let functions: [String: OnnxOperator] =
        [
            elementwise, integers, reductions, shape, indexing, windows, images, normalization, losses, products, quantization,
            attention, recurrent, signal, sequences, training, trees,
        ].reduce(into: [:]) { $0.merge($1) { _, _ in preconditionFailure("an operator is in the table twice") } }

    static func one(_ f: @escaping @Sendable (Tensor) -> Tensor) -> OnnxOperator { { f(try $0.x()) } }

    /// Functions of two tensors that broadcast; before opset 7 the second's first axis could be named.
    static func two(_ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> OnnxOperator {
        { call in
            let a = try call.x(0)
            var b = try call.x(1)
            if call.opset < 7, let axis = try call.optionalInt("axis") {
                let first = axis < 0 ? axis + a.rank : axis
                b = b.reshaped(b.shape + Shape(repeating: 1, count: a.rank - first - b.rank))
            }
            return f(a, b)
        }
    }
}
