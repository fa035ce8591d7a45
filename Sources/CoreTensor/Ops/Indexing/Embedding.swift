// Rows of a table with the rarer options of PyTorch's `embedding`, and bags of rows.

final class RowScaleBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g * saved(0) }
}

/// `x` itself, whose gradient is multiplied by `factor` (which broadcasts to `x`).
func withGradientScaled(_ x: Tensor, by factor: Tensor) -> Tensor {
    record(x.raw, x) {
        let node = RowScaleBackward()
        node.save(factor)
        return node
    }
}

/// ``embedding(_:_:paddingIndex:)`` with more options.
/// - Parameters:
///   - maxNorm: rows with a larger `normType`-norm are first shrunk to it; the gradient is that of the shrunk row.
///   - scaleGradByFrequency: the gradient of each row is divided by how often its id occurs.
public func embedding(
    _ ids: Tensor, _ table: Tensor, paddingIndex: Int? = nil, maxNorm: Double?, normType: Double = 2,
    scaleGradByFrequency: Bool = false
) -> Tensor {
    var table = table
    if let maxNorm {
        let values = table.detached()
        let shrunk = values.renormalized(p: normType, axis: 0, maxNorm: maxNorm)
        table = table.requiresGrad ? table.replacingValues(shrunk) : shrunk
    }
    let rows = embedding(ids, table, paddingIndex: paddingIndex)
    if !scaleGradByFrequency || !rows.requiresGrad { return rows }
    let flat = ids.detached().to(.int64).flattened()
    let counts = flat.bincount(minimumLength: table.shape[0])
    let share = 1 / counts.indexSelect(axis: 0, index: flat).to(rows.dtype)
    return withGradientScaled(rows, by: share.reshaped(ids.shape + [1]))
}

final class ReplacedValuesBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g }
}

extension Tensor {
    /// Other values with this tensor's gradient.
    fileprivate func replacingValues(_ values: Tensor) -> Tensor {
        record(values.raw, self) { ReplacedValuesBackward() }
    }
}

/// How the rows of a bag become one.
public enum BagMode: String, Sendable { case sum, mean, max }

/// One row per bag of ids: the sum, mean or elementwise maximum of their rows in `table [vocabulary, width]`; an empty bag gives 0.
///
/// - `ids [bags, length]`, or `ids [n]` with `offsets [bags]`, where each bag begins (the first at 0; with `includesEnd`, the last
///   offset is where the last bag ends, and bags are one fewer).
/// - `weights`, of the shape of `ids`: factors of the rows, for sums only.
/// - Ids equal to `paddingIndex` do not count. `maxNorm` and `scaleGradByFrequency` as in
///   ``embedding(_:_:paddingIndex:maxNorm:normType:scaleGradByFrequency:)``.
///
/// Gives `[bags, width]`. The gradient of a maximum goes to the first row that has it.
public func embeddingBag(
    _ ids: Tensor, _ table: Tensor, offsets: [Int]? = nil, mode: BagMode = .mean, weights: Tensor? = nil,
    paddingIndex: Int? = nil,
    includesEnd: Bool = false, maxNorm: Double? = nil, normType: Double = 2, scaleGradByFrequency: Bool = false
) -> Tensor {
    if table.rank != 2 || ids.rank == 0 || ids.rank > 2 || (ids.rank == 2) != (offsets == nil) {
        fail(
            "embeddingBag",
            "needs ids [bags, length], or ids [n] with offsets, and a table [vocabulary, width], not \(ids.shape), \(table.shape)"
        )
    }
    if let weights, mode != .sum || weights.shape != ids.shape {
        fail(
            "embeddingBag",
            "weights of shape \(weights.shape) for ids \(ids.shape) in mode \(mode): they go with sums, one per id")
    }
    let count = ids.count
    var starts = offsets ?? (0..<ids.shape[0]).map { $0 * ids.shape[1] }
    let end = offsets != nil && includesEnd ? starts.popLast() ?? count : count
    if starts.first.map({ $0 != 0 }) == true || end > count || zip(starts, starts.dropFirst() + [end]).contains(where: >) {
        fail("embeddingBag", "offsets \(offsets ?? []) for \(count) ids: they start at 0 and do not fall")
    }
    checkIndices("embeddingBag", ids, limit: table.shape[0], what: "id")
    // Ids that count, and their bags.
    let all = ids.detached().scalars(Int.self)
    var kept: [Int] = [], bags: [Int] = []
    var sizes = [Int](repeating: 0, count: starts.count)
    for (bag, start) in starts.enumerated() {
        for i in start..<(bag + 1 < starts.count ? starts[bag + 1] : end) where all[i] != paddingIndex {
            kept.append(i)
            bags.append(bag)
            sizes[bag] += 1
        }
    }
    let width = table.shape[1]
    let places = Tensor(kept, shape: [kept.count], device: ids.device),
        chosen = ids.flattened().indexSelect(axis: 0, index: places)
    var rows = embedding(chosen, table, maxNorm: maxNorm, normType: normType, scaleGradByFrequency: scaleGradByFrequency)
    if let weights { rows = rows * weights.flattened().indexSelect(axis: 0, index: places).to(rows.dtype).unsqueezed(1) }
    if mode == .max {
        let empty = Tensor(zeros: [width], dtype: table.dtype, device: table.device)
        var parts: [Tensor] = [], start = 0
        for size in sizes {
            parts.append(size == 0 ? empty : rows.narrowed(axis: 0, start: start, length: size).maximum(axis: 0).values)
            start += size
        }
        return parts.isEmpty ? Tensor(zeros: [0, width], dtype: table.dtype, device: table.device) : stack(parts)
    }
    let sums = Tensor(zeros: [starts.count, width], dtype: table.dtype, device: table.device)
        .indexAdded(axis: 0, index: Tensor(bags, shape: [bags.count], device: rows.device), source: rows)
    if mode == .sum { return sums }
    return sums
        / Tensor(sizes.map { Double(Swift.max($0, 1)) }, shape: [sizes.count, 1], dtype: table.dtype, device: table.device)
}
