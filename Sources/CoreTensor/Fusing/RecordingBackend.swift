import CKernels

/// The backend of tensors without elements: its elementwise primitives are recorded, all others stop the program.
final class RecordingBackend: Backend, Sendable {
    static let shared = RecordingBackend()
    nonisolated(unsafe) private static let nowhere = UnsafeMutableRawPointer(bitPattern: 64)!

    func allocate(byteCount: Int) -> Storage { Storage(base: Self.nowhere, byteCount: byteCount, device: .recording) }
    func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int) {}

    func declines(_ operation: String) -> Never {
        fail("fused", "\(operation) is not elementwise; compute it outside of the function")
    }

    private func step(_ operation: FusedProgram.Operation, _ type: DType, _ arguments: [RawTensor], _ out: RawTensor) {
        let recording = Recording.current
        recording.define(out, recording.step(operation, recording.computed(type), arguments.map(recording.value(of:))))
    }

    func copy(_ source: RawTensor, to destination: RawTensor) {
        let recording = Recording.current
        if destination.device.kind != .recording {
            fail("fused", "reading elements inside of the function is not possible: it is recorded without any")
        }
        recording.define(destination, recording.value(of: source))
    }

    func cast(_ x: RawTensor, to out: RawTensor) {
        let recording = Recording.current
        let from = recording.computed(x.dtype), to = recording.computed(out.dtype)
        var value = recording.value(of: x)
        if to == .bool && from != .bool {
            value = recording.step(.compare(.notEqual), from, [value, recording.constant(0, from)])
        } else if from != to {
            value = recording.step(.cast(from), to, [value])
        }
        if out.dtype.byteCount == 2 && from != .bool { value = recording.step(.round(out.dtype), .float32, [value]) }
        recording.define(out, value)
    }

    func fill(_ out: RawTensor, _ value: UnsafeRawPointer) {
        let recording = Recording.current
        recording.define(out, recording.constant(value, out.dtype))
    }

    func binary(_ op: BinaryKernel, _ x: RawTensor, scalar value: Double, _ out: RawTensor) {
        let recording = Recording.current, type = recording.computed(x.dtype)
        let constant = withElement(value, 0, 0, x.dtype) { recording.constant($0, x.dtype) }
        recording.define(out, recording.step(.binary(op), type, [recording.value(of: x), constant]))
    }

    func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor) { step(.unary(op), x.dtype, [x], out) }

    func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor) {
        step(.unaryGrad(op), out.dtype, [saved, g], out)
    }

    func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor) { step(.classify(op), x.dtype, [x], out) }
    func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        step(.binary(op), out.dtype, [a, b], out)
    }
    func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        step(.compare(op), a.dtype, [a, b], out)
    }
    func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        step(.select, out.dtype, [condition, a, b], out)
    }
    func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double) {
        step(.clamp(low: low, high: high), x.dtype, [x], out)
    }
}
