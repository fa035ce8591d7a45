/// The different elements of a tensor.
public struct UniqueResult: Sendable {
    /// Each once.
    public let values: Tensor
    /// For every element of the input its place in ``values``, `int64`.
    public let inverse: Tensor
    /// How often each occurs, `int64`.
    public let counts: Tensor
}

extension Tensor {
    /// The different elements in ascending order (NaNs differ from each other); along an axis, the different slices in
    /// lexicographic order.
    public func unique(axis: Int? = nil) -> UniqueResult {
        let rows = slices("unique", axis)
        let n = rows.shape[0]
        let positions = RawTensor(shape: [n], .int64, rows.device)
        positions.backend.sortRows(rows.raw.contiguous(), positions: positions)
        return grouped(rows, order: Tensor(raw: positions), axis)
    }

    /// Runs of equal elements (or slices along an axis) reduced to one each, in the order they come.
    public func uniqueConsecutive(axis: Int? = nil) -> UniqueResult {
        let rows = slices("uniqueConsecutive", axis)
        return grouped(rows, order: Tensor(arange: rows.shape[0], device: rows.device), axis)
    }

    /// The slices along an axis (or the elements) as rows of a matrix.
    private func slices(_ name: String, _ axis: Int?) -> Tensor {
        if dtype.isComplex || dtype.isStorageOnly { fail(name, "\(dtype) numbers have no order") }
        let x = detached()
        guard let axis else { return x.reshaped([count, 1]) }
        let resolved = resolveAxis(name, axis, rank: rank)
        if rank == 0 { return x.reshaped([1, 1]) }
        return x.movedAxis(from: resolved, to: 0).reshaped([shape[resolved], count / Swift.max(shape[resolved], 1)])
    }

    /// Neighbours in `order` that are equal make a group.
    private func grouped(_ rows: Tensor, order: Tensor, _ axis: Int?) -> UniqueResult {
        let n = rows.shape[0]
        let sorted = embedding(order, rows)
        var starts = Tensor(ones: [n], dtype: .bool, device: rows.device)
        if n > 1 {
            let changed =
                (sorted.narrowed(axis: 0, start: 1, length: n - 1) .!= sorted.narrowed(axis: 0, start: 0, length: n - 1)).any(1)
            starts = concatenate([Tensor(ones: [1], dtype: .bool, device: rows.device), changed])
        }
        let group = starts.to(.int64).cumsum(axis: 0) - 1
        let firsts = Tensor(raw: starts.raw.backend.nonzero(starts.raw.contiguous()))
        let counts = scatterAdd(
            Tensor(ones: [n], dtype: .int64, device: rows.device), axis: 0, index: group, into: [firsts.count])
        var inverse = Tensor(zeros: [n], dtype: .int64, device: rows.device)
        if n > 0 { inverse = inverse.scattered(axis: 0, index: order, source: group) }
        let kept = embedding(firsts, sorted)
        guard let axis, rank > 0 else {
            return UniqueResult(values: kept.flattened(), inverse: inverse.reshaped(axis == nil ? shape : [1]), counts: counts)
        }
        let resolved = resolveAxis("unique", axis, rank: rank)
        var rest = shape
        rest.remove(at: resolved)
        let values = kept.reshaped([firsts.count] + rest).movedAxis(from: 0, to: resolved)
        return UniqueResult(values: values.contiguous(), inverse: inverse, counts: counts)
    }
}
