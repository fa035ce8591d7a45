import CoreTensor
import NN

/// The function between the two linear layers of a transformer layer.
public enum TransformerActivation: String, Sendable {
    case relu, gelu
    func callAsFunction(_ x: Tensor) -> Tensor { self == .relu ? CoreTensor.relu(x) : CoreTensor.gelu(x) }
}

/// The sizes and options that the layers of a ``Transformer`` share.
public struct TransformerOptions: Sendable {
    /// Features per position, and the heads that share them.
    public var model, heads: Int
    /// Features between the two linear layers.
    public var hidden = 2048
    /// The probability of every dropout.
    public var dropout = 0.1
    /// Between the two linear layers.
    public var activation = TransformerActivation.relu
    /// Added to the variance in the norms.
    public var eps = 1e-5
    /// Whether sequences are `[batch, length, model]` rather than `[length, batch, model]`.
    public var batchFirst = false
    /// Whether norms stand before each part rather than after the sum.
    public var normFirst = false
    /// Whether linear layers, attention and norms have biases.
    public var bias = true
    /// The type of the parameters.
    public var dtype = DType.float32
    /// PyTorch's defaults for everything but the sizes.
    public init(model: Int, heads: Int) {
        self.model = model
        self.heads = heads
    }
    /// All of them.
    public init(
        model: Int, heads: Int, hidden: Int = 2048, dropout: Double = 0.1, activation: TransformerActivation = .relu,
        eps: Double = 1e-5, batchFirst: Bool = false, normFirst: Bool = false, bias: Bool = true, dtype: DType = .float32
    ) {
        self.init(model: model, heads: heads)
        self.hidden = hidden
        self.dropout = dropout
        self.activation = activation
        self.eps = eps
        self.batchFirst = batchFirst
        self.normFirst = normFirst
        self.bias = bias
        self.dtype = dtype
    }

    func attention(_ generator: RandomGenerator) -> MultiheadAttention {
        MultiheadAttention(
            model, heads: heads, dropout: dropout, bias: bias, batchFirst: batchFirst, dtype: dtype, generator: generator)
    }
    func norm() -> LayerNorm { LayerNorm(model, eps: eps, bias: bias, dtype: dtype) }
}

/// Self-attention and a position-wise network, each with residual sum and norm (Vaswani et al., 2017), as PyTorch's layer of this
/// name. Parameters have its names: `self_attn.in_proj_weight`, `linear1.weight`, `norm1.weight` …
public final class TransformerEncoderLayer: Module, CustomReflectable {
    /// Sizes and options.
    public let options: TransformerOptions
    /// The part that mixes positions.
    public let selfAttention: MultiheadAttention
    /// `[model, hidden]` and back.
    public let linear1, linear2: Linear
    /// Of the attention and of the position-wise part.
    public let norm1, norm2: LayerNorm
    private let inner, outer1, outer2: Dropout

    /// Parameters start as the layers' own do.
    public init(_ options: TransformerOptions, generator: RandomGenerator = .default) {
        let o = options
        self.options = o
        selfAttention = o.attention(generator)
        linear1 = Linear(o.model, o.hidden, bias: o.bias, dtype: o.dtype, generator: generator)
        linear2 = Linear(o.hidden, o.model, bias: o.bias, dtype: o.dtype, generator: generator)
        norm1 = o.norm()
        norm2 = o.norm()
        inner = Dropout(o.dropout, generator: generator)
        outer1 = Dropout(o.dropout, generator: generator)
        outer2 = Dropout(o.dropout, generator: generator)
    }

    /// The parts under PyTorch's names.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "self_attn": selfAttention, "linear1": linear1, "dropout": inner, "linear2": linear2, "norm1": norm1,
                "norm2": norm2,
                "dropout1": outer1, "dropout2": outer2,
            ])
    }

    /// `x` to the same shape; masks as of ``MultiheadAttention``: true hides.
    public func callAsFunction(
        _ x: Tensor, mask: Tensor? = nil, keyPaddingMask: Tensor? = nil, isCausal: Bool = false
    ) -> Tensor {
        func attend(_ x: Tensor) -> Tensor {
            outer1(
                selfAttention(x, x, x, keyPaddingMask: keyPaddingMask, mask: mask, isCausal: isCausal, needsWeights: false).output
            )
        }
        func feed(_ x: Tensor) -> Tensor { outer2(linear2(inner(options.activation(linear1(x))))) }
        if options.normFirst {
            let y = x + attend(norm1(x))
            return y + feed(norm2(y))
        }
        let y = norm1(x + attend(x))
        return norm2(y + feed(y))
    }
}

/// Self-attention, attention to a memory and a position-wise network, each with residual sum and norm (Vaswani et al., 2017), as
/// PyTorch's layer of this name. Parameters have its names: `self_attn`, `multihead_attn`, `linear1`, `norm3.weight` …
public final class TransformerDecoderLayer: Module, CustomReflectable {
    /// Sizes and options.
    public let options: TransformerOptions
    /// To the sequence itself, and to the memory.
    public let selfAttention, memoryAttention: MultiheadAttention
    /// `[model, hidden]` and back.
    public let linear1, linear2: Linear
    /// Of the three parts.
    public let norm1, norm2, norm3: LayerNorm
    private let inner, outer1, outer2, outer3: Dropout

    /// Parameters start as the layers' own do.
    public init(_ options: TransformerOptions, generator: RandomGenerator = .default) {
        let o = options
        self.options = o
        selfAttention = o.attention(generator)
        memoryAttention = o.attention(generator)
        linear1 = Linear(o.model, o.hidden, bias: o.bias, dtype: o.dtype, generator: generator)
        linear2 = Linear(o.hidden, o.model, bias: o.bias, dtype: o.dtype, generator: generator)
        norm1 = o.norm()
        norm2 = o.norm()
        norm3 = o.norm()
        inner = Dropout(o.dropout, generator: generator)
        outer1 = Dropout(o.dropout, generator: generator)
        outer2 = Dropout(o.dropout, generator: generator)
        outer3 = Dropout(o.dropout, generator: generator)
    }

    /// The parts under PyTorch's names.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "self_attn": selfAttention, "multihead_attn": memoryAttention, "linear1": linear1, "dropout": inner,
                "linear2": linear2, "norm1": norm1, "norm2": norm2, "norm3": norm3, "dropout1": outer1, "dropout2": outer2,
                "dropout3": outer3,
            ])
    }

    /// `x` to the same shape, looking at `memory`; masks as of ``MultiheadAttention``: true hides.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, mask: Tensor? = nil, memoryMask: Tensor? = nil, keyPaddingMask: Tensor? = nil,
        memoryKeyPaddingMask: Tensor? = nil, isCausal: Bool = false, memoryIsCausal: Bool = false
    ) -> Tensor {
        func attend(_ x: Tensor) -> Tensor {
            outer1(
                selfAttention(x, x, x, keyPaddingMask: keyPaddingMask, mask: mask, isCausal: isCausal, needsWeights: false).output
            )
        }
        func look(_ x: Tensor) -> Tensor {
            outer2(
                memoryAttention(
                    x, memory, memory, keyPaddingMask: memoryKeyPaddingMask, mask: memoryMask, isCausal: memoryIsCausal,
                    needsWeights: false
                ).output)
        }
        func feed(_ x: Tensor) -> Tensor { outer3(linear2(inner(options.activation(linear1(x))))) }
        if options.normFirst {
            let y = x + attend(norm1(x))
            let z = y + look(norm2(y))
            return z + feed(norm3(z))
        }
        let y = norm1(x + attend(x))
        let z = norm2(y + look(y))
        return norm3(z + feed(z))
    }
}
