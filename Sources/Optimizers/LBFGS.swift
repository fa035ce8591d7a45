import CoreTensor
import NN

/// L-BFGS (Liu and Nocedal, 1989) as PyTorch defines it: the direction comes from the last differences of positions and gradients,
/// the step from a fixed rate or a line search. Needs the loss as a function: ``step(_:)``.
///
/// ```swift
/// let optimizer = LBFGS(model.parameters, lineSearch: .strongWolfe)
/// optimizer.step {
///     optimizer.zeroGrad()
///     let loss = mseLoss(model(x), y)
///     loss.backward()
///     return loss
/// }
/// ```
public final class LBFGS: Optimizer {
    /// How far to go along a direction.
    public enum LineSearch: String, Sendable {
        /// To a point that satisfies the strong Wolfe conditions (Nocedal and Wright, 2006, algorithm 3.5), by cubic interpolation.
        case strongWolfe
    }

    /// Iterations of one step at most.
    public let iterations: Int
    /// Evaluations of the loss in one step at most.
    public let evaluations: Int
    /// A step ends when no gradient is above this.
    public let gradientTolerance: Double
    /// A step ends when neither position nor loss change by more than this.
    public let changeTolerance: Double
    /// Differences kept.
    public let historySize: Int
    /// nil goes by the learning rate.
    public let lineSearch: LineSearch?
    /// Whether the loss is climbed instead of descended.
    public let maximize: Bool

    /// One group of parameters. `evaluations` is by default 5/4 of the iterations. Traps on a negative learning rate.
    public init(
        _ parameters: [Parameter], learningRate: Double = 1, iterations: Int = 20, evaluations: Int? = nil,
        gradientTolerance: Double = 1e-7, changeTolerance: Double = 1e-9, historySize: Int = 100,
        lineSearch: LineSearch? = nil, maximize: Bool = false
    ) {
        if historySize < 0 { fail("LBFGS", "a history of \(historySize) differences") }
        self.iterations = iterations
        self.evaluations = evaluations ?? iterations * 5 / 4
        self.gradientTolerance = gradientTolerance
        self.changeTolerance = changeTolerance
        self.historySize = historySize
        self.lineSearch = lineSearch
        self.maximize = maximize
        super.init([ParameterGroup(parameters)], learningRate: learningRate, weightDecay: 0)
    }

    public override func update(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        fail("LBFGS", "evaluates the loss several times a step; call step { ... } with the function that computes it")
    }

    /// What is kept from step to step.
    private struct Memory {
        var direction: Tensor?
        var length = 0.0
        /// Differences of gradients and of positions, and 1 / (y · s), the oldest first.
        var gradientChanges: [Tensor] = []
        var moves: [Tensor] = []
        var inverses: [Double] = []
        var scale = 1.0
        var gradient: Tensor?
        var loss = 0.0
        var iterations = 0

        init() {}

        init(_ state: [String: Tensor]) {
            direction = state["direction"]
            gradient = state["gradient"]
            guard let numbers = state["numbers"]?.scalars(Double.self) else { return }
            (length, scale, loss, iterations) = (numbers[0], numbers[1], numbers[2], Int(numbers[3]))
            inverses = Array(numbers[4...])
            for i in inverses.indices {
                gradientChanges.append(state["gradientChange.\(i)"]!)
                moves.append(state["move.\(i)"]!)
            }
        }

        var state: [String: Tensor] {
            var state: [String: Tensor] = [:]
            state["direction"] = direction
            state["gradient"] = gradient
            let numbers = [length, scale, loss, Double(iterations)] + inverses
            state["numbers"] = Tensor(numbers, shape: [numbers.count], dtype: .float64)
            for i in inverses.indices {
                state["gradientChange.\(i)"] = gradientChanges[i]
                state["move.\(i)"] = moves[i]
            }
            return state
        }
    }

    public override func accepts(_ tensor: Tensor, named name: String, for parameter: Parameter) -> Bool {
        if name == "numbers" { return tensor.rank == 1 && tensor.count >= 4 }
        return tensor.shape == [parameters.reduce(0) { $0 + $1.count }]
    }

    /// Up to `iterations` iterations, each of which calls `closure` at least once (but the last, without a line search).
    /// Returns the first loss.
    @discardableResult
    public override func step(_ closure: () throws -> Tensor) rethrows -> Tensor {
        if case .nearest = parameterRounding {} else { fail("LBFGS", "rounds to nearest; leave parameterRounding as it is") }
        if parameters.isEmpty { return try withGrad(closure) }
        stepCount += 1
        return try withoutGrad { try descend(closure) }
    }

    private func descend(_ closure: () throws -> Tensor) rethrows -> Tensor {
        let sign = maximize ? -1.0 : 1.0
        func evaluate() throws -> (Double, Tensor) { (sign * (try withGrad(closure)).item(Double.self), flatGradient()) }
        let first = try withGrad(closure)
        var loss = sign * first.item(Double.self)
        var gradient = flatGradient()
        var calls = 1
        var isOptimal = largest(gradient) <= gradientTolerance
        if isOptimal { return first }

        var memory = Memory(states[0])
        defer { states[0] = memory.state }
        let rate = groups[0].learningRate
        var count = 0
        while count < iterations {
            count += 1
            memory.iterations += 1
            if memory.iterations == 1 {
                memory = Memory()
                memory.iterations = 1
                memory.direction = -gradient
            } else {
                remember(&memory, gradient)
                memory.direction = newDirection(memory, gradient)
            }
            let direction = memory.direction!
            memory.gradient = gradient
            memory.loss = loss
            memory.length = memory.iterations == 1 ? min(1, 1 / abs(gradient).sum().item(Double.self)) * rate : rate
            let slope = dot(gradient, direction)
            if slope > -changeTolerance { break }

            var newCalls = 0
            if lineSearch != nil {
                let start = parameters.map { $0.value.detached() }
                let found = try strongWolfe(
                    slope: slope, loss: loss, gradient: gradient, length: memory.length, largest: largest(direction),
                    evaluations: max(evaluations - calls, 0)
                ) { length in
                    self.move(direction, length)
                    let (loss, gradient) = try evaluate()
                    for (parameter, value) in zip(self.parameters, start) { parameter.value = value }
                    return WolfePoint(length: length, loss: loss, gradient: gradient, slope: self.dot(gradient, direction))
                }
                (loss, gradient, memory.length, newCalls) = (
                    found.point.loss, found.point.gradient, found.point.length, found.calls
                )
                move(direction, memory.length)
                isOptimal = largest(gradient) <= gradientTolerance
            } else {
                move(direction, memory.length)
                if count != iterations {
                    (loss, gradient) = try evaluate()
                    isOptimal = largest(gradient) <= gradientTolerance
                    newCalls = 1
                }
            }
            calls += newCalls
            if count == iterations || calls >= evaluations || isOptimal { break }
            if largest(direction * memory.length) <= changeTolerance { break }
            if Swift.abs(loss - memory.loss) < changeTolerance { break }
        }
        return first
    }

    /// Takes up the last move if it met positive curvature.
    private func remember(_ memory: inout Memory, _ gradient: Tensor) {
        let y = gradient - memory.gradient!, s = memory.direction! * memory.length
        let curvature = dot(y, s)
        if curvature <= 1e-10 { return }
        if memory.moves.count == historySize && historySize > 0 {
            memory.gradientChanges.removeFirst()
            memory.moves.removeFirst()
            memory.inverses.removeFirst()
        }
        memory.gradientChanges.append(y)
        memory.moves.append(s)
        memory.inverses.append(1 / curvature)
        memory.scale = curvature / dot(y, y)
    }

    /// Minus the gradient times the approximate inverse Hessian: the two loops of Nocedal (1980).
    private func newDirection(_ memory: Memory, _ gradient: Tensor) -> Tensor {
        var q = -gradient
        var alphas = [Double](repeating: 0, count: memory.moves.count)
        for i in memory.moves.indices.reversed() {
            alphas[i] = dot(memory.moves[i], q) * memory.inverses[i]
            q = q - memory.gradientChanges[i] * alphas[i]
        }
        q = q * memory.scale
        for i in memory.moves.indices {
            let beta = dot(memory.gradientChanges[i], q) * memory.inverses[i]
            q = q + memory.moves[i] * (alphas[i] - beta)
        }
        return q
    }

    /// All gradients in one row, zeros where there is none.
    private func flatGradient() -> Tensor {
        let rows = parameters.map { parameter -> Tensor in
            guard let gradient = parameter.grad else {
                return Tensor(zeros: [parameter.count], dtype: parameter.dtype, device: parameter.value.device)
            }
            return gradient.detached().to(parameter.dtype).reshaped([parameter.count])
        }
        let flat = concatenate(rows)
        return maximize ? -flat : flat
    }

    private func move(_ direction: Tensor, _ length: Double) {
        var start = 0
        for parameter in parameters {
            let part = direction[start..<start + parameter.count].reshaped(parameter.shape).to(parameter.dtype)
            parameter.value = parameter.value.detached() + part * length
            start += parameter.count
        }
    }

    private func largest(_ x: Tensor) -> Double { x.count == 0 ? 0 : abs(x).max().item(Double.self) }
    private func dot(_ a: Tensor, _ b: Tensor) -> Double { matmul(a, b).item(Double.self) }
}
