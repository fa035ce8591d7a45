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
    /// μ of SGD, RMSProp and Muon, β₁ of the Adam family and Lion; nil: the optimizer's own.
    public var momentum: Double?

    /// A group; nil takes the optimizer's own learning rate, weight decay or momentum.
    public init(
        _ parameters: [Parameter], learningRate: Double? = nil, weightDecay: Double? = nil, momentum: Double? = nil
    ) {
        self.parameters = parameters
        self.learningRate = learningRate
        self.weightDecay = weightDecay
        self.momentum = momentum
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
        /// μ of SGD, RMSProp and Muon, β₁ of the Adam family and Lion, in force; schedules that cycle momentum set it. nil
        /// where the optimizer has neither.
        public var momentum: Double?
        /// The rate at the start, from which schedules compute.
        public let initialLearningRate: Double
    }

    /// The groups in the order given. Rates and decays may be changed between steps.
    public final var groups: [Group]
    /// Steps taken.
    public final internal(set) var stepCount = 0
    /// State tensors of each parameter by name, in the order of all parameters.
    final var states: [[String: Tensor]]

    /// How 16-bit parameters are rounded after an update; ``LBFGS`` takes nearest alone. May be changed between steps.
    public final var parameterRounding = ParameterRounding.nearest
    /// The rounding of the update under way.
    final var stepRounding = NarrowRounding.nearest

    /// Settles each group's numbers: its own, or those given here; `momentum` is nil where there is none. Traps on a
    /// parameter named twice, on parameters that are no floats, and on numbers that are negative or not finite.
    public init(_ groups: [ParameterGroup], learningRate: Double, weightDecay: Double, momentum: Double? = nil) {
        Optimizer.check("learningRate", learningRate)
        Optimizer.check("weightDecay", weightDecay)
        if let momentum { Optimizer.check("momentum", momentum) }
        var seen = Set<ObjectIdentifier>()
        self.groups = groups.map { group in
            for parameter in group.parameters where !seen.insert(ObjectIdentifier(parameter)).inserted {
                fail("Optimizer", "a parameter of shape \(parameter.shape) is in the groups twice; it would be stepped twice")
            }
            let rate = group.learningRate ?? learningRate
            Optimizer.check("learningRate", rate)
            Optimizer.check("weightDecay", group.weightDecay ?? weightDecay)
            if let own = group.momentum {
                Optimizer.check("momentum", own)
                if momentum == nil { fail("Optimizer", "a group has a momentum of \(own), but the optimizer has none") }
            }
            for parameter in group.parameters where !parameter.dtype.isFloatingPoint {
                fail("Optimizer", "a parameter of type \(parameter.dtype); only floats can be trained")
            }
            return Group(
                parameters: group.parameters, learningRate: rate, weightDecay: group.weightDecay ?? weightDecay,
                momentum: group.momentum ?? momentum, initialLearningRate: rate)
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

    /// Updates every parameter that has a gradient and is not frozen. 16-bit parameters are updated in float32, with states of
    /// that type, and rounded as ``parameterRounding`` says.
    ///
    /// In a capture (``CUDA/Graph``) the numbers of the step, such as its count and the rates, are taken anew in every replay. Traps there if
    /// no step was taken before, in which the states are made.
    public final func step() {
        guard let capture = ThreadLocal.workCapture else { return takeStep() }
        if stepCount == 0 {
            fail("Optimizer.step", "the first step, which makes the states, cannot be captured; take one before")
        }
        // The step is taken by the replays. What it counts lies on the CPU.
        let counts = states.map { $0.filter { $0.value.device == .cpu && $0.value.count == 1 } }
        let isCPU = groups.contains { $0.parameters.contains { $0.value.device == .cpu } }
        if isCPU { fail("Optimizer.step", "parameters on the CPU in a capture; move the model with to(device:)") }
        capture.perRun { [self] in takeStep() }
        stepCount -= 1
        for (index, own) in counts.enumerated() { for (name, count) in own { states[index][name] = count } }
    }

    private func takeStep() {
        stepCount += 1
        withoutGrad {
            var index = 0
            for group in groups {
                for parameter in group.parameters {
                    defer { index += 1 }
                    guard parameter.requiresGrad, let gradient = parameter.grad else { continue }
                    let dtype = parameter.dtype
                    if dtype == .float32 || dtype == .float64 {
                        if leavesZeroGradientsAlone(group, states[index]), gradient.dtype == dtype, let few = gradient.onlyRows {
                            updateRows(few.ids, of: parameter, few.rows, group, &states[index])
                            continue
                        }
                        let isReady = gradient.dtype == dtype && gradient.isContiguous && gradient.tapeNode == nil
                        mayPutOff = parameter.value.device != .cpu
                        update(
                            parameter, isReady ? gradient : gradient.detached().to(dtype).contiguous(), group, &states[index])
                        mayPutOff = false
                    } else {
                        updateNarrow(parameter, gradient, group, &states[index])
                    }
                }
            }
            finishUpdates()
        }
    }

    /// Whether the update under way may wait for ``finishUpdates()``: on a GPU one launch does many parameters.
    final var mayPutOff = false

    /// Does what the updates of a step have put off.
    func finishUpdates() {}

    /// Runs `closure`, which computes the loss and its gradients anew, then one step. Returns the closure's loss.
    @discardableResult
    open func step(_ closure: () throws -> Tensor) rethrows -> Tensor {
        let loss = try withGrad(closure)
        step()
        return loss
    }

    /// One parameter's update, in place. `state` holds the parameter's own tensors from step to step.
    open func update(_ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]) {
        fail("Optimizer", "\(type(of: self)) has no update")
    }

    /// Whether ``update(_:_:_:_:)`` takes 16-bit parameters as they are, with a gradient of 16 bits or float32, and rounds them. Otherwise it
    /// gets a copy in float32.
    var sweepsNarrowParameters: Bool { false }

    /// Whether the update of an element whose gradient is 0 changes neither it nor its state, as far as these exist: then a large
    /// table of which few rows have a gradient is updated in those rows only, which need not be in a gradient of the whole table.
    /// False unless a subclass says otherwise.
    open func leavesZeroGradientsAlone(_ group: Group, _ state: [String: Tensor]) -> Bool { false }

    /// The update of a few rows of a parameter and of its state.
    private func updateRows(
        _ ids: Tensor, of parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        func rows(_ table: RawTensor) -> Tensor {
            let out = RawTensor(gradient.raw.layout, table.dtype, table.device)
            table.backend.gatherRows(table, ids: ids.raw, out)
            return Tensor(raw: out)
        }
        var few: [String: Tensor] = [:]
        for (name, tensor) in state { few[name] = tensor.shape == parameter.shape ? rows(tensor.contiguous().raw) : tensor }
        let part = Parameter(parameter.update { rows($0) })
        update(part, gradient, group, &few)
        parameter.update { $0.backend.setRows($0, ids: ids.raw, part.value.raw) }
        for (name, tensor) in few {
            guard var whole = state.removeValue(forKey: name), whole.shape == parameter.shape else {
                state[name] = tensor
                continue
            }
            whole.withMutableRaw { $0.backend.setRows($0, ids: ids.raw, tensor.raw) }
            state[name] = whole
        }
    }

    // MARK: State

    /// Everything needed to go on: tensors by `index.name`, in the order of the parameters.
    public struct State: Sendable {
        /// Steps taken.
        public var stepCount: Int
        /// The rate in force of each group, in order.
        public var learningRates: [Double]
        /// The momentum in force of each group, in order; nil where there is none. Empty in states of before there were any.
        public var momenta: [Double?]
        /// The tensors of the parameters by `index.name`: `0.momentum`.
        public var tensors: [String: Tensor]
        /// A state put together from its parts, as when one is read from a file.
        public init(
            stepCount: Int, learningRates: [Double], momenta: [Double?] = [], tensors: [String: Tensor]
        ) {
            self.stepCount = stepCount
            self.learningRates = learningRates
            self.momenta = momenta
            self.tensors = tensors
        }
    }

    /// The state as it stands; later steps do not change it. ``loadState(_:)`` takes it back.
    public final var state: State {
        var tensors: [String: Tensor] = [:]
        for (index, state) in states.enumerated() { for (name, tensor) in state { tensors["\(index).\(name)"] = tensor } }
        return State(
            stepCount: stepCount, learningRates: groups.map(\.learningRate), momenta: groups.map(\.momentum),
            tensors: tensors)
    }

    /// Whether a saved tensor can be the state `name` of a parameter: a single number or one of the parameter's shape, unless
    /// a subclass keeps others.
    open func accepts(_ tensor: Tensor, named name: String, for parameter: Parameter) -> Bool {
        tensor.count == 1 || tensor.shape == parameter.shape
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
            if !accepts(tensor, named: String(parts[1]), for: parameters[index]) {
                throw OptimizerStateError(reason: "\(key) has shape \(tensor.shape), the parameter \(parameters[index].shape)")
            }
            // Single numbers, such as counts, are the CPU's.
            let isNumber = tensor.dtype.isInteger || (tensor.count == 1 && parameters[index].count != 1)
            loaded[index][String(parts[1])] = isNumber ? tensor : tensor.to(device: parameters[index].device)
        }
        states = loaded
        stepCount = state.stepCount
        for i in groups.indices {
            groups[i].learningRate = state.learningRates[i]
            if state.momenta.indices.contains(i), let momentum = state.momenta[i] { groups[i].momentum = momentum }
        }
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
    var tensor = state.removeValue(forKey: name) ?? Tensor(zeros: p.shape, dtype: p.dtype.ofStates, device: p.device)
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

/// Counts a parameter's own steps: one that had no gradient for a while must not skip its corrections.
func countStep(_ state: inout [String: Tensor]) -> Int {
    let step = (state["step"]?.item(Int.self) ?? 0) + 1
    state["step"] = Tensor(step)
    return step
}
