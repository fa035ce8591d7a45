/// Indices as dense int64, checked against an axis; negative ones trap (NumPy's wrap-around hides mistakes here).
func checkedIndices(_ operation: String, _ index: Tensor, limit: Int, what: String) -> RawTensor {
    if !index.dtype.isInteger { fail(operation, "\(what) must be integers, not \(index.dtype)") }
    let index = index.peeled
    let raw = index.detached().to(.int64).raw.contiguous()
    if let position = raw.backend.firstOutOfRange(raw, limit: limit) {
        let value = Tensor(raw: raw).reshaped([-1])[position].item(Int.self)
        fail(operation, "\(what) \(value) at position \(position) is out of range 0 ..< \(limit)")
    }
    return raw
}

/// Traps with the caller's operation and word for it where an index is not in `0 ..< limit`; also inside `vmap`.
public func checkIndices(_ operation: String, _ index: Tensor, limit: Int, what: String) {
    _ = checkedIndices(operation, index, limit: limit, what: what)
}

final class EmbeddingBackward: Node, @unchecked Sendable {
    let table: Shape
    let paddingIndex: Int?
    init(table: Shape, paddingIndex: Int?) {
        self.table = table
        self.paddingIndex = paddingIndex
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? {
        let ids = saved(0)
        if !g.isBatched && !ids.isBatched && !g.requiresGrad && PendingRows.suits(table: table, ids: ids.count, g.dtype, g.device)
        {
            let rows = g.raw.contiguous(), places = ids.raw.contiguous()
            return Tensor(raw: PendingRows.table(table, ids: places, rows: rows, excluding: paddingIndex))
        }
        var result = scatterRows(g, ids, table)
        if let paddingIndex {
            result = result.replacing([.at(paddingIndex)], with: Tensor(zeros: [], dtype: g.dtype, device: g.device))
        }
        return result
    }

    // The table of a tied output head has a dense gradient already: the few rows are added there. (16-bit ones are rounded once, by the
    // rule.)
    override func vjp(_ g: RawTensor, input: Int, addedTo sum: RawTensor) -> Bool {
        let ids = savedRaw(0)
        if paddingIndex != nil || ids.count >= table[0] || g.dtype.byteCount < 4 { return false }
        sum.backend.addRows(sum, ids: ids.contiguous(), g.contiguous())
        return true
    }
}

final class ScatterRowsBackward: Node, @unchecked Sendable {
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { embedding(saved(0), g) }
}

/// Rows summed into a table of zeros: the adjoint of ``embedding(_:_:paddingIndex:)``.
func scatterRows(_ rows: Tensor, _ ids: Tensor, _ table: Shape) -> Tensor {
    if rows.isBatched || ids.isBatched {
        // The row of a larger table, one part of it for each example.
        let examples = sizesOfLevels(unionOfLevels([rows, ids]), [rows, ids]).reduce(1, *)
        return liftedTogether([rows, ids]) { plain, hidden in
            let sizes = Array(plain[0].shape[..<hidden])
            let flat = plain[1].reshaped([examples, -1])
            let shifted = flat + (Tensor(arange: examples, device: flat.device) * table[0]).unsqueezed(1)
            return scatterRows(
                plain[0].reshaped([examples * flat.shape[1], table[1]]), shifted.flattened(), [examples * table[0], table[1]]
            )
            .reshaped(sizes + table)
        }
    }
    let out = RawTensor(shape: table, rows.dtype, rows.device)
    out.backend.scatterRows(out, ids: ids.raw.contiguous(), rows.raw.contiguous())
    return record(out, rows) {
        let node = ScatterRowsBackward()
        node.save(ids)
        return node
    }
}

/// Rows of a table: `ids [...]`, `table [vocabulary, width]` gives `[..., width]`. Ids out of range trap. The row
/// `paddingIndex` gets no gradient.
public func embedding(_ ids: Tensor, _ table: Tensor, paddingIndex: Int? = nil) -> Tensor {
    if table.rank != 2 { fail("embedding", "the table must be [vocabulary, width], not \(table.shape)") }
    if table.isBatched || ids.isBatched {
        if !table.isBatched { return ids.lifted { ids, _ in embedding(ids, table, paddingIndex: paddingIndex) } }
        return liftedTogether([ids, table]) { plain, hidden in
            let sizes = Array(plain[1].shape[..<hidden]), rows = table.shape[0], width = table.shape[1]
            let examples = sizes.reduce(1, *)
            _ = checkedIndices("embedding", plain[0], limit: rows, what: "token id")
            let flat = plain[0].to(.int64).reshaped([examples, ids.count])
            let shifted = flat + (Tensor(arange: examples, device: flat.device) * rows).unsqueezed(1)
            var all = plain[1]
            if let paddingIndex {  // no gradient for that row
                let keep = Tensor(oneHot: Tensor(paddingIndex, device: table.device), classes: rows, dtype: .bool).unsqueezed(-1)
                all = which(keep, all.detached(), all)
            }
            return embedding(shifted, all.reshaped([examples * rows, width])).reshaped(sizes + ids.shape + [width])
        }
    }
    requireSameDevice("embedding", table.raw, ids.raw)
    let index = checkedIndices("embedding", ids, limit: table.shape[0], what: "token id")
    let out = RawTensor(shape: ids.shape + [table.shape[1]], table.dtype, table.device)
    out.backend.gatherRows(table.raw.contiguous(), ids: index, out)
    return record(out, table) {
        let node = EmbeddingBackward(table: table.shape, paddingIndex: paddingIndex)
        node.save(Tensor(raw: index))
        return node
    }
}

final class GatherBackward: Node, @unchecked Sendable {
    let axis: Int
    let shape: Shape
    init(axis: Int, shape: Shape) {
        self.axis = axis
        self.shape = shape
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { scatterAdd(g, axis: axis, index: saved(0), into: shape) }
}

final class ScatterAddBackward: Node, @unchecked Sendable {
    let axis: Int
    init(axis: Int) {
        self.axis = axis
        super.init()
    }
    override func vjp(_ g: Tensor, input: Int) -> Tensor? { g.gathered(axis: axis, index: saved(0)) }
}

/// Elements added into zeros of `shape` at the places that `index` names along `axis`: the adjoint of
/// ``Tensor/gathered(axis:index:)``; the other axes of `index` and `shape` agree.
func scatterAdd(_ x: Tensor, axis: Int, index: Tensor, into shape: Shape) -> Tensor {
    if x.isBatched || index.isBatched {
        return liftedTogether([x, index]) { plain, hidden in
            scatterAdd(plain[0], axis: axis + hidden, index: plain[1], into: Array(plain[0].shape[..<hidden]) + shape)
        }
    }
    let out = Tensor(zeros: shape, dtype: x.dtype, device: x.device).raw
    out.backend.scatterAdd(
        x.raw.contiguous(), index: index.raw.contiguous(), out, outputView: AxisView(shape, axis: axis),
        n: index.shape[axis])
    return record(out, x) {
        let node = ScatterAddBackward(axis: axis)
        node.save(index)
        return node
    }
}

extension Tensor {
    /// `out[i, j, k] = self[i, index[i, j, k], k]` for axis 1, and so on (PyTorch's `gather`). The index has this tensor's
    /// rank (a scalar counts as a vector of one); its other axes may be shorter. An empty index gives an empty result.
    public func gathered(axis: Int, index: Tensor) -> Tensor {
        if index.count == 0 { return reshaped([count]).narrowed(axis: 0, start: 0, length: 0).reshaped(index.shape) }
        if rank + index.rank == 1 || rank + index.rank == 0 {
            return reshaped([count]).gathered(axis: axis, index: index.reshaped([index.count])).reshaped(index.shape)
        }
        if index.rank != rank { fail("gather", "an index of shape \(index.shape) for a tensor of shape \(shape)") }
        let axis = resolveAxis("gather", axis, rank: rank)
        var source = self
        for other in 0..<rank where other != axis {
            if index.shape[other] > shape[other] {
                fail("gather", "an index of shape \(index.shape) is longer than \(shape) on axis \(other)")
            }
            if index.shape[other] < shape[other] {
                source = source.narrowed(axis: other, start: 0, length: index.shape[other])
            }
        }
        if source.isBatched || index.isBatched {
            return liftedTogether([source, index]) { plain, hidden in plain[0].gathered(axis: axis + hidden, index: plain[1]) }
        }
        requireSameDevice("gather", source.raw, index.raw)
        let checked = checkedIndices("gather", index, limit: shape[axis], what: "index")
        let x = source.raw.contiguous()
        let out = RawTensor(shape: index.shape, dtype, device)
        out.backend.gather(x, index: checked, out, sourceView: AxisView(x.shape, axis: axis), n: index.shape[axis])
        return record(out, source) {
            let node = GatherBackward(axis: axis, shape: source.shape)
            node.save(Tensor(raw: checked))
            return node
        }
    }

    /// The slices of an axis that `index` (a vector, or a scalar as one) names, in its order (PyTorch's `index_select`).
    public func indexSelect(axis: Int, index: Tensor) -> Tensor {
        if rank == 0 { return self }
        let axis = resolveAxis("indexSelect", axis, rank: rank)
        if index.rank > 1 { fail("indexSelect", "the index must be a vector, not \(index.shape)") }
        var order = Array(0..<rank)
        order.remove(at: axis)
        order.insert(axis, at: 0)
        let front = permuted(order)
        let rest = Array(front.shape.dropFirst())
        let width = rest.reduce(1, *)
        let rows = embedding(index.reshaped([-1]), front.reshaped([shape[axis], width]))
        var inverse = order
        for (position, from) in order.enumerated() { inverse[from] = position }
        return rows.reshaped([index.count] + rest).permuted(inverse)
    }
}
