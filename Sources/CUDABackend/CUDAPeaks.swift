import CCUDA
import CoreTensor

extension CUDA {
    /// What a multiply-add is made in.
    package enum PeakKernel: Sendable { case float32, bfloat16 }

    /// Starts a kernel that does nothing but multiply and add, from registers: 16 chains of `rounds` float32 multiply-adds to a thread, or 8
    /// chains of `rounds` `mma.sync` products to a warp. Returns its floating-point operations; nil where the device has no such kernel.
    package static func runPeakKernel(_ kind: PeakKernel, rounds: Int, _ device: Device) -> Double? {
        let backend = backend(of: device, "runPeakKernel"), context = backend.context
        if kind == .bfloat16 && context.capability < 80 { return nil }
        let blocks = 32 * context.multiprocessors, threads = 256 * blocks
        let out = backend.scratch([threads], .float32), to = backend.address(out, "peak")
        switch kind {
        case .float32:
            context.launch(KernelName("tk_peak_f32"), grid: (blocks, 1), block: (256, 1), to, rounds, Float(0.999))
            return 32 * Double(rounds * threads)
        case .bfloat16:
            context.launch(KernelName("tk_peak_bf16"), grid: (blocks, 1), block: (256, 1), to, rounds, UInt32(0x3f80_3f80))
            return 8 * 4096 * Double(rounds * threads / 32)
        }
    }
}
