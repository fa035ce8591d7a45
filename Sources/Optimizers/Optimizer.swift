import CoreTensor
import NN

/// Parameters that an optimizer treats alike.
public struct ParameterGroup: Sendable {
    /// What is updated. No parameter may be in an optimizer twice.
    public var parameters: [Parameter]
    /// nil: the optimizer's own.
    public var learningRate: Double?
    /// λ, times the parameter added to the gradient (AdamW: see there); nil: the optimizer's own.
    public var weightDecay: Double?

    /// A group; nil takes the optimizer's own learning rate or weight decay.
    public init(_ parameters: [Parameter], learningRate: Double? = nil, weightDecay: Double? = nil) {
        self.parameters = parameters
        self.learningRate = learningRate
        self.weightDecay = weightDecay
    }

    /// Two groups: matrices, which decay, and the rest (biases, norms: fewer than two axes), which do not.
    public static func decayingMatrices(of model: Module, weightDecay: Double) -> [ParameterGroup] {
        let parameters = model.parameters
        return [
            ParameterGroup(parameters.filter { $0.shape.count >= 2 }, weightDecay: weightDecay),
            ParameterGroup(parameters.filter { $0.shape.count < 2 }, weightDecay: 0),
        ]
    }
}

/// What all optimizers share: groups, the state of each parameter, saving and loading. A subclass gives one update.
open class Optimizer {
    /// A group with its numbers settled.
    public struct Group: Sendable {
        /// What is updated, in the order given.
        public let parameters: [Parameter]
        /// The rate in force; schedules set it.
        public var learningRate: Double
        /// λ in force.
        public var weightDecay: Double
        /// The rate at the start, from which schedules compute.
        public let initialLearningRate: Double
    }

    /// The groups in the order given. Rates and decays may be changed between steps.
    public final var groups: [Group]
    /// Steps taken.
    public final private(set) var stepCount = 0
    /// State tensors of each parameter by name, in the order of all parameters.
    private final var states: [[String: Tensor]]

    /// Settles each group's numbers: its own, or those given here. Traps on a parameter named twice and on numbers that
    /// are negative or not finite.
    public init(_ groups: [ParameterGroup], learningRate: Double, weightDecay: Double) {
        Optimizer.check("learningRate", learningRate)
        Optimizer.check("weightDecay", weightDecay)
        var seen = Set<ObjectIdentifier>()
        self.groups = groups.map { group in
            for parameter in group.parameters where !seen.insert(ObjectIdentifier(parameter)).inserted {
                fail("Optimizer", "a parameter of shape \(parameter.shape) is in the groups twice; it would be stepped twice")
            }
            let rate = group.learningRate ?? learningRate
            Optimizer.check("learningRate", rate)
            Optimizer.check("weightDecay", group.weightDecay ?? weightDecay)
            return Group(
                parameters: group.parameters, learningRate: rate, weightDecay: group.weightDecay ?? weightDecay,
                initialLearningRate: rate)
        }
        states = Array(repeating: [:], count: seen.count)
    }

    static func check(_ name: String, _ value: Double) {
        if !(value >= 0) || !value.isFinite { fail("Optimizer", "\(name) \(value); must be a number not below 0") }
    }

    static func check(_ name: String, _ value: Double, below limit: Double) {
        if !(value >= 0 && value < limit) { fail("Optimizer", "\(name) \(value); must be in 0 ..< \(limit)") }
    }

    /// The rate of the first group; setting it sets that of all.
    public final var learningRate: Double {
        get { groups.first?.learningRate ?? 0 }
        set { for i in groups.indices { groups[i].learningRate = newValue } }
    }

    /// The parameters of all groups, in order.
    public final var parameters: [Parameter] { groups.flatMap(\.parameters) }

    /// Lets go of the gradients of all parameters.
    public final func zeroGrad() {
        for group in groups { for parameter in group.parameters { parameter.grad = nil } }
    }

    /// Updates every parameter that has a gradient and is not frozen.
    public final func step() {
        stepCount += 1
        withoutGrad {
            var index = 0
            for group in groups {
                for parameter in group.parameters {
                    defer { index += 1 }
                    guard parameter.requiresGrad, let gradient = parameter.grad else { continue }
                    update(parameter, gradient.detached().to(parameter.dtype).contiguous(), group, &states[index])
                }
            }
        }
    }

    /// One parameter's update, in place. `state` holds the parameter's own tensors from step to step.
    open func update(_ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]) {
        fail("Optimizer", "\(type(of: self)) has no update")
    }

    // MARK: State

    /// Everything needed to go on: tensors by `index.name`, in the order of the parameters.
    public struct State: Sendable {
        /// Steps taken.
        public var stepCount: Int
        /// The rate in force of each group, in order.
        public var learningRates: [Double]
        /// The tensors of the parameters by `index.name`: `0.momentum`.
        public var tensors: [String: Tensor]
        /// A state put together from its parts, as when one is read from a file.
        public init(stepCount: Int, learningRates: [Double], tensors: [String: Tensor]) {
            self.stepCount = stepCount
            self.learningRates = learningRates
            self.tensors = tensors
        }
    }

    /// The state as it stands; later steps do not change it. ``loadState(_:)`` takes it back.
    public final var state: State {
        var tensors: [String: Tensor] = [:]
        for (index, state) in states.enumerated() { for (name, tensor) in state { tensors["\(index).\(name)"] = tensor } }
        return State(stepCount: stepCount, learningRates: groups.map(\.learningRate), tensors: tensors)
    }

    /// Takes over a saved state. Nothing changes unless everything fits these parameters.
    public final func loadState(_ state: State) throws {
        let parameters = self.parameters
        if state.learningRates.count != groups.count {
            throw OptimizerStateError(reason: "\(state.learningRates.count) groups for \(groups.count)")
        }
        var loaded = states.map { _ in [String: Tensor]() }
        for (key, tensor) in state.tensors {
            let parts = key.split(separator: ".", maxSplits: 1)
            guard parts.count == 2, let index = Int(parts[0]), parameters.indices.contains(index) else {
                throw OptimizerStateError(reason: "\(key) names no parameter")
            }
            if tensor.count != 1 && tensor.shape != parameters[index].shape {
                throw OptimizerStateError(reason: "\(key) has shape \(tensor.shape), the parameter \(parameters[index].shape)")
            }
            loaded[index][String(parts[1])] = tensor
        }
        states = loaded
        stepCount = state.stepCount
        for i in groups.indices { groups[i].learningRate = state.learningRates[i] }
    }
}

/// Why an optimizer's state could not be loaded.
public struct OptimizerStateError: Error, CustomStringConvertible, Equatable {
    /// What does not fit, as half a sentence.
    public let reason: String
    /// The reason as a whole sentence.
    public var description: String { "the optimizer state is for other parameters: \(reason)" }
}

/// A state tensor, made of zeros where there is none, handed over to be written in place; the rest of the state goes along.
@inline(__always)
func withState(
    _ state: inout [String: Tensor], _ name: String, like p: RawTensor,
    _ body: (RawTensor, inout [String: Tensor]) -> Void
) {
    // Taken out of the dictionary, so that its storage is uniquely held and written in place.
    var tensor = state.removeValue(forKey: name) ?? Tensor(zeros: p.shape, dtype: p.dtype, device: p.device)
    tensor.withMutableRaw { body($0, &state) }
    state[name] = tensor
}

/// The same for a tensor that an option may leave out.
@inline(__always)
func withState(
    _ state: inout [String: Tensor], _ name: String?, like p: RawTensor,
    _ body: (RawTensor?, inout [String: Tensor]) -> Void
) {
    if let name {
        withState(&state, name, like: p) { (raw: RawTensor, rest: inout [String: Tensor]) in body(raw, &rest) }
    } else {
        body(nil, &state)
    }
}
