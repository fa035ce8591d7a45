import CKernels

/// A recorded elementwise function: its programs, by the types and shapes it was called with.
final class FusedFunction: @unchecked Sendable {
    let body: @Sendable ([Tensor]) -> Tensor
    private let lock = SpinLock()
    /// One that is used moves one place forward.
    private var recorded: [FusedSignature] = []
    /// More signatures than a function meets in practice; a function of ever new shapes must not keep them all.
    private static let mostSignatures = 64

    init(_ body: @escaping @Sendable ([Tensor]) -> Tensor) { self.body = body }

    func callAsFunction(_ inputs: [Tensor]) -> Tensor {
        // Inside vmap, in another recording, and for types without registers: as written, on arguments broadcast as the recorded ones are.
        let device = inputs[0].device
        if !inputs.allSatisfy({ FusedFunction.takes($0) && $0.device == device }) { return composed(inputs) }
        let signature = signature(inputs)
        guard signature.forward.fits else { return composed(inputs) }
        let out = RawTensor(signature.layout, signature.dtype, device)
        out.backend.fused(signature.forward, inputs.map(\.raw), [out], shape: signature.layout.shape)
        if !signature.dtype.isDifferentiable { return Tensor(raw: out) }
        return record(out, inputs: inputs) {
            let node = FusedBackward(signature)
            for x in inputs { node.save(x) }
            return node
        }
    }

    private static func takes(_ x: Tensor) -> Bool {
        !x.isBatched && x.device.kind != .recording && (x.dtype.isFloatingPoint || x.dtype == .bool)
    }

    /// The function as written, operation by operation.
    func composed(_ inputs: [Tensor]) -> Tensor {
        var shape: Shape = []
        for x in inputs { shape = requireBroadcast("fused", shape, x.shape) }
        return body(inputs.map { $0.expanded(to: shape) })
    }

    private func signature(_ inputs: [Tensor]) -> FusedSignature {
        let autocast = tk_get_autocast()
        func matches(_ signature: FusedSignature) -> Bool {
            signature.autocast == autocast && signature.inputs.count == inputs.count
                && zip(signature.inputs, inputs).allSatisfy { $0.dtype == $1.dtype && Layout.sameShape($0.layout, $1.raw.layout) }
        }
        let found = lock.withLock { () -> FusedSignature? in
            guard let i = recorded.firstIndex(where: matches) else { return nil }
            if i > 0 { recorded.swapAt(i, i - 1) }
            return recorded[Swift.max(i - 1, 0)]
        }
        if let found { return found }
        let made = FusedSignature(self, inputs, autocast)
        lock.withLock {
            if recorded.count == Self.mostSignatures { recorded.removeLast() }
            recorded.insert(made, at: 0)
        }
        return made
    }
}

/// What a function is for arguments of certain types and shapes.
final class FusedSignature: @unchecked Sendable {
    let function: FusedFunction
    let inputs: [(layout: Layout, dtype: DType)]
    let autocast: Int32
    /// Of the result: what the arguments broadcast to.
    let layout: Layout
    let dtype: DType
    let forward: FusedProgram
    private let lock = SpinLock()
    /// By the inputs that need a gradient.
    private var backward: [[Bool]: Gradient] = [:]

    /// The program of gradients, and the inputs that it has one for.
    struct Gradient: Sendable { let program: FusedProgram, inputs: [Int] }

    init(_ function: FusedFunction, _ arguments: [Tensor], _ autocast: Int32) {
        self.function = function
        self.autocast = autocast
        inputs = arguments.map { ($0.raw.layout, $0.dtype) }
        var shape: Shape = []
        for x in arguments { shape = requireBroadcast("fused", shape, x.shape) }
        layout = Layout(shape: shape)
        let (program, results) = Recording.program(arguments.map(\.dtype), shape: shape) { recorded in
            let out = withGrad { function.body(recorded) }
            if out.node != nil {
                fail("fused", "a tensor from outside of the function requires a gradient; pass it as an argument")
            }
            return [out]
        }
        forward = program
        dtype = results[0]!.dtype
    }

    /// The gradients of the inputs that need one, in one program of the inputs and the result's gradient; recorded once.
    func gradient(needs: [Bool]) -> Gradient {
        if let known = lock.withLock({ backward[needs] }) { return known }
        var present: [Int] = []
        let (program, _) = Recording.program(inputs.map(\.dtype) + [dtype], shape: layout.shape) { recorded in
            let arguments = zip(recorded, needs).map { $1 ? $0.asLeaf() : $0 }
            let out = withGrad { function.body(arguments) }
            let gradients = withoutGrad { localGradients(of: out, recorded.last!, in: arguments) }
            present = gradients.indices.filter { gradients[$0] != nil }
            return gradients
        }
        let made = Gradient(program: program, inputs: present)
        lock.withLock { backward[needs] = made }
        return made
    }
}

final class FusedBackward: Node, @unchecked Sendable {
    let signature: FusedSignature
    init(_ signature: FusedSignature) {
        self.signature = signature
        super.init()
    }

    override var isJoint: Bool { true }

    override func vjp(_ outputs: [Tensor?], needs: [Bool]) -> [Tensor?] {
        guard let g = outputs[0] else { return needs.map { _ in nil } }
        let inputs = needs.indices.map(saved)
        if g.isBatched || (isGradEnabled && (g.requiresGrad || inputs.contains(where: \.requiresGrad))) {
            return composed(g, inputs, needs)
        }
        let gradient = signature.gradient(needs: needs)
        if !gradient.program.fits { return composed(g, inputs, needs) }
        // Each in its input's shape: the sums over broadcast axes are made in the same pass.
        var results = needs.map { _ -> Tensor? in nil }
        let outs = gradient.inputs.map { RawTensor(signature.inputs[$0].layout, signature.inputs[$0].dtype, g.device) }
        if outs.isEmpty { return results }
        outs[0].backend.fused(
            gradient.program, inputs.map(\.raw) + [g.raw.broadcast(to: signature.layout.shape)], outs,
            shape: signature.layout.shape)
        for (i, out) in zip(gradient.inputs, outs) { results[i] = Tensor(raw: out) }
        return results
    }

    /// Operation by operation, as gradients of gradients want it: the rules are recorded.
    private func composed(_ g: Tensor, _ inputs: [Tensor], _ needs: [Bool]) -> [Tensor?] {
        let shape = signature.layout.shape
        return withGrad {
            // Points of their own, so that the tape ends at the arguments; what needs no gradient gets none.
            let arguments = zip(inputs, needs).map { x, needed in
                let whole = x.expanded(to: shape)
                return !needed ? whole.detached() : whole.requiresGrad ? whole.aliased() : whole.asLeaf()
            }
            return localGradients(
                of: signature.function.body(arguments), g.expanded(to: g.isBatched ? g.shape : shape), in: arguments)
        }
    }
}
