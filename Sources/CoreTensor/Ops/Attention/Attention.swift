import CKernels

/// Which key the last query of causal attention sees last, where queries and keys differ in number.
public enum CausalAlignment: Sendable {
    /// Query `i` sees keys up to `i + keys - length`: the queries are the last positions, as with a cache.
    case lastKey
    /// Query `i` sees keys up to `i`, as in PyTorch.
    case firstKey
}

/// The slopes of ALiBi (Press et al., 2022): a geometric series from 2^(-8 / heads), as the paper's for any number of heads.
public func alibiSlopes(heads: Int) -> [Double] {
    if heads < 1 { fail("alibiSlopes", "\(heads) heads; needs at least 1") }
    // 2^(-8 i / n) for a power of two n.
    func series(_ n: Int) -> [Double] {
        var ratio = 1.0 / 256, left = n, slopes: [Double] = []
        while left > 1 {
            ratio = ratio.squareRoot()
            left /= 2
        }
        for _ in 0..<n { slopes.append((slopes.last ?? 1) * ratio) }
        return slopes
    }
    var whole = 1
    while whole * 2 <= heads { whole *= 2 }
    // Between powers of two, every second slope of the next series.
    let more = series(2 * whole).enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    return series(whole) + more.prefix(heads - whole)
}

/// Inside `vmap`: the hidden axes join the batch axis.
private func batchedAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ mask: Tensor?, _ attend: (Tensor, Tensor, Tensor, Tensor?) -> Tensor
) -> Tensor {
    let scores = [query.shape[0], query.shape[1], query.shape[2], key.shape[2]]
    return liftedTogether([query, key, value] + (mask.map { [$0.expanded(to: scores)] } ?? [])) { plain, hidden in
        func joined(_ x: Tensor) -> Tensor { hidden == 0 ? x : x.reshaped([-1] + x.shape[(hidden + 1)...]) }
        let out = attend(joined(plain[0]), joined(plain[1]), joined(plain[2]), plain.count > 3 ? joined(plain[3]) : nil)
        return out.reshaped(Array(plain[0].shape[..<(hidden + 1)]) + out.shape[1...])
    }
}

/// softmax(q kᵀ · scale) v, by tiles: memory is linear in the sequence (after Dao, 2023).
///
/// - `query [..., heads, length, dim]`, `key [..., kvHeads, keys, dim]`, `value [..., kvHeads, keys, width]`; leading axes broadcast.
///   `heads` is a multiple of `kvHeads` (grouped queries) or `kvHeads` of it. `[length, dim]` has one head. `scale` is 1/√dim by
///   default.
/// - `causal`: query `i` sees keys up to its own position among them, `i + keys - length`, or as `alignment` says.
/// - `window`: a query sees only keys at a distance below this from its position (sliding window; Beltagy et al., 2020).
/// - `softCap`: scaled scores x become cap · tanh(x / cap), before anything is added (Gemma 2).
/// - `alibiSlopes`, one per head: slope · distance is subtracted from the scores (Press et al., 2022; ``alibiSlopes(heads:)``).
/// - `mask`: broadcasts to `[..., heads, length, keys]`; true (or an added number) says what is seen. A row that sees nothing
///   gives 0, and its gradient is 0.
/// - `dropout`: the probability of each attention weight to become 0, the others growing.
///
/// All of this happens within the tiles, forward and backward; the gradient of a mask alone takes memory of the square.
public func scaledDotProductAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor? = nil, causal: Bool = false,
    alignment: CausalAlignment = .lastKey, window: Int? = nil, softCap: Double? = nil, alibiSlopes: [Double]? = nil,
    scale: Double? = nil, dropout: Double = 0, generator: RandomGenerator = .default
) -> Tensor {
    func again(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ mask: Tensor?) -> Tensor {
        scaledDotProductAttention(
            q, k, v, mask: mask, causal: causal, alignment: alignment, window: window, softCap: softCap, alibiSlopes: alibiSlopes,
            scale: scale, dropout: dropout, generator: generator)
    }
    if query.rank != 4 || key.rank != 4 || value.rank != 4 || key.shape[0] != query.shape[0] || value.shape[0] != query.shape[0] {
        let (q, k, v, m, lead) = withFourAxes(query, key, value, mask)
        let out = again(q, k, v, m)
        // Without heads: [length, dim].
        let hasHeads = [query, key, value].contains { $0.rank > 2 }
        return out.reshaped(lead + out.shape.suffix(hasHeads ? 3 : 2))
    }
    if isAutocastEnabled && query.dtype != .float64 {
        let lowered = [query, key, value].map(Autocast.lowered)
        return withoutAutocast { again(lowered[0], lowered[1], lowered[2], mask) }
    }
    for x in [query, key, value] where !x.dtype.isFloatingPoint || x.dtype != query.dtype {
        fail("attention", "needs [batch, heads, length, dim] floats of one type, not \(x.dtype) \(x.shape)")
    }
    for x in [key, value] + (mask.map { [$0] } ?? []) { requireSameDevice("attention", query.physical, x.physical) }
    let q = query.shape, k = key.shape, v = value.shape
    if k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] == 0 || (q[1] % k[1] != 0 && q[1] != 1) {
        fail("attention", "query \(q), key \(k) and value \(v) do not fit: [batch, heads, length, dim]")
    }
    if q[1] == 1 && k[1] > 1 { return again(query.expanded(to: [q[0], k[1], q[2], q[3]]), key, value, mask) }
    if let window, window < 1 { fail("attention", "a window of \(window) keys; needs at least 1") }
    if let softCap, !(softCap > 0) { fail("attention", "a soft cap of \(softCap); must be above 0") }
    if let alibiSlopes, alibiSlopes.count != q[1] { fail("attention", "\(alibiSlopes.count) ALiBi slopes for \(q[1]) heads") }
    if !(0...1).contains(dropout) { fail("attention", "a dropout of \(dropout); must be in 0 ... 1") }
    let scores = [q[0], q[1], q[2], k[2]]
    if let mask, broadcastShape(mask.shape, scores) != scores {
        fail("attention", "a mask \(mask.shape) does not broadcast to the scores \(scores)")
    }
    var plan = AttentionPlan(
        scale: scale ?? 1 / Double(q[3]).squareRoot(), causal: causal, position: alignment == .lastKey ? k[2] - q[2] : 0,
        window: window, softCap: softCap, alibiSlopes: alibiSlopes)
    let isBatched = [query, key, value].contains(where: \.isBatched) || mask?.isBatched == true
    if isBatched && dropout == 0 { return batchedAttention(query, key, value, mask, again) }
    if isBatched || dropout == 1 || (isGradEnabled && mask?.requiresGrad == true) {
        let groups = q[1] / k[1]
        let p = attentionProbabilities(composedScores(query, repeatHeads(key, groups), plan, mask: mask))
        return matmul(
            CoreTensor.dropout(p, probability: dropout, generator: generator), repeatHeads(value, groups))
    }
    if let mask {
        let numbers = query.dtype == .float64 ? DType.float64 : .float32
        plan.mask = denseKeys(mask.dtype == .bool ? mask.raw : mask.detached().to(numbers).raw).broadcast(to: scores)
    }
    if dropout > 0 {
        let start = generator.reserve(1, .float32)
        plan.dropout = dropout
        plan.seed = start.seed
        plan.offset = start.position
    }
    let rq = withDenseLast(query.raw), rk = withDenseLast(key.raw), rv = withDenseLast(value.raw)
    // Heads side by side per position, so that the next projection reads it without a copy.
    let view = headsInside([q[0], q[1], q[2], v[3]], query.dtype, query.device)
    let lse = RawTensor(shape: [q[0], q[1], q[2]], query.dtype == .float64 ? .float64 : .float32, query.device)
    view.backend.attention(rq, rk, rv, view, lse: lse, plan)
    return record(view, inputs: [query, key, value]) {
        let node = AttentionBackward(plan)
        node.save(Tensor(raw: rq, node: query.node, outputIndex: query.outputIndex))
        node.save(Tensor(raw: rk, node: key.node, outputIndex: key.outputIndex))
        node.save(Tensor(raw: rv, node: value.node, outputIndex: value.outputIndex))
        node.save(output: view)
        node.save(Tensor(raw: lse))
        return node
    }
}

/// A mask whose keys lie side by side, or are all the same one.
private func denseKeys(_ mask: RawTensor) -> RawTensor {
    guard let last = mask.layout.strides.last, mask.shape.last != 1, last != 1, last != 0 else { return mask }
    return mask.denseCopy()
}

/// The weights of ``scaledDotProductAttention(_:_:_:mask:causal:alignment:window:softCap:alibiSlopes:scale:dropout:generator:)`` by themselves:
/// `query [batch, heads, length, dim]`, `key [batch, heads, keys, dim]` give `[batch, heads, length, keys]`, rows that sum to 1, or
/// to 0 where nothing is seen.
public func attentionWeights(
    _ query: Tensor, _ key: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Double? = nil
) -> Tensor {
    let q = query.shape, k = key.shape
    if q.count != 4 || k.count != 4 || q[0] != k[0] || q[1] != k[1] || q[3] != k[3] {
        fail("attentionWeights", "query \(q) and key \(k) do not fit: [batch, heads, length, dim]")
    }
    let plan = AttentionPlan(scale: scale ?? 1 / Double(q[3]).squareRoot(), causal: causal, position: k[2] - q[2])
    return attentionProbabilities(composedScores(query, key, plan, mask: mask))
}

/// `[batch, heads, length, dim]` of tensors with other numbers of axes, and the leading axes that the result gets back.
private func withFourAxes(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, _ mask: Tensor?
) -> (query: Tensor, key: Tensor, value: Tensor, mask: Tensor?, lead: Shape) {
    for x in [query, key, value] where x.rank < 2 {
        fail("attention", "needs [..., heads, length, dim], not \(x.shape)")
    }
    let shapes = [query, key, value].map { Array($0.shape.dropLast(3)) }
    var lead: Shape = []
    for shape in shapes {
        guard let joint = broadcastShape(lead, shape) else {
            fail("attention", "leading axes of query \(query.shape), key \(key.shape) and value \(value.shape) do not broadcast")
        }
        lead = joint
    }
    let batch = lead.reduce(1, *)
    func four(_ x: Tensor) -> Tensor {
        let x = x.rank == 2 ? x.unsqueezed(0) : x
        return x.expanded(to: lead + x.shape.suffix(3)).reshaped([batch] + x.shape.suffix(3))
    }
    let q = four(query), k = four(key)
    var mask = mask
    if let m = mask, m.rank > 2 {
        let heads = Swift.max(q.shape[1], k.shape[1])
        mask = m.expanded(to: lead + [heads, q.shape[2], k.shape[2]]).reshaped([batch, heads, q.shape[2], k.shape[2]])
    }
    return (q, k, four(value), mask, lead)
}
