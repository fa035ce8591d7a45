import CCUDA
import CoreTensor

// MARK: Elementwise programs

extension CUDABackend {
    /// In one pass, by a kernel that interprets the program; what is summed over axes is written in full and reduced afterwards. A program that has
    /// no room among a kernel's arguments runs step by step.
    public func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) {
        let results = outputs.map { out -> RawTensor in
            out.shape == shape && out.isContiguous
                ? out : scratch(shape, out.dtype.isHalf ? .float32 : out.dtype)
        }
        guard var p = kernelProgram(program, inputs, results, shape) else {
            return stepByStep(program, inputs, outputs, shape: shape)
        }
        for (k, x) in (inputs + results).enumerated() { p.setAddress(address(x, "fused"), of: k) }
        let isWide = program.isWide, slots = inputs.count + program.registerCount
        let bytes = 4 * (isWide ? 8 : 4) * slots  // of a thread
        let threads = [128, 64, 32].first { $0 * bytes <= Self.sharedBytes } ?? 32
        let blocks = min((Int(p.count) + 4 * threads - 1) / (4 * threads), 64 * context.multiprocessors)
        context.launch(
            KernelName("tk_fused", isWide ? "f64" : "f32"), grid: (blocks, 1), block: (threads, 1), shared: threads * bytes, p)
        for (result, out) in zip(results, outputs) where result.storage !== out.storage { sumBroadcastAxes(result, to: out) }
    }

    /// Shared memory that a block has without asking for more.
    private static let sharedBytes = 48 << 10

    /// The program as the kernel takes it, without addresses; nil if it does not fit.
    private func kernelProgram(
        _ program: FusedProgram, _ inputs: [RawTensor], _ results: [RawTensor], _ shape: Shape
    ) -> tk_cuda_fused? {
        let count = shape.reduce(1, *), slots = inputs.count + program.registerCount
        let (dims, strides) = joinedAxes(shape, (inputs + results).map { $0.broadcast(to: shape).layout.strides })
        var constants = program.constants.map { $0.type == .float32 ? Double(Float($0.value)) : $0.value }
        if count == 0 || count > Int32.max || dims.count > TK_CUDA_FUSED_RANK || program.steps.count > TK_CUDA_FUSED_STEPS
            || inputs.count + results.count > TK_CUDA_FUSED_OPERANDS || 32 * (program.isWide ? 32 : 16) * slots > Self.sharedBytes
        {
            return nil
        }
        /// Constants are no registers of the kernel.
        func slot(_ value: Int) -> UInt8 {
            let slot = Int(program.slots[value]), first = inputs.count
            if slot < first { return UInt8(slot) }
            let constant = slot - first
            return constant < program.constants.count
                ? UInt8(TK_CUDA_FUSED_CONSTANT + constant) : UInt8(slot - program.constants.count)
        }
        func constant(_ value: Double) -> UInt8 {
            constants.append(value)
            return UInt8(clamping: Int(TK_CUDA_FUSED_CONSTANT) + constants.count - 1)
        }
        if program.constants.count > TK_CUDA_FUSED_CONSTANTS { return nil }
        var code: [tk_cuda_fused_step] = []
        for (k, step) in program.steps.enumerated() {
            guard var made = tk_cuda_fused_step(step) else { return nil }
            var arguments = step.arguments.map(slot)
            if case .clamp(let low, let high) = step.operation { arguments += [constant(low), constant(high)] }
            // An argument that an operation does not have is read all the same.
            while arguments.count < 3 { arguments.append(arguments[0]) }
            made.args = (arguments[0], arguments[1], arguments[2])
            made.out = slot(inputs.count + program.constants.count + k)
            code.append(made)
        }
        if constants.count > TK_CUDA_FUSED_CONSTANTS { return nil }
        var p = tk_cuda_fused()
        (p.count, p.rank, p.steps) = (Int64(count), Int32(dims.count), Int32(code.count))
        (p.inputs, p.outputs) = (Int32(inputs.count), Int32(results.count))
        let lead = Int(TK_CUDA_FUSED_RANK) - dims.count
        withUnsafeMutableBytes(of: &p.dims) { bytes in
            let to = bytes.bindMemory(to: Int64.self)
            for axis in to.indices { to[axis] = axis < lead ? 1 : Int64(dims[axis - lead]) }
        }
        withUnsafeMutableBytes(of: &p.constants) { $0.copyBytes(from: constants.withUnsafeBytes { Array($0) }) }
        withUnsafeMutableBytes(of: &p.code) { $0.copyBytes(from: code.withUnsafeBytes { Array($0) }) }
        var walks = false
        withUnsafeMutableBytes(of: &p.operands) { bytes in
            let to = bytes.bindMemory(to: tk_cuda_fused_operand.self)
            for (k, x) in (inputs + results).enumerated() {
                var operand = tk_cuda_fused_operand()
                let isInput = k < inputs.count, isRepeated = strides[k].allSatisfy { $0 == 0 }
                let isDense = !isInput || (x.shape == shape && x.isContiguous)
                operand.type = Int32(x.dtype.rawValue)
                operand.moves = isDense ? 1 : isRepeated ? 0 : 2
                operand.slot = isInput ? 0 : Int32(slot(program.outputs[k - inputs.count]))
                walks = walks || operand.moves == 2
                withUnsafeMutableBytes(of: &operand.strides) { bytes in
                    let to = bytes.bindMemory(to: Int64.self)
                    for (axis, step) in strides[k].enumerated() { to[lead + axis] = Int64(step) }
                }
                to[k] = operand
            }
        }
        p.walks = walks ? 1 : 0
        return p
    }
}

extension tk_cuda_fused {
    fileprivate mutating func setAddress(_ address: UInt64, of operand: Int) {
        withUnsafeMutableBytes(of: &operands) { $0.bindMemory(to: tk_cuda_fused_operand.self)[operand].address = address }
    }
}

extension FusedProgram {
    /// Whether anything is computed in float64.
    fileprivate var isWide: Bool {
        inputs.contains(.float64) || constants.contains { $0.type == .float64 } || steps.contains { $0.type == .float64 }
    }
}

extension tk_cuda_fused_step {
    /// Without slots; nil for what the kernel does not do.
    fileprivate init?(_ step: FusedProgram.Step) {
        self.init()
        type = UInt8(step.type.rawValue)
        func number(_ op: Int32) -> UInt8 { UInt8(op) }
        switch step.operation {
        case .unary(let op): (kind, self.op) = (0, number(op.rawValue))
        case .unaryGrad(let op): (kind, self.op) = (1, number(op.rawValue))
        case .binary(let op):
            // Sums and products of bools have rules of their own.
            if step.type == .bool && op != .and && op != .or && op != .xor { return nil }
            (kind, self.op) = (2, number(op.rawValue))
        case .compare(let op): (kind, self.op) = (3, number(op.rawValue))
        case .select: kind = 4
        case .clamp: kind = 5
        case .classify(let op): (kind, self.op) = (6, number(op.rawValue))
        case .cast: kind = 7
        case .round(let type): (kind, self.op) = (8, UInt8(type.rawValue))
        case .multiplyAdd: kind = 9
        }
    }
}
