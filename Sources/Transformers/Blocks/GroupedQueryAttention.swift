import CoreTensor
import NN

/// The sizes and switches of a ``GroupedQueryAttention``.
public struct AttentionOptions: Sendable, Equatable {
    /// Features of the queries' positions, and of the output.
    public var model: Int
    /// Heads of the queries.
    public var heads: Int
    /// Heads of keys and values, each shared by `heads / kvHeads` of the queries': 1 is multi-query attention (Shazeer, 2019),
    /// a divisor of `heads` grouped-query attention (Ainslie et al., 2023).
    public var kvHeads: Int
    /// Features of a head.
    public var headDim: Int
    /// Features of the positions that are looked at, if they are other than the queries' own.
    public var memory: Int?
    /// Whether queries, keys and values have biases (Qwen2).
    public var hasInputBias = false
    /// Whether the output has a bias.
    public var hasOutputBias = false
    /// Adds root-mean-square norms of each head's queries and keys, with this epsilon (Qwen3).
    public var headNormEps: Double?
    /// Whether a position sees only itself and those before it.
    public var isCausal = true
    /// How many positions back it sees, itself counted (Mistral); nil: all.
    public var window: Int?
    /// Scores x become cap · tanh(x / cap) (Gemma 2).
    public var softCap: Double?
    /// Whether scores sink with the distance (ALiBi; Press et al., 2022).
    public var usesALiBi = false
    /// What scores are multiplied by; nil: 1 / √headDim.
    public var scale: Double?
    /// The probability of dropping an attention weight in training.
    public var dropout = 0.0

    /// Sizes alone; `kvHeads` are `heads`, and `headDim` is `model / heads`, unless told otherwise.
    public init(model: Int, heads: Int, kvHeads: Int? = nil, headDim: Int? = nil) {
        self.model = model
        self.heads = heads
        self.kvHeads = kvHeads ?? heads
        self.headDim = headDim ?? (heads > 0 ? model / heads : 0)
    }

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [("model", model), ("heads", heads), ("kvHeads", kvHeads), ("headDim", headDim)] where value < 1 {
            return "\(name) is \(value); must be at least 1"
        }
        if heads % kvHeads != 0 { return "\(kvHeads) heads of keys do not divide \(heads) of queries" }
        if let window, window < 1 { return "a window of \(window) positions; needs at least 1" }
        if let softCap, !(softCap > 0) { return "a soft cap of \(softCap); must be above 0" }
        if !(0..<1).contains(dropout) { return "a dropout of \(dropout); must be in 0 ..< 1" }
        return nil
    }
}

/// Attention with separate projections of queries, keys and values, in all its forms: self and cross attention, fewer heads of keys
/// than of queries, rotary positions, norms of the heads, windows, caps, ALiBi, masks, caches.
///
/// ```swift
/// let attention = GroupedQueryAttention(AttentionOptions(model: 512, heads: 8, kvHeads: 2))
/// let y = attention(x, rotation: rotary.rotation(of: 0..<x.shape[1]))                       // [batch, sequence, 512]
/// let z = attention(x, memory: encoded, mask: AttentionMask.padding(encodedMask))           // cross attention
/// ```
public final class GroupedQueryAttention: Module {
    /// Sizes and switches.
    public let options: AttentionOptions
    /// `[..., model]` to `[..., heads · headDim]`.
    public let query: Linear
    /// `[..., memory]` to `[..., kvHeads · headDim]`.
    public let key, value: Linear
    /// `[..., heads · headDim]` to `[..., model]`.
    public let output: Linear
    /// Over the features of each head, if queries and keys are normalised.
    public let queryNorm, keyNorm: RMSNorm?
    private let slopes: [Double]?
    private let generator: RandomGenerator

    /// Traps if the options do not go together.
    public init(
        _ options: AttentionOptions, weights: WeightInitializer = .normal(), outputDeviation: Double? = nil,
        generator: RandomGenerator = .default
    ) {
        if let problem = options.problem { fail("GroupedQueryAttention", problem) }
        let o = options
        self.options = o
        query = weights.linear(o.model, o.heads * o.headDim, bias: o.hasInputBias)
        key = weights.linear(o.memory ?? o.model, o.kvHeads * o.headDim, bias: o.hasInputBias)
        value = weights.linear(o.memory ?? o.model, o.kvHeads * o.headDim, bias: o.hasInputBias)
        output = weights.linear(o.heads * o.headDim, o.model, bias: o.hasOutputBias, deviation: outputDeviation)
        queryNorm = o.headNormEps.map { weights.rmsNorm(o.headDim, eps: $0) }
        keyNorm = o.headNormEps.map { weights.rmsNorm(o.headDim, eps: $0) }
        slopes = o.usesALiBi ? alibiSlopes(heads: o.heads) : nil
        self.generator = generator
    }

    /// Keys and values of some positions, `[batch, kvHeads, positions, headDim]` each.
    public struct KeysValues: Sendable {
        /// One per position.
        public var keys, values: Tensor
        /// Both as given.
        public init(keys: Tensor, values: Tensor) {
            self.keys = keys
            self.values = values
        }
    }

    /// Attention of the positions of `x [batch, length, model]` to themselves, or to `memory [batch, positions, features]`; the shape of
    /// `x`. `rotation` turns queries and keys; `mask` broadcasts to `[batch, heads, length, positions]`.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor? = nil, rotation: RotaryRotation? = nil, mask: Tensor? = nil
    ) -> Tensor {
        let queries = queries(of: x, rotation)
        return joined(attend(queries, keysValues(of: memory ?? x, rotation: memory == nil ? rotation : nil), mask))
    }

    /// As ``callAsFunction(_:memory:rotation:mask:)``, with the attention weights `[batch, heads, length, positions]`, rows that sum to 1,
    /// or to 0 where nothing is seen. Takes memory of the square of the length, and more time.
    public func withWeights(
        _ x: Tensor, memory: Tensor? = nil, rotation: RotaryRotation? = nil, mask: Tensor? = nil
    ) -> (output: Tensor, weights: Tensor) {
        let queries = queries(of: x, rotation)
        var parts = keysValues(of: memory ?? x, rotation: memory == nil ? rotation : nil)
        let values = parts.values, positions = values.shape[2]
        // What attention gives for the unit vectors as values is its weights, whatever masks and caps it has.
        parts.values = Tensor(eye: positions, dtype: values.dtype, device: values.device)
            .expanded(to: [values.shape[0], values.shape[1], positions, positions])
        let weights = attend(queries, parts, mask)
        let groups = options.heads / options.kvHeads
        let mixed = matmul(weights, groups == 1 ? values : values.repeatInterleaved(groups, axis: 1))
        return (joined(mixed), weights)
    }

    /// Attention of positions `x [batch, new, model]` that follow those in `cache`, which they join; the shape of `x`. `mask` broadcasts to
    /// `[batch, heads, new, positions]`; a cache with a window sees its last positions.
    public func callAsFunction(
        _ x: Tensor, rotation: RotaryRotation? = nil, mask: Tensor? = nil, cache: inout KVCache.Layer
    ) -> Tensor {
        let queries = queries(of: x, rotation)
        let new = keysValues(of: x, rotation: rotation)
        cache.append(new.keys, new.values)
        let keys = cache.keys!, held = keys.shape[2]
        var mask = mask
        if let m = mask, m.rank > 0, m.shape.last! > held {
            mask = m.narrowed(axis: m.rank - 1, start: m.shape.last! - held, length: held)
        }
        return joined(attend(queries, KeysValues(keys: keys, values: cache.values!), mask))
    }

    /// Attention of `x [batch, length, model]` to keys and values made before, as of an encoder's output.
    public func callAsFunction(_ x: Tensor, to memory: KeysValues, mask: Tensor? = nil) -> Tensor {
        joined(attend(queries(of: x, nil), memory, mask))
    }

    /// Keys and values of `x [batch, positions, features]`.
    public func keysValues(of x: Tensor, rotation: RotaryRotation? = nil) -> KeysValues {
        var keys = heads(key(x))
        if let keyNorm { keys = keyNorm(keys) }
        if let rotation { keys = rotation(keys) }
        return KeysValues(keys: keys, values: heads(value(x)))
    }

    private func queries(of x: Tensor, _ rotation: RotaryRotation?) -> Tensor {
        if x.rank != 3 { fail("GroupedQueryAttention", "needs [batch, length, model], not \(x.shape)") }
        var queries = heads(query(x))
        if let queryNorm { queries = queryNorm(queries) }
        return rotation.map { $0(queries) } ?? queries
    }

    /// `[batch, positions, n · headDim]` as `[batch, n, positions, headDim]`, a view.
    private func heads(_ x: Tensor) -> Tensor { x.splitHeads(x.shape[2] / options.headDim) }

    private func attend(_ queries: Tensor, _ seen: KeysValues, _ mask: Tensor?) -> Tensor {
        // A single query, the last, sees all that a causal mask would leave it.
        AttentionRecorder.observing(seen.values) {
            scaledDotProductAttention(
                queries, seen.keys, $0, mask: mask, causal: options.isCausal && queries.shape[2] > 1, window: options.window,
                softCap: options.softCap, alibiSlopes: slopes, scale: options.scale, dropout: isTraining ? options.dropout : 0,
                generator: generator)
        }
    }

    private func joined(_ mixed: Tensor) -> Tensor {
        let s = mixed.shape
        return output(mixed.permuted(0, 2, 1, 3).reshaped([s[0], s[2], s[1] * s[3]]))
    }
}
