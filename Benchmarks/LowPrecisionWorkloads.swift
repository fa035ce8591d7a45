import Tapestry

/// The workloads of other files in fewer bits: products and training in bfloat16, inference in bfloat16, int8 and int4.
extension Workloads {
    static let lowPrecision: [Workload] =
        products(.bfloat16, "bf16") + gpts(autocast: true)
        + [Precision.bf16, .int8, .int4].flatMap(inference)

    /// What weights are kept in: float32 or bfloat16, with activations of the same type; 8 bits, with rows of activations quantised as they come;
    /// or 4 bits in groups of 32, with float32 activations.
    enum Precision: String {
        case f32, bf16, int8, int4

        /// Bytes per weight.
        var weightBytes: Double {
            switch self {
            case .f32: 4
            case .bf16: 2
            case .int8: 1
            case .int4: 0.5625
            }
        }

        /// Makes a float32 model one for inference in this precision.
        func prepare(_ model: Module) {
            model.eval()
            model.freeze()
            guard let format else {
                if self == .bf16 { model.convert(to: .bfloat16) }
                return
            }
            model.quantize(format, releasingWeights: true)
            if let gpt = model as? GPT {
                gpt.outputHead = QuantizedLinear(weight: gpt.tokenEmbedding.weight.value, format: format)
            }
        }

        private var format: QuantizationFormat? {
            switch self {
            case .f32, .bf16: nil
            case .int8: .int8Dynamic
            case .int4: .int4()
            }
        }
    }
}
