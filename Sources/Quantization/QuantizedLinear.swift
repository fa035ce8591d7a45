import CoreTensor
import NN

/// A ``Linear`` layer with its weight in few bits: `[..., inputs]` gives `[..., outputs]`. For inference; it has no gradient.
public final class QuantizedLinear: Module, Layer {
    /// How the weight is written.
    public let format: QuantizationFormat
    /// Sizes of the layer.
    public let inputs, outputs: Int
    /// The parts of the ``QuantizedWeight``.
    public let panels, scales: Buffer
    /// See ``QuantizedWeight/offsets`` and ``QuantizedWeight/sums``.
    public let offsets, sums: Buffer?
    /// `[outputs]`, as it was.
    public let bias: Buffer?

    /// The quantised form of a weight `[outputs, inputs]` and a bias `[outputs]`.
    public init(weight: Tensor, bias: Tensor? = nil, format: QuantizationFormat = .int8Dynamic) {
        let quantized = QuantizedWeight(weight, format)
        self.format = format
        (inputs, outputs) = (quantized.inputs, quantized.outputs)
        panels = Buffer(quantized.panels)
        scales = Buffer(quantized.scales)
        offsets = quantized.offsets.map(Buffer.init)
        sums = quantized.sums.map(Buffer.init)
        self.bias = bias.map(Buffer.init)
        shell = quantized
    }

    /// The quantised form of a layer.
    public convenience init(_ layer: Linear, format: QuantizationFormat = .int8Dynamic) {
        self.init(weight: layer.weight.value, bias: layer.bias?.value, format: format)
    }

    private let shell: QuantizedWeight

    /// True: scales have the type of the format.
    public override var keepsBufferTypes: Bool { true }

    /// The weight, with what the buffers hold now.
    public var weight: QuantizedWeight {
        var weight = shell
        weight.panels = panels.value
        weight.scales = scales.value
        weight.offsets = offsets?.value
        weight.sums = sums?.value
        return weight
    }

    /// `x · Wᵀ + bias` in the type of `x`. Traps if `x` requires a gradient.
    public func callAsFunction(_ x: Tensor) -> Tensor { weight.linear(x, bias: bias?.value) }

    /// For float32, bfloat16 and float16: the weight as it is.
    public func linearPlan(for dtype: DType) -> LinearPlan? {
        if ![.float32, .bfloat16, .float16].contains(dtype) { return nil }
        return LinearPlan(weight: .quantized(weight.plan), bias: bias.map { $0.value.to(dtype).contiguous().raw })
    }
}

extension Module {
    /// Puts a ``QuantizedLinear`` in the place of every ``Linear`` layer inside, for inference, as PyTorch's `quantize_dynamic`; a layer used
    /// twice gets one. The float weights stay, unless `releasingWeights`: then they take no memory and read as zeros, so none of them may
    /// be in use elsewhere (tied embeddings).
    /// - Parameter picks: which layers, by name.
    /// - Returns: the number of layers replaced.
    @discardableResult
    public func quantize(
        _ format: QuantizationFormat = .int8Dynamic, releasingWeights: Bool = false, where picks: (String) -> Bool = { _ in true }
    ) -> Int {
        var count = 0
        for (name, module) in namedModules where picks(name) {
            guard let layer = module as? Linear, layer.replacement == nil else { continue }
            layer.replacement = QuantizedLinear(layer, format: format)
            count += 1
            if releasingWeights {
                layer.weight.requiresGrad = false
                layer.weight.value = Tensor(zeros: [], dtype: layer.weight.dtype).expanded(to: layer.weight.shape)
            }
        }
        return count
    }
}
