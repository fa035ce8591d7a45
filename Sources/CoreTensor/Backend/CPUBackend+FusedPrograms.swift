import CKernels

extension CPUBackend {
    /// Tile by tile, by `tk_fused`.
    public func fused(_ program: FusedProgram, _ inputs: [RawTensor], _ outputs: [RawTensor], shape: Shape) {
        // The strides of all operands, one after another.
        let strides = (inputs + outputs).flatMap { $0.broadcast(to: shape).layout.strides }
        let constants = program.constants.map { tk_fused_constant(value: $0.value, type: $0.type.code) }
        withInt64(strides) { strides in
            let arguments = inputs.enumerated().map { i, x in
                tk_fused_input(data: UnsafeRawPointer(x.pointer), strides: strides + i * shape.count, dtype: x.dtype.code)
            }
            let results = outputs.enumerated().map { i, x in
                tk_fused_output(
                    data: x.pointer, strides: strides + (inputs.count + i) * shape.count, dtype: x.dtype.code,
                    slot: program.outputSlots[i])
            }
            program.code.withUnsafeBufferPointer { code in
                arguments.withUnsafeBufferPointer { arguments in
                    constants.withUnsafeBufferPointer { constants in
                        results.withUnsafeBufferPointer { results in
                            var p = tk_fused_program(
                                steps: code.baseAddress, inputs: arguments.baseAddress, constants: constants.baseAddress,
                                outputs: results.baseAddress, step_count: Int32(code.count), input_count: Int32(arguments.count),
                                constant_count: Int32(constants.count), output_count: Int32(results.count),
                                register_count: Int32(program.registerCount))
                            withInt64(shape) { tk_fused(&p, Int32(shape.count), $0) }
                        }
                    }
                }
            }
        }
    }
}
