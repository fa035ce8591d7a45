import CCUDA
import CoreTensor

// MARK: Random numbers, the CPU's to the bit

extension CUDABackend {
    /// Counters for so many elements.
    private func counters(_ out: RawTensor) -> Int { (out.count + 1) / (out.dtype.byteCount == 8 ? 2 : 4) + 1 }

    /// Types but floats go by way of float32 (float64 for complex128's parts do not occur).
    public func randomUniform(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Double, high: Double) {
        if !out.dtype.isFloatingPoint {
            let wide = scratch(out.shape, .float32)
            randomUniform(wide, seed: seed, offset: offset, low: low, high: high)
            return cast(wide, to: out)
        }
        run(
            KernelName("tk_uniform", out.dtype.suffix), pieces: counters(out), address(out, "uniform"), out.count, seed, offset,
            low, high)
    }

    /// Floats.
    public func randomNormal(_ out: RawTensor, seed: UInt64, offset: UInt64, mean: Double, standardDeviation: Double) {
        if !out.dtype.isFloatingPoint { missing("normal", out.dtype) }
        run(
            KernelName("tk_normal", out.dtype.suffix), pieces: counters(out), address(out, "normal"), out.count, seed, offset,
            mean,
            standardDeviation)
    }

    /// Drawn as int64.
    public func randomIntegers(_ out: RawTensor, seed: UInt64, offset: UInt64, low: Int, high: Int) {
        let wide = out.dtype == .int64 ? out : scratch(out.shape, .int64)
        run(
            KernelName("tk_random_integers"), pieces: (wide.count + 1) / 2, address(wide, "integers"), wide.count, seed, offset,
            low,
            UInt64(bitPattern: Int64(high)) &- UInt64(bitPattern: Int64(low)))
        if out.dtype != .int64 { cast(wide, to: out) }
    }

    /// The CPU's bits.
    public func roundStochastically(_ x: RawTensor, to out: RawTensor, seed: UInt64, offset: UInt64) {
        let name: StaticString = "roundStochastically"
        run(
            KernelName("tk_round_stochastically", out.dtype.suffix), pieces: (out.count + 127) / 128 * 16, address(x, name),
            address(out, name), out.count, seed, offset)
    }

    /// Mask and result in one pass.
    public func dropout(_ x: RawTensor, _ out: RawTensor, mask: RawTensor, seed: UInt64, offset: UInt64, keep: Double) {
        run(
            KernelName("tk_dropout", x.dtype.suffix), pieces: (x.count + 3) / 4, address(x, "dropout"), address(out, "dropout"),
            address(mask, "dropout"), x.count, seed, offset, keep)
    }

    /// By the mask.
    public func dropoutGrad(_ g: RawTensor, mask: RawTensor, _ out: RawTensor, keep: Double) {
        run(
            KernelName("tk_dropout_grad", g.dtype.suffix), pieces: g.count, address(g, "dropoutGrad"),
            address(mask, "dropoutGrad"),
            address(out, "dropoutGrad"), g.count, keep)
    }
}
