import CCUDA
import CoreTensor

extension Configuration {
    /// Whether matrix products and convolutions of float32 on GPUs from sm_80 on may run on tensor cores, with factors rounded to TF32 (8 bits
    /// of exponent, 10 of fraction) and sums in float32: several times as fast, with errors of some 10⁻³ instead of 10⁻⁶ of the
    /// factors' products. At start it is not allowed.
    public static var allowsTF32: Bool {
        get { tk_cuda_allows_tf32() }
        set { tk_cuda_set_tf32(newValue) }
    }
}
