import CoreTensor
import NN

/// The weights of ``multiheadAttention(_:_:_:_:heads:addZeroAttention:dropout:keyPaddingMask:mask:isCausal:needsWeights:averagesWeights:generator:)``.
public struct MultiheadAttentionWeights: Sendable {
    /// Queries, keys and values, `[model, ...]` each.
    public var query, key, value: Tensor
    /// `[3 · model]`: of the queries, the keys and the values.
    public var inputBias: Tensor?
    /// One more key and value for every sequence, `[model]` after reshaping.
    public var keyBias, valueBias: Tensor?
    /// `[model, model]`, over the heads side by side.
    public var output: Tensor
    /// `[model]`.
    public var outputBias: Tensor?

    /// Projections apart, `[model, inputs of each]`.
    public init(
        query: Tensor, key: Tensor, value: Tensor, inputBias: Tensor? = nil, keyBias: Tensor? = nil, valueBias: Tensor? = nil,
        output: Tensor, outputBias: Tensor? = nil
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.inputBias = inputBias
        self.keyBias = keyBias
        self.valueBias = valueBias
        self.output = output
        self.outputBias = outputBias
    }

    /// Projections in one matrix `[3 · model, model]`.
    public init(
        packed: Tensor, inputBias: Tensor? = nil, keyBias: Tensor? = nil, valueBias: Tensor? = nil, output: Tensor,
        outputBias: Tensor? = nil
    ) {
        let parts = packed.chunked(3)
        self.init(
            query: parts[0], key: parts[1], value: parts[2], inputBias: inputBias, keyBias: keyBias, valueBias: valueBias,
            output: output, outputBias: outputBias)
    }
}

/// Attention with several heads and all of PyTorch's options (`multi_head_attention_forward`; Vaswani et al., 2017).
///
/// - `query [batch, length, ...]`, `key` and `value` `[batch, keys, ...]`, all perhaps without the batch.
/// - `keyPaddingMask [batch, keys]` and `mask [length, keys]` or `[batch · heads, length, keys]`: as in PyTorch, TRUE HIDES, and
///   floats are added. (``scaledDotProductAttention(_:_:_:mask:causal:alignment:window:softCap:alibiSlopes:scale:dropout:generator:)`` has it the other way
///   round.) A query that sees nothing gives 0 before the output projection.
/// - `isCausal`: query `i` sees keys up to `i`.
/// - `addZeroAttention`: one more key and value of zeros, which all see, as they do ``MultiheadAttentionWeights/keyBias``.
/// - `dropout`: of the attention weights.
///
/// Gives `[batch, length, model]` and, if wanted, the weights `[batch, length, keys]`, the mean over the heads, or
/// `[batch, heads, length, keys]`. Without weights, masks and dropout, memory is linear in the lengths.
public func multiheadAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ weights: MultiheadAttentionWeights, heads: Int,
    addZeroAttention: Bool = false,
    dropout: Double = 0, keyPaddingMask: Tensor? = nil, mask: Tensor? = nil, isCausal: Bool = false, needsWeights: Bool = true,
    averagesWeights: Bool = true, generator: RandomGenerator = .default
) -> (output: Tensor, weights: Tensor?) {
    let name = "multiheadAttention", model = weights.query.shape[0]
    if query.rank == 2 && key.rank == 2 && value.rank == 2 {
        let (output, p) = multiheadAttention(
            query.unsqueezed(0), key.unsqueezed(0), value.unsqueezed(0), weights, heads: heads,
            addZeroAttention: addZeroAttention,
            dropout: dropout, keyPaddingMask: keyPaddingMask?.unsqueezed(0), mask: mask, isCausal: isCausal,
            needsWeights: needsWeights, averagesWeights: averagesWeights, generator: generator)
        return (output.squeezed(0), p?.squeezed(0))
    }
    if query.rank != 3 || key.rank != 3 || value.rank != 3 || key.shape[0] != query.shape[0]
        || Array(key.shape[..<2]) != Array(value.shape[..<2])
    {
        fail(name, "query \(query.shape), key \(key.shape) and value \(value.shape) do not fit: [batch, length, features]")
    }
    if heads < 1 || model % heads != 0 { fail(name, "\(heads) heads do not divide a width of \(model)") }
    let batch = query.shape[0], length = query.shape[1]
    let biases = weights.inputBias?.chunked(3)
    let q = linear(query, weights.query, biases?[0])
    var k = linear(key, weights.key, biases?[1]), v = linear(value, weights.value, biases?[2])
    if let extra = weights.keyBias {
        k = concatenate([k, extra.reshaped([1, 1, model]).expanded(to: [batch, 1, model])], axis: 1)
    }
    if let extra = weights.valueBias {
        v = concatenate([v, extra.reshaped([1, 1, model]).expanded(to: [batch, 1, model])], axis: 1)
    }
    if addZeroAttention {
        let zeros = Tensor(zeros: [batch, 1, model], dtype: k.dtype, device: k.device)
        k = concatenate([k, zeros], axis: 1)
        v = concatenate([v, zeros], axis: 1)
    }
    let seen = visibility(
        keyPaddingMask, mask, batch: batch, heads: heads, length: length, keys: key.shape[1], extra: k.shape[1] - key.shape[1],
        isCausal: isCausal && (mask != nil || keyPaddingMask != nil || k.shape[1] != key.shape[1]), q.dtype)
    let parts = [q, k, v].map { $0.splitHeads(heads) }
    let causal = isCausal && seen == nil
    func joined(_ x: Tensor) -> Tensor {
        linear(x.permuted(0, 2, 1, 3).reshaped([batch, length, model]), weights.output, weights.outputBias)
    }
    if !needsWeights {
        let mixed = scaledDotProductAttention(
            parts[0], parts[1], parts[2], mask: seen, causal: causal, alignment: .firstKey, dropout: dropout, generator: generator
        )
        return (joined(mixed), nil)
    }
    let triangle = causal ? causalVisibility(length, k.shape[1], q.device) : seen
    var p = attentionWeights(parts[0], parts[1], mask: triangle)
    p = CoreTensor.dropout(p, probability: dropout, generator: generator)
    return (joined(matmul(p, parts[2])), averagesWeights ? p.mean(1) : p)
}

private func causalVisibility(_ length: Int, _ keys: Int, _ device: Device) -> Tensor {
    Tensor(ones: [length, keys], dtype: .bool, device: device).tril()
}

/// PyTorch's two masks as one, of which true, or an added number, says what is seen; `extra` more keys are seen by all.
private func visibility(
    _ padding: Tensor?, _ mask: Tensor?, batch: Int, heads: Int, length: Int, keys: Int, extra: Int, isCausal: Bool,
    _ dtype: DType
) -> Tensor? {
    var masks: [Tensor] = []
    if let padding {
        if padding.shape != [batch, keys] {
            fail("multiheadAttention", "a key padding mask of shape \(padding.shape); needs [\(batch), \(keys)]")
        }
        masks.append(padding.reshaped([batch, 1, 1, keys]))
    }
    if let mask {
        if mask.shape == [length, keys] {
            masks.append(mask.reshaped([1, 1, length, keys]))
        } else if mask.shape == [batch * heads, length, keys] {
            masks.append(mask.reshaped([batch, heads, length, keys]))
        } else {
            fail(
                "multiheadAttention",
                "a mask of shape \(mask.shape); needs [\(length), \(keys)] or [\(batch * heads), \(length), \(keys)]")
        }
    }
    for mask in masks where mask.dtype != .bool && !mask.dtype.isFloatingPoint {
        fail("multiheadAttention", "a mask of type \(mask.dtype); needs bool or floats")
    }
    if isCausal { masks.append(.!causalVisibility(length, keys, (mask ?? padding!).device).reshaped([1, 1, length, keys])) }
    guard var result = masks.first.map({ $0.dtype == .bool ? .!$0 : $0.to(dtype) }) else { return nil }
    for mask in masks.dropFirst() {
        switch (result.dtype, mask.dtype) {
        case (.bool, .bool): result = result .& .!mask
        case (.bool, _): result = which(result, mask.to(dtype), -Double.infinity)
        case (_, .bool): result = which(mask, -Double.infinity, result)
        default: result = result + mask.to(dtype)
        }
    }
    if extra == 0 { return result }
    let shape = Array(result.shape.dropLast()) + [extra]
    let open =
        result.dtype == .bool
        ? Tensor(ones: shape, dtype: .bool, device: result.device) : Tensor(zeros: shape, dtype: dtype, device: result.device)
    return concatenate([result, open], axis: -1)
}

/// Attention between sequences, as PyTorch's layer of this name, with its parameters' names and layouts: `in_proj_weight`
/// `[3 · model, model]` (or, where keys or values have other widths, `q_proj_weight`, `k_proj_weight`, `v_proj_weight`),
/// `in_proj_bias`, `bias_k`, `bias_v`, `out_proj.weight`, `out_proj.bias`. ``MultiHeadAttention`` is the lean one of GPT.
public final class MultiheadAttention: Module, CustomReflectable {
    /// Features of the queries and of the output, and the number of heads that share them.
    public let model, heads: Int
    /// `[3 · model, model]`, if keys and values are as wide as queries.
    public let inputWeight: Parameter?
    /// `[model, model]`, `[model, keyWidth]`, `[model, valueWidth]`, if not.
    public let queryWeight, keyWeight, valueWeight: Parameter?
    /// `[3 · model]`.
    public let inputBias: Parameter?
    /// One more key and value, `[1, 1, model]`.
    public let keyBias, valueBias: Parameter?
    /// Over the heads side by side.
    public let output: Linear
    /// Whether one more key and value are zeros.
    public let addsZeroAttention: Bool
    /// Of the attention weights, in training.
    public let dropout: Double
    /// Whether sequences are `[batch, length, features]` rather than `[length, batch, features]`.
    public let batchFirst: Bool
    private let generator: RandomGenerator

    /// Input projections start uniform (Glorot and Bengio, 2010), biases 0, `bias_k` and `bias_v` normal. Traps unless the heads divide
    /// the width.
    public init(
        _ model: Int, heads: Int, dropout: Double = 0, bias: Bool = true, addsKeyValueBias: Bool = false,
        addsZeroAttention: Bool = false, keyWidth: Int? = nil, valueWidth: Int? = nil, batchFirst: Bool = false,
        dtype: DType = .float32, generator: RandomGenerator = .default
    ) {
        if heads < 1 || model < 1 || model % heads != 0 {
            fail("MultiheadAttention", "\(heads) heads do not divide a width of \(model)")
        }
        if !(0...1).contains(dropout) { fail("MultiheadAttention", "a dropout of \(dropout); must be in 0 ... 1") }
        self.model = model
        self.heads = heads
        func matrix(_ rows: Int, _ columns: Int) -> Parameter {
            Parameter(Initializers.xavierUniform([rows, columns], dtype: dtype, generator: generator))
        }
        func vector() -> Parameter {
            Parameter(
                Tensor(
                    normal: [1, 1, model], standardDeviation: (1 / Double(model)).squareRoot(), dtype: dtype, generator: generator
                ))
        }
        let isPacked = (keyWidth ?? model) == model && (valueWidth ?? model) == model
        inputWeight = isPacked ? matrix(3 * model, model) : nil
        queryWeight = isPacked ? nil : matrix(model, model)
        keyWeight = isPacked ? nil : matrix(model, keyWidth ?? model)
        valueWeight = isPacked ? nil : matrix(model, valueWidth ?? model)
        inputBias = bias ? Parameter(Tensor(zeros: [3 * model], dtype: dtype)) : nil
        keyBias = addsKeyValueBias ? vector() : nil
        valueBias = addsKeyValueBias ? vector() : nil
        output = Linear(model, model, bias: bias, dtype: dtype, generator: generator)
        if let bias = output.bias { bias.value = Tensor(zeros: [model], dtype: dtype) }
        self.addsZeroAttention = addsZeroAttention
        self.dropout = dropout
        self.batchFirst = batchFirst
        self.generator = generator
    }

    /// The parameters under PyTorch's names.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "in_proj_weight": inputWeight as Any, "q_proj_weight": queryWeight as Any, "k_proj_weight": keyWeight as Any,
                "v_proj_weight": valueWeight as Any, "in_proj_bias": inputBias as Any, "bias_k": keyBias as Any,
                "bias_v": valueBias as Any, "out_proj": output,
            ])
    }

    /// The parameters, for the function.
    public var weights: MultiheadAttentionWeights {
        if let packed = inputWeight {
            return MultiheadAttentionWeights(
                packed: packed.value, inputBias: inputBias?.value, keyBias: keyBias?.value, valueBias: valueBias?.value,
                output: output.weight.value, outputBias: output.bias?.value)
        }
        return MultiheadAttentionWeights(
            query: queryWeight!.value, key: keyWeight!.value, value: valueWeight!.value, inputBias: inputBias?.value,
            keyBias: keyBias?.value, valueBias: valueBias?.value, output: output.weight.value, outputBias: output.bias?.value)
    }

    /// Output and, if wanted, attention weights. `query [length, batch, model]` and so on, with the batch first if `batchFirst`, or
    /// without it; masks as of
    /// ``multiheadAttention(_:_:_:_:heads:addZeroAttention:dropout:keyPaddingMask:mask:isCausal:needsWeights:averagesWeights:generator:)``:
    /// true hides.
    public func callAsFunction(
        _ query: Tensor, _ key: Tensor, _ value: Tensor, keyPaddingMask: Tensor? = nil, mask: Tensor? = nil,
        isCausal: Bool = false,
        needsWeights: Bool = true, averagesWeights: Bool = true
    ) -> (output: Tensor, weights: Tensor?) {
        let swaps = !batchFirst && query.rank == 3
        func ordered(_ x: Tensor) -> Tensor { swaps && x.rank == 3 ? x.permuted(1, 0, 2) : x }
        let (out, p) = multiheadAttention(
            ordered(query), ordered(key), ordered(value), weights, heads: heads, addZeroAttention: addsZeroAttention,
            dropout: isTraining ? dropout : 0, keyPaddingMask: keyPaddingMask, mask: mask, isCausal: isCausal,
            needsWeights: needsWeights, averagesWeights: averagesWeights, generator: generator)
        return (ordered(out), p)
    }
}
