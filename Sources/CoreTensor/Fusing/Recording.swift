import CKernels

/// What is being recorded on a thread: the values that elementwise primitives have made so far.
///
/// Tensors on the device `recording` have no elements; their storage stands for a value. Equal computations are one value.
final class Recording {
    enum Origin: Hashable {
        case input(Int)
        case constant(bits: UInt64, type: DType)
        case step(FusedProgram.Step)
    }

    private let inputs: [DType]
    private(set) var values: [(origin: Origin, type: DType)] = []
    private var known: [Origin: Int] = [:]
    /// Storages are kept, so that no other takes over the identity.
    private var storages: [ObjectIdentifier: (storage: Storage, value: Int, shape: Shape)] = [:]

    private init(inputs: [DType]) { self.inputs = inputs }

    /// The one that runs on this thread.
    static var current: Recording {
        guard let recording = ThreadLocal.current.recording else {
            fail("fused", "a tensor of the recorded function was used after it returned; return what is needed outside")
        }
        return recording
    }

    /// Whether a tensor belongs to a recording.
    static func has(_ x: Tensor) -> Bool { x.device.kind == .recording }

    /// Records `body` on tensors of the given types, all of shape `shape`, and gives the program of the tensors it returns; nil
    /// stands for a result that is not there.
    static func program(
        _ inputs: [DType], shape: Shape, _ body: ([Tensor]) -> [Tensor?]
    ) -> (program: FusedProgram, results: [Tensor?]) {
        let recording = Recording(inputs: inputs), local = ThreadLocal.current
        local.recording = recording
        defer { local.recording = nil }
        let layout = Layout(shape: shape)
        let tensors = inputs.enumerated().map { i, dtype -> Tensor in
            let raw = RawTensor(layout, dtype, .recording)
            recording.define(raw, recording.value(.input(i), recording.computed(dtype)))
            return Tensor(raw: raw)
        }
        let results = body(tensors)
        return (recording.finish(results.compactMap { $0.map { recording.value(of: $0.raw) } }), results)
    }

    // MARK: Values

    func value(_ origin: Origin, _ type: DType) -> Int {
        if let value = known[origin] { return value }
        values.append((origin, type))
        known[origin] = values.count - 1
        return values.count - 1
    }

    func step(_ operation: FusedProgram.Operation, _ type: DType, _ arguments: [Int]) -> Int {
        let step = FusedProgram.Step(operation: operation, type: type, arguments: arguments)
        return value(.step(step), step.resultType)
    }

    func constant(_ number: Double, _ type: DType) -> Int { value(.constant(bits: number.bitPattern, type: type), type) }

    /// The element of `dtype` at `pointer`.
    func constant(_ pointer: UnsafeRawPointer, _ dtype: DType) -> Int {
        var number = 0.0
        tk_cast(dtype.code, DType.float64.code, pointer, &number, 1)
        return constant(number, computed(dtype))
    }

    /// The type that elements of `dtype` are computed in.
    func computed(_ dtype: DType) -> DType {
        switch dtype {
        case .float32, .float16, .bfloat16: return .float32
        case .float64, .bool: return dtype
        default: fail("fused", "\(dtype) elements are not fused; compute with them outside of the function")
        }
    }

    /// `raw`, dense and just made, stands for a value from now on.
    func define(_ raw: RawTensor, _ value: Int) {
        let id = ObjectIdentifier(raw.storage)
        if storages[id] != nil || raw.offset != 0 || !raw.isContiguous {
            fail("fused", "writing to a part of a tensor is not elementwise; use which(_:_:_:)")
        }
        storages[id] = (raw.storage, value, raw.shape)
    }

    /// The value a tensor stands for: whole or broadcast. A single number from outside is a constant.
    func value(of raw: RawTensor) -> Int {
        guard raw.device.kind == .recording else {
            if raw.device.kind == .cpu && (raw.count == 1 || (raw.count > 0 && raw.layout.strides.allSatisfy { $0 == 0 })) {
                return constant(raw.pointer, raw.dtype)
            }
            fail("fused", "a tensor of shape \(raw.shape) comes from outside of the function; pass it as an argument")
        }
        guard let known = storages[ObjectIdentifier(raw.storage)] else {
            fail("fused", "a tensor of the recorded function was used after it returned; return what is needed outside")
        }
        // Axes are lined up from the last: each is the value's own, repeated, or of size 1.
        var dense = 1
        for back in 1...Swift.max(raw.shape.count, known.shape.count, 1) {
            let own = back <= known.shape.count ? known.shape[known.shape.count - back] : 1
            let size = back <= raw.shape.count ? raw.shape[raw.shape.count - back] : 1
            let stride = back <= raw.shape.count ? raw.layout.strides[raw.shape.count - back] : 0
            let fits = own == 1 ? size == 1 || stride == 0 : size == own && stride == dense
            if !fits || raw.offset != 0 {
                fail("fused", "moving or picking elements is not elementwise; do it outside of the function")
            }
            dense *= Swift.max(own, 1)
        }
        return known.value
    }

    // MARK: The program

    /// The steps that the results need, with a product and a sum put together where nothing else wants the product.
    private func finish(_ results: [Int]) -> FusedProgram {
        var uses = [Int](repeating: 0, count: values.count), needed = [Bool](repeating: false, count: values.count)
        for value in results {
            needed[value] = true
            uses[value] += 1
        }
        for value in values.indices.reversed() where needed[value] {
            if case .step(let step) = values[value].origin {
                for a in step.arguments {
                    needed[a] = true
                    uses[a] += 1
                }
            }
        }
        var fused: [Int: FusedProgram.Step] = [:]
        for value in values.indices where needed[value] {
            guard case .step(let sum) = values[value].origin, sum.operation == .binary(.add), sum.type == .float32 else {
                continue
            }
            for (product, other) in [(sum.arguments[0], sum.arguments[1]), (sum.arguments[1], sum.arguments[0])] {
                guard uses[product] == 1, case .step(let step) = values[product].origin, step.operation == .binary(.mul)
                else { continue }
                let isConstant = step.arguments.map { a -> Bool in if case .constant = values[a].origin { true } else { false } }
                // The kernel repeats a constant in the second and third place only.
                let factors = isConstant[0] ? [step.arguments[1], step.arguments[0]] : step.arguments
                fused[value] = .init(operation: .multiplyAdd, type: .float32, arguments: factors + [other])
                needed[product] = false
                break
            }
        }
        var number = [Int](repeating: -1, count: values.count)
        var constants: [(Double, DType)] = []
        for value in values.indices {
            switch values[value].origin {
            case .input(let i): number[value] = i
            case .constant(let bits, let type) where needed[value]:
                number[value] = inputs.count + constants.count
                constants.append((Double(bitPattern: bits), type))
            default: break
            }
        }
        var steps: [FusedProgram.Step] = []
        for value in values.indices where needed[value] {
            guard case .step(let recorded) = values[value].origin else { continue }
            var step = fused[value] ?? recorded
            step.arguments = step.arguments.map { number[$0] }
            number[value] = inputs.count + constants.count + steps.count
            steps.append(step)
        }
        return FusedProgram(inputs: inputs, constants: constants, steps: steps, outputs: results.map { number[$0] })
    }
}
