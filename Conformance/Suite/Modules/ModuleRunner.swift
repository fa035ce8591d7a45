import Tapestry

/// A layer made for a case, with PyTorch's names.
struct GoldenModule {
    /// The layer, for its mode; nil for plain functions.
    var module: Module?
    /// Parameters by PyTorch's names.
    var parameters: [String: Parameter]
    /// Buffers by PyTorch's names.
    var buffers: [String: Buffer]
    /// The outputs by their paths: `out`, or `out.0`, `out.1` … `out.1.0`.
    var call: (GoldenCall) throws -> [String: Tensor]

    init(
        _ module: Module?, parameters: [String: Parameter?] = [:], buffers: [String: Buffer?] = [:],
        call: @escaping (GoldenCall) throws -> [String: Tensor]
    ) {
        self.module = module
        self.parameters = parameters.compactMapValues { $0 }
        self.buffers = buffers.compactMapValues { $0 }
        self.call = call
    }

    /// A layer of one input and one output.
    init(_ layer: any Layer, parameters: [String: Parameter?] = [:], buffers: [String: Buffer?] = [:]) {
        self.init(layer, parameters: parameters, buffers: buffers) { ["out": layer(try $0.tensor(0, "input"))] }
    }
}

/// What a constructor was called with, and the type its parameters shall have.
struct ModuleOptions {
    let call: GoldenCall
    let dtype: DType

    /// Throws for keywords other than these.
    func allow(_ names: String...) throws { try allow(names) }

    /// The same with a list of names.
    func allow(_ names: [String]) throws { try call.allow(names + ["device", "dtype"]) }
}

/// PyTorch's module names, with the layers that do the same here. Other files add tables.
enum ModuleTable {
    typealias Maker = @Sendable (ModuleOptions) throws -> GoldenModule

    static let makers: [String: Maker] =
        [simple, activations, pooling, padding, channels, recurrent, attention, tables].reduce(into: [:]) {
            $0.merge($1) { _, _ in preconditionFailure("a module is in the table twice") }
        }
}

/// PyTorch's module samples: outputs, buffers after the call, and gradients of inputs and parameters.
enum ModuleRunner {
    @Sendable static func run(_ item: [String: Any], _ file: GoldenFile) throws -> String? {
        let name = item["module"] as? String ?? ""
        if LossModuleRunner.contains(name) { return try LossModuleRunner.run(item, file) }
        guard let make = ModuleTable.makers[name] else { throw Unsupported("module \(name)") }
        guard let dtype = GoldenFile.dtype(item["dtype"] as? String ?? "") else {
            throw Unsupported("type \(item["dtype"] ?? "")")
        }
        func named(_ key: String) -> [String: Any] { item[key] as? [String: Any] ?? [:] }
        let arguments = try (item["ctor_args"] as? [Any] ?? []).map { try file.value($0) }
        let options = try named("ctor_kwargs").mapValues { try file.value($0) }
        let made = try make(ModuleOptions(call: GoldenCall(arguments, options), dtype: dtype))

        // State
        let isTraining = item["training"] as? Bool ?? true
        made.module?.train(isTraining)
        let values = named("params"), buffers = named("buffers")
        if Set(values.keys) != Set(made.parameters.keys) {
            return "parameters \(made.parameters.keys.sorted()), expected \(values.keys.sorted())"
        }
        if Set(buffers.keys) != Set(made.buffers.keys) {
            return "buffers \(made.buffers.keys.sorted()), expected \(buffers.keys.sorted())"
        }
        for (key, parameter) in made.parameters {
            let value = try file.tensor(values[key])
            if value.shape != parameter.shape { return "\(key) has shape \(parameter.shape), expected \(value.shape)" }
            parameter.value = value
        }
        for (key, buffer) in made.buffers { buffer.value = try file.tensor(buffers[key]) }

        // The call
        let gradient = item["grad"] as? [String: Any]
        let wanted = (gradient?["inputs"] as? [[String: Any]] ?? []).filter {
            ($0["grad"] as? [String: Any])?["k"] as? String == "tensor"
        }
        let leaves = Set(wanted.map { $0["path"] as! String })
        let positional = try (item["args"] as? [Any] ?? []).enumerated().map {
            try file.value($1, path: "args.\($0)", leaves: leaves)
        }
        var keywords: [String: GoldenValue] = [:]
        for (key, value) in named("kwargs") { keywords[key] = try file.value(value, path: "kwargs.\(key)", leaves: leaves) }
        let outputs = try made.call(GoldenCall(positional, keywords))
        let expected = item["outputs"] as! [[String: Any]]
        for entry in expected {
            let path = entry["path"] as! String
            guard case .tensor(let z) = try file.value(entry["value"]!) else { continue }
            guard let y = outputs[path] else { return "no output \(path)" }
            if let wrong = mismatch(y, z) { return "\(path): \(wrong)" }
        }
        for (key, value) in named("buffers_after") {
            guard let buffer = made.buffers[key] else { continue }
            if let wrong = mismatch(buffer.value, try file.tensor(value)) { return "\(key) after the call: \(wrong)" }
        }

        // Gradients
        guard let gradient else { return nil }
        var roots: [Tensor] = []
        var cotangents: [Tensor] = []
        for (entry, v) in zip(expected, gradient["cotangents"] as? [Any] ?? []) {
            if case .tensor(let v) = try file.value(v), let y = outputs[entry["path"] as! String], y.requiresGrad {
                roots.append(y)
                cotangents.append(v)
            }
        }
        let parameterGradients = gradient["params"] as? [String: Any] ?? [:]
        var targets = try wanted.map { entry in
            (entry["path"] as! String, find(entry["path"] as! String, positional, keywords), try file.tensor(entry["grad"]))
        }
        for (key, value) in parameterGradients.sorted(by: { $0.key < $1.key }) {
            guard case .tensor(let z) = try file.value(value), let parameter = made.parameters[key] else { continue }
            targets.append((key, parameter.value, z))
        }
        if targets.isEmpty { return nil }
        if roots.isEmpty { return "no output requires a gradient" }
        let found = gradients(of: roots, withRespectTo: targets.map(\.1), gradients: cotangents)
        for (target, g) in zip(targets, found) {
            if let wrong = mismatch(g ?? Tensor(zerosLike: target.1), target.2, .standard(target.1.dtype, .gradients)) {
                return "gradient of \(target.0): \(wrong)"
            }
        }
        return nil
    }

    private static func find(_ path: String, _ arguments: [GoldenValue], _ named: [String: GoldenValue]) -> Tensor {
        let parts = path.split(separator: ".").map(String.init)
        var value = parts[0] == "args" ? arguments[Int(parts[1])!] : named[parts[1]]!
        for part in parts[2...] { if case .list(let list) = value { value = list[Int(part)!] } }
        guard case .tensor(let t) = value else { preconditionFailure("\(path) is no tensor") }
        return t
    }
}
