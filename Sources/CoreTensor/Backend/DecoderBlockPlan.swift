/// A linear layer as part of a larger step of a backend: a weight `[outputs, inputs]` and a bias `[outputs]` of the activations' type.
public struct LinearPlan: Sendable {
    /// How the weight is written.
    public enum Weight: Sendable {
        /// `[outputs, inputs]` of the activations' type.
        case dense(RawTensor)
        /// In few bits.
        case quantized(QuantizedLinearPlan)
    }
    /// The weight.
    public var weight: Weight
    /// The bias, or nil.
    public var bias: RawTensor?

    /// The parts as given; nothing is checked.
    public init(weight: Weight, bias: RawTensor?) {
        self.weight = weight
        self.bias = bias
    }
}

/// A pre-norm transformer block with its cache, for ``Backend/decoderBlock(_:_:_:)``. All parts are dense and of one float type, but for
/// quantised weights.
public struct DecoderBlockPlan: Sendable {
    /// A layer norm over the last axis; weight and bias `[width]`.
    public struct Norm: Sendable {
        /// Scale and shift; either may be missing.
        public var weight, bias: RawTensor?
        /// What is added to the variance.
        public var eps: Double

        /// The parts as given.
        public init(weight: RawTensor?, bias: RawTensor?, eps: Double) {
            self.weight = weight
            self.bias = bias
            self.eps = eps
        }
    }
    /// Attention heads.
    public var heads: Int
    /// Before the attention, and before the feed-forward part.
    public var attentionNorm, feedForwardNorm: Norm
    /// `[width]` to queries, keys and values side by side, and from the heads side by side to `[width]`.
    public var qkv, output: LinearPlan
    /// `[width]` to the hidden features and back.
    public var expand, project: LinearPlan
    /// What is done to each hidden feature.
    public var activation: UnaryKernel
    /// `[batch, heads, capacity, width / heads]`, of which `length` positions are there; one more is written.
    public var keys, values: RawTensor
    /// Positions so far.
    public var length: Int

    /// The parts as given; nothing is checked.
    public init(
        heads: Int, attentionNorm: Norm, feedForwardNorm: Norm, qkv: LinearPlan, output: LinearPlan, expand: LinearPlan,
        project: LinearPlan, activation: UnaryKernel, keys: RawTensor, values: RawTensor, length: Int
    ) {
        self.heads = heads
        self.attentionNorm = attentionNorm
        self.feedForwardNorm = feedForwardNorm
        self.qkv = qkv
        self.output = output
        self.expand = expand
        self.project = project
        self.activation = activation
        self.keys = keys
        self.values = values
        self.length = length
    }
}
