import CoreTensor

/// How a linear layer's weight is written in few bits, and what becomes of the layer's input.
public enum QuantizationFormat: Sendable, Equatable {
    /// Weights in 8 bits, symmetric, a scale per output; each row of the input is quantised to 8 bits as it comes (min ... max, with a zero
    /// point), and the products are summed in integers. Fast for any number of rows. PyTorch's `quantize_dynamic`, per channel.
    case int8Dynamic
    /// The same weights, the input in floating point: an eighth of the weights' error less, and slower for several rows.
    case int8
    /// Weights in 4 bits for groups of `groupSize` along the inputs, each with a bfloat16 scale (4.5 bits a weight with groups of 32), the
    /// input in floating point. `hasOffsets`: the range of a group need not lie around 0; another bfloat16 per group. `groupSize` is a multiple
    /// of 8.
    case int4(groupSize: Int = 32, hasOffsets: Bool = false)
}

/// A weight `[outputs, inputs]` in few bits, laid out for the products.
public struct QuantizedWeight: Sendable {
    /// How it is written.
    public let format: QuantizationFormat
    /// Rows and columns of the weight.
    public let outputs, inputs: Int
    /// The layouts of ``QuantizedLinearPlan``: `int8`, or `uint8` with two weights a byte.
    public var panels: Tensor
    /// A scale per output, float32, or per panel, group and output, bfloat16.
    public var scales: Tensor
    /// int4 with offsets: as the scales.
    public var offsets: Tensor?
    /// int8Dynamic: the sums of each output's quantised weights, int32.
    public var sums: Tensor?

    private static let panel = 32

    /// The nearest numbers of the format: q = round(w / scale). Scales are max |w| / 127 per output, max |w| / 7 per group, or with offsets
    /// (max - min) / 15 beside an offset of min. Traps unless `weight` is a float matrix whose sizes fit the format.
    public init(_ weight: Tensor, _ format: QuantizationFormat) {
        if weight.rank != 2 || !weight.dtype.isFloatingPoint {
            fail("QuantizedWeight", "needs a float weight [outputs, inputs], not \(weight.dtype) \(weight.shape)")
        }
        self.format = format
        outputs = weight.shape[0]
        inputs = weight.shape[1]
        let w = weight.detached().to(.float32)
        switch format {
        case .int8Dynamic, .int8:
            if inputs > 65_000 { fail("QuantizedWeight", "\(inputs) inputs; sums of 8-bit products hold 65,000") }
            (panels, scales, sums) = Self.bytes(w)
            if format == .int8 { sums = nil }
        case .int4(let size, let hasOffsets):
            if size < 8 || size % 8 != 0 { fail("QuantizedWeight", "groups of \(size); needs a multiple of 8") }
            (panels, scales, offsets) = Self.nibbles(w, size, hasOffsets)
        }
    }

    // MARK: Bytes

    private static func bytes(_ w: Tensor) -> (Tensor, Tensor, Tensor) {
        let (n, k) = (w.shape[0], w.shape[1])
        let largest = k == 0 ? Tensor(zeros: [n, 1], device: w.device) : abs(w).max(1, keepDims: true)
        let scales = which(largest .> 0, largest / 127, 1)
        let q = round(w / scales).clamped(min: -127, max: 127)
        let blocks = (k + 3) / 4
        let panels = padded(q, columns: 4 * blocks).to(.int8).reshaped([-1, panel, blocks, 4]).permuted(0, 2, 1, 3).contiguous()
        return (panels, scales.reshaped([n]), q.sum(1).to(.int32))
    }

    // MARK: Nibbles

    private static func nibbles(_ w: Tensor, _ size: Int, _ hasOffsets: Bool) -> (Tensor, Tensor, Tensor?) {
        let (n, k) = (w.shape[0], w.shape[1])
        let groups = (k + size - 1) / size
        // [rows, groups, size]. What is missing of a last group repeats its last column, which leaves the range alone.
        let missing = groups * size - k
        let whole = missing == 0 ? w : concatenate([w, w[0..., (k - 1)..<k].expanded(to: [n, missing])], axis: 1)
        let grouped = padded(whole, columns: groups * size).reshaped([-1, groups, size])
        let q: Tensor, scales: Tensor
        var offsets: Tensor?
        if groups == 0 || grouped.count == 0 {
            q = grouped
            scales = Tensor(zeros: [grouped.shape[0], groups, 1], dtype: .bfloat16, device: w.device)
            offsets = hasOffsets ? scales : nil
        } else if hasOffsets {
            let low = grouped.min(2, keepDims: true), high = grouped.max(2, keepDims: true)
            scales = nonzero((high - low) / 15)
            let start = low.to(.bfloat16)
            q = round((grouped - start.to(.float32)) / scales.to(.float32)).clamped(min: 0, max: 15)
            offsets = start
        } else {
            scales = nonzero(abs(grouped).max(2, keepDims: true) / 7)
            q = round(grouped / scales.to(.float32)).clamped(min: -8, max: 7) + 8
        }
        // [panels, 32, blocks, slots, parities] to [panels, blocks, 32, parities, slots]; two slots to a byte, lower first
        let slots = q.to(.uint8).reshaped([-1, panel, groups * size / 8, 4, 2]).permuted(0, 2, 1, 4, 3).contiguous()
        let pairs = slots.reshaped(Array(slots.shape.dropLast()) + [2, 2])
        let packed = pairs[TensorIndex.ellipsis, 0] + pairs[TensorIndex.ellipsis, 1] * 16
        func perGroup(_ x: Tensor) -> Tensor { x.reshaped([-1, panel, groups]).permuted(0, 2, 1).contiguous() }
        return (packed.contiguous(), perGroup(scales), offsets.map(perGroup))
    }

    private static func nonzero(_ scale: Tensor) -> Tensor {
        let rounded = scale.to(.bfloat16)
        return which(rounded .> 0, rounded, Tensor(onesLike: rounded))
    }

    /// Zeros below and to the right, to whole panels of rows and `columns` columns.
    private static func padded(_ q: Tensor, columns: Int) -> Tensor {
        let rows = (q.shape[0] + panel - 1) / panel * panel
        let wide =
            q.shape[1] == columns
            ? q : concatenate([q, Tensor(zeros: [q.shape[0], columns - q.shape[1]], device: q.device)], axis: 1)
        return rows == q.shape[0]
            ? wide : concatenate([wide, Tensor(zeros: [rows - q.shape[0], columns], device: q.device)], axis: 0)
    }

    // MARK: Use

    /// The weight that the products see, float32 `[outputs, inputs]`.
    public var dequantized: Tensor {
        let panel = Self.panel
        switch format {
        case .int8Dynamic, .int8:
            let blocks = (inputs + 3) / 4
            let q = panels.permuted(0, 2, 1, 3).reshaped([-1, 4 * blocks])[..<outputs, ..<inputs]
            return q.to(.float32) * scales.unsqueezed(1)
        case .int4(let size, _):
            let groups = (inputs + size - 1) / size
            let wide = panels.to(.int32)
            let high = floorDivide(wide, Tensor(16, dtype: .int32, device: wide.device))
            let slots = stack([wide - high * 16, high], axis: -1).reshaped([-1, groups * size / 8, panel, 2, 4])
            let q = slots.permuted(0, 2, 1, 4, 3).reshaped([-1, groups, size]).to(.float32)
            func perRow(_ x: Tensor) -> Tensor { x.permuted(0, 2, 1).reshaped([-1, groups, 1]).to(.float32) }
            let w = offsets.map { q * perRow(scales) + perRow($0) } ?? (q - 8) * perRow(scales)
            return w.reshaped([-1, groups * size])[..<outputs, ..<inputs].contiguous()
        }
    }

    /// Bytes of weights and scales.
    public var byteCount: Int {
        [panels, scales, offsets, sums].compactMap { $0 }.reduce(0) { $0 + $1.count * $1.dtype.byteCount }
    }

    /// As a backend takes it.
    var plan: QuantizedLinearPlan {
        let format: QuantizedLinearPlan.Format =
            switch self.format {
            case .int8Dynamic: .int8Dynamic(sums: sums!.raw)
            case .int8: .int8
            case .int4(let size, _): .int4(size: size, offsets: offsets?.raw)
            }
        return QuantizedLinearPlan(outputs: outputs, inputs: inputs, panels: panels.raw, scales: scales.raw, format: format)
    }

    /// `x · Wᵀ + bias`: `[..., inputs]` gives `[..., outputs]` in the type of `x`, float32, bfloat16 or float16. For inference: traps if `x` or
    /// `bias` requires a gradient.
    public func linear(_ x: Tensor, bias: Tensor? = nil) -> Tensor {
        if x.rank == 0 || x.shape.last! != inputs {
            fail("quantized linear", "an input of shape \(x.shape) does not fit a weight of shape \([outputs, inputs])")
        }
        if ![.float32, .bfloat16, .float16].contains(x.dtype) {
            fail("quantized linear", "an input of \(x.dtype); needs float32, bfloat16 or float16")
        }
        if let bias, bias.shape != [outputs] {
            fail("quantized linear", "a bias of shape \(bias.shape); needs [\(outputs)]")
        }
        if isRecording([x] + (bias.map { [$0] } ?? [])) {
            fail("quantized linear", "has no derivative; use withoutGrad { } or detached() on its input")
        }
        let dense = x.contiguous().raw
        let out = RawTensor(Layout(shape: Array(x.shape.dropLast()) + [outputs]), x.dtype, x.device)
        out.backend.quantizedLinear(dense, plan, bias: bias?.to(x.dtype).contiguous().raw, out)
        return Tensor(raw: out)
    }
}
