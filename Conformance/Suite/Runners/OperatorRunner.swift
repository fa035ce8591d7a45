import Foundation
import Tapestry

/// PyTorch's operator samples: values, gradients and second-order gradients.
enum OperatorRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let function = try OpTable.function(item)
        let gradient = item["grad"] as? [String: Any]
        let wanted = (gradient?["inputs"] as? [[String: Any]] ?? []).filter {
            ($0["grad"] as? [String: Any])?["k"] as? String == "tensor"
        }
        let paths = wanted.map { $0["path"] as! String }
        let leaves = Set(paths)
        let arguments = try (item["args"] as! [Any]).enumerated().map {
            try file.value($1, path: "args.\($0)", leaves: leaves)
        }
        var named: [String: GoldenValue] = [:]
        for (key, value) in item["kwargs"] as! [String: Any] {
            named[key] = try file.value(value, path: "kwargs.\(key)", leaves: leaves)
        }
        let outputs = try function(GoldenCall(arguments, named, tuples: tuples(item)))

        // Values
        let expected = try (item["outputs"] as! [Any]).flatMap { try file.value($0).numbers }
        let isScalar = item["out_struct"] as? String == "scalar"
        if outputs.count != expected.count { return "\(outputs.count) outputs, expected \(expected.count)" }
        let op = item["op"] as? String ?? ""
        func tolerance(_ z: Tensor) -> Tolerance {
            var tolerance = Tolerance.standard(z.dtype)
            if op.hasPrefix("linalg") && z.dtype.real == .float64 { tolerance = Tolerance(relative: 1e-7, absolute: 1e-7) }
            if let spread = item["dev64"] { tolerance.absolute = max(tolerance.absolute, 4 * GoldenFile.number(spread)) }
            return tolerance
        }
        if item["comment_gauge"] != nil { return FactorComparison.problem(op, outputs, expected, tolerance) }
        for (y, z) in zip(outputs, expected) {
            guard let wrong = mismatch(y, z, tolerance(z), anyType: isScalar) else { continue }
            if z.dtype == .int64, try isTie(item, GoldenCall(arguments, named), outputs, y) { continue }
            return wrong
        }

        // Gradients
        guard let gradient, !paths.isEmpty else { return nil }
        let inputs = paths.map { find($0, arguments, named) }
        var roots: [Tensor] = []
        var cotangents: [Tensor] = []
        for (y, v) in zip(outputs, gradient["cotangents"] as! [Any]) {
            if case .tensor(let v) = try file.value(v), y.requiresGrad {
                roots.append(y)
                cotangents.append(v.asLeaf())
            }
        }
        let second = item["gradgrad"] as? [String: Any]
        // A result that does not depend on an input has the gradient 0.
        let found =
            roots.isEmpty
            ? inputs.map { _ in nil }
            : gradients(of: roots, withRespectTo: inputs, gradients: cotangents, createGraph: second != nil)
        for (k, g) in found.enumerated() {
            let z = try file.tensor(wanted[k]["grad"])
            let type = inputs[k].dtype
            if let wrong = mismatch(g ?? Tensor(zerosLike: inputs[k]), z, .standard(type, .gradients)) {
                if type.real == .float32, try isRounding(item, file, paths[k], g, z) {
                    throw Unsupported("a float32 gradient that PyTorch's own rounding spoils")
                }
                return "gradient of \(paths[k]): \(wrong)"
            }
        }

        // Gradients of gradients: of Σ ⟨v, G⟩
        guard let second else { return nil }
        let all = gradient["inputs"] as! [[String: Any]]
        var sums: [Tensor] = []
        var weights: [Tensor] = []
        for (entry, v) in zip(all, second["v"] as! [Any]) {
            guard let k = paths.firstIndex(of: entry["path"] as! String), let g = found[k], g.requiresGrad,
                case .tensor(let v) = try file.value(v)
            else { continue }
            sums.append(g)
            weights.append(v)
        }
        let results = sums.isEmpty ? inputs.map { _ in nil } : gradients(of: sums, withRespectTo: inputs, gradients: weights)
        for entry in second["inputs"] as! [[String: Any]] {
            guard let k = paths.firstIndex(of: entry["path"] as! String), case .tensor(let z) = try file.value(entry["grad"]!)
            else {
                continue
            }
            if let wrong = mismatch(results[k] ?? Tensor(zerosLike: inputs[k]), z, .standard(inputs[k].dtype, .second)) {
                return "second gradient of \(paths[k]): \(wrong)"
            }
        }
        return nil
    }

    /// A call that must be refused, by an error or by stopping the program: it comes back only if it was not.
    @Sendable static func refuse(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let function = try OpTable.function(item)
        do {
            let arguments = try (item["args"] as! [Any]).map { try file.value($0) }
            let named = try (item["kwargs"] as! [String: Any]).mapValues { try file.value($0) }
            _ = try function(GoldenCall(arguments, named, tuples: tuples(item)))
        } catch let reason as Unsupported {
            throw reason
        } catch {
            return nil
        }
        return "was not refused (PyTorch: \(item["error_regex"] ?? "an error"))"
    }

    /// Whether our gradient in single precision is the right one, the golden one off by a little: ours agrees with the same call in
    /// double precision, and that with the golden one to a hundred times the tolerance.
    private static func isRounding(
        _ item: [String: Any], _ file: GoldenFile, _ path: String, _ ours: Tensor?, _ theirs: Tensor
    ) throws -> Bool {
        guard let ours, let gradient = item["grad"] as? [String: Any] else { return false }
        func widened(_ value: GoldenValue) -> GoldenValue {
            switch value {
            case .tensor(let t) where t.dtype.real == .float32:
                let wide = t.detached().to(t.dtype.isComplex ? .complex128 : .float64)
                return .tensor(t.requiresGrad ? wide.asLeaf() : wide)
            case .list(let list): return .list(list.map(widened))
            default: return value
            }
        }
        let arguments = try (item["args"] as! [Any]).enumerated().map {
            widened(try file.value($1, path: "args.\($0)", leaves: [path]))
        }
        var named: [String: GoldenValue] = [:]
        for (key, value) in item["kwargs"] as! [String: Any] {
            named[key] = widened(try file.value(value, path: "kwargs.\(key)", leaves: [path]))
        }
        let outputs = try OpTable.function(item)(GoldenCall(arguments, named, tuples: tuples(item)))
        var roots: [Tensor] = []
        var cotangents: [Tensor] = []
        for (y, v) in zip(outputs, gradient["cotangents"] as! [Any]) {
            if case .tensor(let v) = try file.value(v), y.requiresGrad {
                roots.append(y)
                cotangents.append(v.to(y.dtype))
            }
        }
        guard let exact = gradients(of: roots, withRespectTo: [find(path, arguments, named)], gradients: cotangents)[0] else {
            return false
        }
        let close = Tolerance.standard(ours.dtype, .gradients)
        let rough = Tolerance(relative: 100 * close.relative, absolute: 100 * close.absolute)
        return mismatch(ours, exact, close, anyType: true) == nil && mismatch(exact, theirs, rough, anyType: true) == nil
    }

    /// Whether places that differ name elements that are equal.
    private static func isTie(_ item: [String: Any], _ call: GoldenCall, _ outputs: [Tensor], _ index: Tensor) throws -> Bool {
        let op = item["op"] as! String
        let second: Set = ["topk", "kthvalue"]
        let all: Set = [
            "sort", "argsort", "topk", "kthvalue", "median", "nanmedian", "mode", "max", "min", "argmax", "argmin", "cummax",
            "cummin",
        ]
        guard all.contains(op), case .tensor(let x) = call.value(0), index.rank == x.rank, x.rank > 0 else { return false }
        let axis = try call.int(second.contains(op) ? 2 : 1, "dim", or: -1)
        let expected = (item["outputs"] as! [Any]).count
        guard expected == 2 else { return false }
        return mismatch(x.detached().takenAlong(index, axis: axis), outputs[0].detached(), .exact) == nil
    }

    private static func tuples(_ item: [String: Any]) -> Set<Int> {
        Set(
            (item["args"] as! [Any]).indices.filter {
                ((item["args"] as! [Any])[$0] as? [String: Any])?["tuple"] as? Bool == true
            })
    }

    private static func find(_ path: String, _ arguments: [GoldenValue], _ named: [String: GoldenValue]) -> Tensor {
        let parts = path.split(separator: ".").map(String.init)
        var value = parts[0] == "args" ? arguments[Int(parts[1])!] : named[parts[1]]!
        for part in parts[2...] { if case .list(let list) = value { value = list[Int(part)!] } }
        guard case .tensor(let t) = value else { preconditionFailure("\(path) is no tensor") }
        return t
    }
}
