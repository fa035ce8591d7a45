/// A weight `[outputs, inputs]` in few bits, as ``Backend/quantizedLinear(_:_:bias:_:)`` takes it.
///
/// The rows lie in panels of 32, filled up with zeros. int8: `panels [panels, ⌈inputs / 4⌉, 32, 4]` and `scales [outputs]`
/// float32, W = scale · q. int4: `panels [panels, groups · size / 8, 32, 2, 2]` uint8, where the two bytes of block b, row r and parity p hold
/// four q of 4 bits, lowest first, at k = 8 b + p, + 2, + 4, + 6; `scales [panels, groups, 32]` bfloat16.
public struct QuantizedLinearPlan: Sendable {
    /// How the weight is written, and what becomes of the input.
    public enum Format: Sendable {
        /// int8 rows; each row of the input is quantised to 0 ... 255 as it comes. `sums [outputs]`, int32: the sums of the rows of q.
        case int8Dynamic(sums: RawTensor)
        /// int8 rows; the input stays.
        case int8
        /// 4 bits for groups of `size` along the inputs, a multiple of 8: W = scale (q - 8), or scale · q + offset with `offsets` like the
        /// scales.
        case int4(size: Int, offsets: RawTensor?)
    }
    /// Rows and columns of the weight.
    public var outputs, inputs: Int
    /// Quantised weights and their scales, dense.
    public var panels, scales: RawTensor
    /// See ``Format``.
    public var format: Format

    /// The parts as given; nothing is checked.
    public init(outputs: Int, inputs: Int, panels: RawTensor, scales: RawTensor, format: Format) {
        self.outputs = outputs
        self.inputs = inputs
        self.panels = panels
        self.scales = scales
        self.format = format
    }
}
