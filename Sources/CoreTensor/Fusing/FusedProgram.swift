import CKernels

/// An elementwise computation as a list of steps: what ``Backend/fused(_:_:_:shape:)`` runs in one pass over memory.
///
/// Values are numbered: first the inputs, then the constants, then what the steps give, each once. 16-bit floats are computed in
/// float32; they are rounded where they are stored, and where a `round` step says so.
public struct FusedProgram: Sendable {
    /// What a step does with its arguments.
    public enum Operation: Hashable, Sendable {
        case unary(UnaryKernel), unaryGrad(UnaryGradKernel), binary(BinaryKernel), compare(CompareKernel)
        /// Of a bool and two values: the first where it is true.
        case select
        case clamp(low: Double, high: Double)
        case classify(ClassifyKernel)
        /// From the given type, `float32`, `float64` or `bool`, to the step's.
        case cast(DType)
        /// A `float32` to the nearest number of a 16-bit type.
        case round(DType)
        /// a · b + c, rounded once, in `float32`.
        case multiplyAdd
    }

    /// One operation on values.
    public struct Step: Hashable, Sendable {
        /// What is computed.
        public var operation: Operation
        /// The type it is computed in, `float32`, `float64` or `bool`; of comparisons and tests, that of the arguments.
        public var type: DType
        /// The values it is computed from.
        public var arguments: [Int]
    }

    /// The element types of the inputs in memory.
    public let inputs: [DType]
    /// The constants with their types.
    public let constants: [(value: Double, type: DType)]
    /// In an order in which every value is there before it is used.
    public let steps: [Step]
    /// The values that are the results.
    public let outputs: [Int]

    /// Where each value is while the program runs: inputs and constants in slots of their own, then registers, which steps share.
    public let slots: [Int32]
    /// Registers that the steps need.
    public let registerCount: Int
    /// The steps for the kernel, and the slot of each output.
    let code: [tk_fused_step]
    let outputSlots: [Int32]

    /// Whether the kernel has room for it.
    var fits: Bool {
        let most = TK_FUSED_MOST_OPERANDS
        return inputs.count <= most && outputs.count <= most
            && inputs.count + constants.count + registerCount <= TK_FUSED_MOST_SLOTS
    }

    init(inputs: [DType], constants: [(value: Double, type: DType)], steps: [Step], outputs: [Int]) {
        self.inputs = inputs
        self.constants = constants
        self.steps = steps
        self.outputs = outputs
        let first = inputs.count + constants.count
        // A register is free again after the last use of its value; one that holds an output is not shared.
        var lastUse = [Int](repeating: -1, count: first + steps.count)
        for (k, step) in steps.enumerated() { for a in step.arguments { lastUse[a] = k } }
        let kept = Set(outputs)
        var slots = (0..<first + steps.count).map { Int32($0 < first ? $0 : -1) }
        var free: [Int32] = [], count = 0
        var code: [tk_fused_step] = []
        for (k, step) in steps.enumerated() {
            let value = first + k
            if kept.contains(value) || free.isEmpty {
                slots[value] = Int32(first + count)
                count += 1
            } else {
                slots[value] = free.removeLast()
            }
            code.append(step.code(out: slots[value], arguments: step.arguments.map { slots[$0] }))
            for a in Set(step.arguments) where a >= first && lastUse[a] == k && !kept.contains(a) { free.append(slots[a]) }
        }
        self.code = code
        self.slots = slots
        registerCount = count
        outputSlots = outputs.map { slots[$0] }
    }
}

extension FusedProgram.Step {
    fileprivate func code(out: Int32, arguments: [Int32]) -> tk_fused_step {
        var step = tk_fused_step()
        step.type = type.code
        step.out = out
        step.args = (arguments[0], arguments.count > 1 ? arguments[1] : -1, arguments.count > 2 ? arguments[2] : -1)
        func set(_ kind: Int, _ op: Int32 = 0) {
            step.kind = Int32(kind)
            step.op = op
        }
        switch operation {
        case .unary(let op): set(TK_FUSED_UNARY, op.rawValue)
        case .unaryGrad(let op): set(TK_FUSED_UNARY_GRAD, op.rawValue)
        case .binary(let op): set(TK_FUSED_BINARY, op.rawValue)
        case .compare(let op): set(TK_FUSED_COMPARE, op.rawValue)
        case .select: set(TK_FUSED_SELECT)
        case .clamp(let low, let high):
            set(TK_FUSED_CLAMP)
            step.low = low
            step.high = high
        case .classify(let op): set(TK_FUSED_CLASSIFY, op.rawValue)
        case .cast(let from): set(TK_FUSED_CAST, from.code)
        case .round(let dtype): set(TK_FUSED_ROUND, dtype.code)
        case .multiplyAdd: set(TK_FUSED_MULTIPLY_ADD)
        }
        return step
    }

    /// The type of what it gives.
    var resultType: DType {
        switch operation {
        case .compare, .classify: .bool
        default: type
        }
    }
}
