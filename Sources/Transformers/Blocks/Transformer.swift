import CoreTensor
import NN

/// Encoder layers one after another, and perhaps a norm at the end.
public final class TransformerEncoder: Module {
    /// First to last.
    public let layers: [TransformerEncoderLayer]
    /// Applied to the last layer's output.
    public let norm: LayerNorm?

    /// Layers made apart, perhaps shared.
    public init(_ layers: [TransformerEncoderLayer], norm: LayerNorm? = nil) {
        self.layers = layers
        self.norm = norm
    }

    /// `count` layers of the same options, each with parameters of its own; `norm` puts one at the end.
    public init(_ options: TransformerOptions, count: Int, norm: Bool = false, generator: RandomGenerator = .default) {
        layers = (0..<count).map { _ in TransformerEncoderLayer(options, generator: generator) }
        self.norm = norm ? options.norm() : nil
    }

    /// `x` to the same shape; masks as of ``TransformerEncoderLayer``, the same in every layer.
    public func callAsFunction(
        _ x: Tensor, mask: Tensor? = nil, keyPaddingMask: Tensor? = nil, isCausal: Bool = false
    ) -> Tensor {
        let y = layers.reduce(x) { $1($0, mask: mask, keyPaddingMask: keyPaddingMask, isCausal: isCausal) }
        return norm.map { $0(y) } ?? y
    }
}

/// Decoder layers one after another, and perhaps a norm at the end.
public final class TransformerDecoder: Module {
    /// First to last.
    public let layers: [TransformerDecoderLayer]
    /// Applied to the last layer's output.
    public let norm: LayerNorm?

    /// Layers made apart, perhaps shared.
    public init(_ layers: [TransformerDecoderLayer], norm: LayerNorm? = nil) {
        self.layers = layers
        self.norm = norm
    }

    /// `count` layers of the same options, each with parameters of its own; `norm` puts one at the end.
    public init(_ options: TransformerOptions, count: Int, norm: Bool = false, generator: RandomGenerator = .default) {
        layers = (0..<count).map { _ in TransformerDecoderLayer(options, generator: generator) }
        self.norm = norm ? options.norm() : nil
    }

    /// `x` to the same shape, looking at `memory`; masks as of ``TransformerDecoderLayer``, the same in every layer.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, mask: Tensor? = nil, memoryMask: Tensor? = nil, keyPaddingMask: Tensor? = nil,
        memoryKeyPaddingMask: Tensor? = nil, isCausal: Bool = false, memoryIsCausal: Bool = false
    ) -> Tensor {
        let y = layers.reduce(x) {
            $1(
                $0, memory: memory, mask: mask, memoryMask: memoryMask, keyPaddingMask: keyPaddingMask,
                memoryKeyPaddingMask: memoryKeyPaddingMask, isCausal: isCausal, memoryIsCausal: memoryIsCausal)
        }
        return norm.map { $0(y) } ?? y
    }
}

/// The encoder-decoder of "Attention is all you need" (Vaswani et al., 2017), as PyTorch's module of this name.
///
/// ```swift
/// let model = Transformer(TransformerOptions(model: 512, heads: 8, batchFirst: true))
/// let y = model(source, target, targetMask: Transformer.causalMask(target.shape[1]))
/// ```
public final class Transformer: Module {
    /// Reads the source.
    public let encoder: TransformerEncoder
    /// Writes the target, looking at what the encoder made of the source.
    public let decoder: TransformerDecoder

    /// Matrices start uniform (Glorot and Bengio, 2010). Both stacks end in a norm.
    public init(
        _ options: TransformerOptions, encoderLayers: Int = 6, decoderLayers: Int = 6, generator: RandomGenerator = .default
    ) {
        encoder = TransformerEncoder(options, count: encoderLayers, norm: true, generator: generator)
        decoder = TransformerDecoder(options, count: decoderLayers, norm: true, generator: generator)
        super.init()
        for parameter in parameters where parameter.shape.count > 1 {
            parameter.value = Initializers.xavierUniform(parameter.shape, dtype: parameter.dtype, generator: generator)
        }
    }

    /// `source` and `target` `[length, batch, model]`, with the batch first if the options say so, or without one; gives the shape of
    /// `target`. Masks as of the layers: true hides.
    public func callAsFunction(
        _ source: Tensor, _ target: Tensor, sourceMask: Tensor? = nil, targetMask: Tensor? = nil, memoryMask: Tensor? = nil,
        sourceKeyPaddingMask: Tensor? = nil, targetKeyPaddingMask: Tensor? = nil, memoryKeyPaddingMask: Tensor? = nil,
        sourceIsCausal: Bool = false, targetIsCausal: Bool = false, memoryIsCausal: Bool = false
    ) -> Tensor {
        let memory = encoder(source, mask: sourceMask, keyPaddingMask: sourceKeyPaddingMask, isCausal: sourceIsCausal)
        return decoder(
            target, memory: memory, mask: targetMask, memoryMask: memoryMask, keyPaddingMask: targetKeyPaddingMask,
            memoryKeyPaddingMask: memoryKeyPaddingMask, isCausal: targetIsCausal, memoryIsCausal: memoryIsCausal)
    }

    /// `[length, length]` of 0 where a position is at or before the query's, else -∞: a mask to add.
    public static func causalMask(_ length: Int, dtype: DType = .float32, device: Device = .cpu) -> Tensor {
        let seen = Tensor(ones: [length, length], dtype: .bool, device: device).tril()
        return which(seen, Tensor(zeros: [], dtype: dtype, device: device), -Double.infinity)
    }
}
