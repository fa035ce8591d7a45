extension Tensor {
    /// The places of the elements in ascending (or descending) order along an axis, `int64`; stable. NaN counts as largest.
    public func argsort(axis: Int = -1, descending: Bool = false) -> Tensor {
        let axis = resolveAxis("argsort", axis, rank: rank)
        if rank == 0 { return Tensor(zeros: [], dtype: .int64, device: device) }
        if isBatched { return detached().lifted { x, hidden in x.argsort(axis: axis + hidden, descending: descending) } }
        if dtype.isComplex || dtype.isStorageOnly { fail("sort", "\(dtype) numbers have no order") }
        let positions = RawTensor(shape: shape, .int64, device)
        positions.backend.sort(raw.contiguous(), positions: positions, AxisView(shape, axis: axis), descending: descending)
        return Tensor(raw: positions)
    }

    /// The elements in ascending (or descending) order along an axis, and where they were; stable. NaN counts as largest.
    public func sorted(axis: Int = -1, descending: Bool = false) -> ValuesAndIndices {
        let indices = argsort(axis: axis, descending: descending)
        return ValuesAndIndices(values: gathered(axis: axis, index: indices), indices: indices)
    }

    /// The `k` largest (or smallest) elements along an axis in order, the most extreme first, and where they were. Traps if `k` is
    /// longer than the axis.
    public func topK(_ k: Int, axis: Int = -1, largest: Bool = true) -> ValuesAndIndices {
        let axis = resolveAxis("topK", axis, rank: rank)
        if rank == 0 { return reshaped([1]).topK(k, axis: 0, largest: largest).reshaped(to: k == 1 ? [] : [k]) }
        if k < 0 || k > shape[axis] { fail("topK", "\(k) of the \(shape[axis]) elements along axis \(axis) of \(shape)") }
        if isBatched {
            let both = liftedAll { x, hidden in
                let r = x.topK(k, axis: axis + hidden, largest: largest)
                return [r.values, r.indices]
            }
            return ValuesAndIndices(values: both[0], indices: both[1])
        }
        if dtype.isComplex || dtype.isStorageOnly { fail("topK", "\(dtype) numbers have no order") }
        var kept = shape
        kept[axis] = k
        let view = AxisView(shape, axis: axis)
        // A heap while k is small; beyond, sorting is faster.
        if k > 64 && k * 8 > view.n {
            let indices = argsort(axis: axis, descending: largest).narrowed(axis: axis, start: 0, length: k)
            return ValuesAndIndices(values: gathered(axis: axis, index: indices), indices: indices.contiguous())
        }
        let positions = RawTensor(shape: kept, .int64, device)
        positions.backend.topK(raw.contiguous(), positions: positions, view, k: k, smallest: !largest)
        let indices = Tensor(raw: positions)
        return ValuesAndIndices(values: gathered(axis: axis, index: indices), indices: indices)
    }

    /// The `k`-th smallest element (from 1) along an axis, and where it is.
    public func kthValue(_ k: Int, axis: Int = -1, keepDims: Bool = false) -> ValuesAndIndices {
        let axis = resolveAxis("kthValue", axis, rank: rank)
        if rank == 0 {
            if k != 1 { fail("kthValue", "the \(k)-th of one element") }
            return ValuesAndIndices(values: self, indices: Tensor(zeros: [], dtype: .int64, device: device))
        }
        if k < 1 || k > shape[axis] {
            fail("kthValue", "the \(k)-th of the \(shape[axis]) elements along axis \(axis) of \(shape)")
        }
        let place = argsort(axis: axis).narrowed(axis: axis, start: k - 1, length: 1)
        return picked(axis, place, keepDims)
    }

    /// The elements at `place` (`[..., 1, ...]` on `axis`), with or without that axis.
    func picked(_ axis: Int, _ place: Tensor, _ keepDims: Bool) -> ValuesAndIndices {
        let values = gathered(axis: axis, index: place)
        if keepDims { return ValuesAndIndices(values: values, indices: place.contiguous()) }
        return ValuesAndIndices(values: values.squeezed(Axes([axis])), indices: place.squeezed(Axes([axis])).contiguous())
    }
}

extension ValuesAndIndices {
    func reshaped(to shape: Shape) -> ValuesAndIndices {
        ValuesAndIndices(values: values.reshaped(shape), indices: indices.reshaped(shape))
    }
}
