import CoreTensor

/// A part of a model: parameters, buffers and other modules in its properties, and a function of one's own.
///
/// ```swift
/// final class MLP: Module {
///     let hidden = Linear(784, 256)
///     let output = Linear(256, 10)
///     func callAsFunction(_ x: Tensor) -> Tensor { output(relu(hidden(x))) }
/// }
/// ```
///
/// Properties are found by reflection, also in arrays, dictionaries, optionals and tuples; their names make the parameters'
/// names: `hidden.weight`, `blocks.0.attention.query.bias`. So an array of modules is what PyTorch calls a `ModuleList`, a dictionary
/// a `ModuleDict`, with the same names in the state; a module or parameter in two properties is shared, and counted once.
open class Module {
    /// Whether layers such as dropout behave as in training. Set it with ``train(_:)`` and ``eval()``.
    public private(set) final var isTraining = true

    /// A module in training mode.
    public init() {}

    // MARK: Parameters

    /// Parameters with their names, in order of declaration; a shared one once, by its first name.
    public final var namedParameters: [(name: String, parameter: Parameter)] {
        var seen = Set<ObjectIdentifier>()
        return members().compactMap { name, member in
            guard let parameter = member as? Parameter, seen.insert(ObjectIdentifier(parameter)).inserted else { return nil }
            return (name, parameter)
        }
    }

    /// All parameters, a shared one once.
    public final var parameters: [Parameter] { namedParameters.map(\.parameter) }

    /// Buffers with their names.
    public final var namedBuffers: [(name: String, buffer: Buffer)] {
        var seen = Set<ObjectIdentifier>()
        return members().compactMap { name, member in
            guard let buffer = member as? Buffer, seen.insert(ObjectIdentifier(buffer)).inserted else { return nil }
            return (name, buffer)
        }
    }

    /// This module ("") and all modules inside, with their names.
    public final var namedModules: [(name: String, module: Module)] {
        [("", self)] + members().compactMap { name, member in (member as? Module).map { (name, $0) } }
    }

    /// The number of trained numbers; with `trainableOnly` without the frozen ones.
    public final func parameterCount(trainableOnly: Bool = false) -> Int {
        parameters.reduce(0) { $0 + (trainableOnly && !$1.requiresGrad ? 0 : $1.count) }
    }

    /// Lets go of the gradients of all parameters.
    public final func zeroGrad() {
        for parameter in parameters { parameter.grad = nil }
    }

    /// Freezes all parameters (or those whose names the filter picks).
    public final func freeze(where picks: (String) -> Bool = { _ in true }) {
        for (name, parameter) in namedParameters where picks(name) { parameter.requiresGrad = false }
    }

    /// The opposite of ``freeze(where:)``.
    public final func unfreeze(where picks: (String) -> Bool = { _ in true }) {
        for (name, parameter) in namedParameters where picks(name) { parameter.requiresGrad = true }
    }

    /// Converts all floating-point parameters and float buffers to another float type, as PyTorch's `module.to(dtype)`: gradients are dropped, so
    /// do it before an optimizer is made. Quantised weights and their scales stay.
    public final func convert(to dtype: DType) {
        if !dtype.isFloatingPoint { fail("Module.convert", "to \(dtype); needs a float type") }
        for parameter in parameters where parameter.dtype.isFloatingPoint && parameter.dtype != dtype {
            parameter.convert(to: dtype)
        }
        let fixed = Set(
            namedModules.flatMap { $0.module.keepsBufferTypes ? $0.module.namedBuffers.map { ObjectIdentifier($0.buffer) } : [] })
        for (_, buffer) in namedBuffers where buffer.value.dtype.isFloatingPoint && !fixed.contains(ObjectIdentifier(buffer)) {
            buffer.value = buffer.value.to(dtype)
        }
    }

    /// Moves all parameters and buffers to a device, and returns the module. Gradients are dropped, so do it before an optimizer is made: its
    /// states are where the parameters are.
    ///
    /// ```swift
    /// let model = MLP().to(.cuda(0))
    /// ```
    @discardableResult
    public final func to(_ device: Device) -> Self {
        for parameter in parameters where parameter.device != device { parameter.move(to: device) }
        for (_, buffer) in namedBuffers where buffer.value.device != device { buffer.value = buffer.value.to(device: device) }
        return self
    }

    /// Whether the buffers of this module are of types that belong to their layout.
    open var keepsBufferTypes: Bool { false }

    // MARK: Modes

    /// Puts this module and all modules inside into training mode (or out of it).
    public final func train(_ isTraining: Bool = true) {
        for (_, module) in namedModules { module.isTraining = isTraining }
    }

    /// Puts this module and all modules inside into evaluation mode.
    public final func eval() { train(false) }

    // MARK: State

    /// Parameters and buffers by name, detached.
    public final var stateDict: [String: Tensor] {
        var state: [String: Tensor] = [:]
        for (name, parameter) in namedParameters { state[name] = parameter.value.detached() }
        for (name, buffer) in namedBuffers { state[name] = buffer.value }
        return state
    }

    /// Takes over values by name, converted to the parameters' types and moved to their devices. Nothing changes unless everything fits.
    /// - Parameter strict: also refuses missing and unexpected names.
    public final func loadStateDict(_ state: [String: Tensor], strict: Bool = true) throws {
        let parameters = namedParameters
        let buffers = namedBuffers
        let known = Dictionary(
            uniqueKeysWithValues: parameters.map { ($0.name, $0.parameter.shape) }
                + buffers.map { ($0.name, $0.buffer.value.shape) })
        var problem = StateDictError()
        for (name, shape) in known.sorted(by: { $0.key < $1.key }) {
            if let tensor = state[name] {
                if tensor.shape != shape { problem.mismatched.append("\(name): \(tensor.shape) for \(shape)") }
            } else if strict {
                problem.missing.append(name)
            }
        }
        if strict { problem.unexpected = state.keys.filter { known[$0] == nil }.sorted() }
        if !problem.isEmpty { throw problem }
        for (name, parameter) in parameters {
            if let tensor = state[name] { parameter.value = tensor.detached().to(device: parameter.device).to(parameter.dtype) }
        }
        for (name, buffer) in buffers {
            if let tensor = state[name] { buffer.value = tensor.to(device: buffer.value.device).to(buffer.value.dtype) }
        }
    }

    // MARK: Reflection

    /// Everything found in the properties, depth first, with names.
    private func members() -> [(String, AnyObject)] {
        var found: [(String, AnyObject)] = []
        var open: [ObjectIdentifier] = []
        collect(self, "", &found, &open)
        return found
    }

    private func collect(_ value: Any, _ prefix: String, _ found: inout [(String, AnyObject)], _ open: inout [ObjectIdentifier]) {
        func join(_ label: String) -> String { prefix.isEmpty ? label : "\(prefix).\(label)" }
        if let parameter = value as? Parameter {
            found.append((prefix, parameter))
            return
        }
        if let buffer = value as? Buffer {
            found.append((prefix, buffer))
            return
        }
        if let module = value as? Module {
            // A module that leads back to itself (a parent reference) is not entered again.
            if open.contains(ObjectIdentifier(module)) { return }
            open.append(ObjectIdentifier(module))
            defer { open.removeLast() }
            if module !== self || open.count > 1 { found.append((prefix, module)) }
            var mirrors: [Mirror] = []
            var mirror: Mirror? = Mirror(reflecting: module)
            while let m = mirror, m.subjectType != Module.self {
                mirrors.append(m)
                mirror = m.superclassMirror
            }
            for m in mirrors.reversed() {
                for child in m.children {
                    let label = child.label ?? ""
                    collect(child.value, join(label.hasPrefix("_") ? String(label.dropFirst()) : label), &found, &open)
                }
            }
            return
        }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional:
            if let child = mirror.children.first { collect(child.value, prefix, &found, &open) }
        case .collection, .tuple, .set:
            for (index, child) in mirror.children.enumerated() { collect(child.value, join("\(index)"), &found, &open) }
        case .dictionary:
            let pairs = mirror.children.map { Mirror(reflecting: $0.value).children.map(\.value) }
            for pair in pairs.sorted(by: { "\($0[0])" < "\($1[0])" }) { collect(pair[1], join("\(pair[0])"), &found, &open) }
        default: break
        }
    }
}

/// Why a state could not be loaded.
public struct StateDictError: Error, CustomStringConvertible, Equatable {
    /// Names that the model has and the state lacks.
    public var missing: [String] = []
    /// Names that the state has and the model lacks.
    public var unexpected: [String] = []
    /// Names whose shapes differ, each with the state's shape and the model's: "weight: [2, 3] for [3, 2]".
    public var mismatched: [String] = []

    var isEmpty: Bool { missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty }

    /// All three lists, as far as they are not empty, in one sentence.
    public var description: String {
        var parts: [String] = []
        if !missing.isEmpty { parts.append("missing: \(missing.joined(separator: ", "))") }
        if !unexpected.isEmpty { parts.append("unexpected: \(unexpected.joined(separator: ", "))") }
        if !mismatched.isEmpty { parts.append("of another shape: \(mismatched.joined(separator: "; "))") }
        return "the state does not fit the model: " + parts.joined(separator: "; ")
    }
}
