import CoreTensor

/// An operation with a gradient rule of one's own (PyTorch's `autograd.Function`).
///
/// ```swift
/// struct Cube: DifferentiableFunction {
///     func forward(_ x: [Tensor], _ context: FunctionContext) -> [Tensor] {
///         context.save(x[0])
///         return [x[0] * x[0] * x[0]]
///     }
///     func vjp(_ g: [Tensor?], _ context: FunctionContext) -> [Tensor?] {
///         let x = context.saved[0]
///         return [g[0]! * x * x * 3]
///     }
/// }
/// let y = Cube().apply(x)[0]
/// ```
public protocol DifferentiableFunction: Sendable {
    /// The name in errors and printed tapes.
    var name: String { get }
    /// The values. Runs without recording.
    func forward(_ inputs: [Tensor], _ context: FunctionContext) -> [Tensor]
    /// The gradient of every input (nil: none), given that of every output (nil: none arrived). Written in tensor operations it
    /// can itself be differentiated.
    func vjp(_ gradients: [Tensor?], _ context: FunctionContext) -> [Tensor?]
}

/// What a ``DifferentiableFunction`` keeps from its forward call for its gradient.
public final class FunctionContext {
    fileprivate var kept: [Tensor] = []
    /// The tensors kept, in order.
    public fileprivate(set) var saved: [Tensor] = []
    /// Which inputs need a gradient.
    public let needsGradient: [Bool]

    fileprivate init(needsGradient: [Bool]) { self.needsGradient = needsGradient }

    /// Keeps tensors, inputs or outputs, for ``DifferentiableFunction/vjp(_:_:)``, which finds them in ``saved`` in this order.
    public func save(_ tensors: Tensor...) { kept += tensors }
}

extension DifferentiableFunction {
    /// The type's name.
    public var name: String { String(describing: Self.self) }

    /// Calls the function and records it.
    public func apply(_ inputs: Tensor...) -> [Tensor] { apply(inputs) }

    /// Calls the function on any number of inputs and records it. Traps if it gives no output.
    public func apply(_ inputs: [Tensor]) -> [Tensor] {
        if inputs.contains(where: \.isBatched) { return loopOverExamples(name, inputs) { apply($0) } }
        let context = FunctionContext(needsGradient: inputs.map(\.requiresGrad))
        let outputs = withoutGrad { forward(inputs, context) }
        if outputs.isEmpty { fail(name, "gave no output") }
        return record(outputs.map(\.raw), inputs: inputs) {
            let node = CustomBackward(self, inputs.count)
            for tensor in context.kept {
                if let index = outputs.firstIndex(where: { $0.sharesStorage(with: tensor) && $0.shape == tensor.shape }),
                    tensor.tapeNode == nil
                {
                    node.save(output: outputs[index].raw, index: index)
                } else {
                    node.save(tensor)
                }
            }
            return node
        }
    }
}

private final class CustomBackward: Node, @unchecked Sendable {
    let function: any DifferentiableFunction
    let arity: Int

    init(_ function: any DifferentiableFunction, _ arity: Int) {
        self.function = function
        self.arity = arity
        super.init()
    }

    override var name: String { "\(function.name)Backward" }
    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        checkUsable()
        let context = FunctionContext(needsGradient: needs)
        context.saved = savedTensors
        let result = function.vjp(outputs, context)
        if result.count != arity {
            fail(name, "gave \(result.count) gradients for \(arity) inputs", recordedAt: site)
        }
        return result
    }
}
