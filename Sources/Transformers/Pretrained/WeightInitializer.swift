import CoreTensor
import NN

/// How the parameters of a model begin: drawn at random, or as placeholders that take no memory, to be replaced by a file's.
///
/// ```swift
/// let llama = DecoderModel(configuration, weights: .placeholder())     // 7 billion parameters, a few kilobytes
/// print(llama.parameterCount())
/// ```
public struct WeightInitializer: Sendable {
    /// The type of the parameters.
    public let dtype: DType
    private let deviation: Double
    private let generator: RandomGenerator?

    /// Matrices normal with the given standard deviation, biases 0, norms 1 (0.02 is GPT-2's and BERT's).
    public static func normal(
        deviation: Double = 0.02, dtype: DType = .float32, generator: RandomGenerator = .default
    ) -> WeightInitializer { WeightInitializer(dtype: dtype, deviation: deviation, generator: generator) }

    /// Every parameter is a single zero seen at all its places: for counting, and until weights are loaded.
    public static func placeholder(dtype: DType = .float32) -> WeightInitializer {
        WeightInitializer(dtype: dtype, deviation: 0, generator: nil)
    }

    /// Whether parameters take no memory.
    public var isPlaceholder: Bool { generator == nil }

    /// A parameter of this shape, normal with the given standard deviation.
    func matrix(_ shape: Shape, deviation: Double? = nil) -> Parameter {
        guard let generator else { return constant(0, shape) }
        return Parameter(
            Tensor(normal: shape, standardDeviation: deviation ?? self.deviation, dtype: dtype, generator: generator))
    }

    /// A parameter that has one value everywhere.
    func constant(_ value: Double, _ shape: Shape) -> Parameter {
        if isPlaceholder { return Parameter(Tensor(zeros: [], dtype: dtype).expanded(to: shape)) }
        return Parameter(Tensor(repeating: value, shape: shape, dtype: dtype))
    }

    func linear(_ inputs: Int, _ outputs: Int, bias: Bool, deviation: Double? = nil) -> Linear {
        Linear(weight: matrix([outputs, inputs], deviation: deviation), bias: bias ? constant(0, [outputs]) : nil)
    }

    func embedding(_ vocabulary: Int, _ width: Int, deviation: Double? = nil, paddingIndex: Int? = nil) -> Embedding {
        Embedding(weight: matrix([vocabulary, width], deviation: deviation), paddingIndex: paddingIndex)
    }

    func layerNorm(_ width: Int, eps: Double, bias: Bool = true) -> LayerNorm {
        LayerNorm(weight: constant(1, [width]), bias: bias ? constant(0, [width]) : nil, eps: eps)
    }

    func rmsNorm(_ width: Int, eps: Double) -> RMSNorm { RMSNorm(weight: constant(1, [width]), eps: eps) }
}
