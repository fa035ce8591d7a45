// Selecting by bool masks and by flat positions.

extension Tensor {
    /// The places of the elements that are not 0, one row each: `[count, rank]` of `int64`.
    public func nonzero() -> Tensor {
        let flags = detached().to(.bool).raw.contiguous()
        let flat = Tensor(raw: flags.backend.nonzero(flags))
        if rank == 0 { return Tensor(zeros: [flat.count, 0], dtype: .int64, device: flat.device) }
        var rest = flat
        var columns: [Tensor] = []
        for size in shape.reversed() {
            let length = Tensor(Swift.max(size, 1), device: flat.device)
            columns.append(remainder(rest, length))
            rest = floorDivide(rest, length)
        }
        return stack(columns.reversed(), axis: 1)
    }

    /// How many elements over the axes are not 0, `int64`.
    public func countNonzero(_ axes: Axes = .all) -> Tensor { detached().to(.bool).to(.int64).sum(axes) }

    /// The elements where the mask holds, in row-major order, as a vector; mask and tensor broadcast.
    public func maskedSelect(_ mask: Tensor) -> Tensor {
        if mask.dtype != .bool { fail("maskedSelect", "the mask must be bool, not \(mask.dtype)") }
        let shape = requireBroadcast("maskedSelect", self.shape, mask.shape)
        let flags = mask.expanded(to: shape).raw.contiguous()
        return expanded(to: shape).flattened().indexSelect(axis: 0, index: Tensor(raw: flags.backend.nonzero(flags)))
    }

    /// A copy with the elements where the mask holds replaced, in row-major order, by those of `source` from its first on.
    public func maskedScatter(_ mask: Tensor, source: Tensor) -> Tensor {
        if mask.dtype != .bool { fail("maskedScatter", "the mask must be bool, not \(mask.dtype)") }
        let shape = requireBroadcast("maskedScatter", self.shape, mask.shape)
        let flags = mask.expanded(to: shape).raw.contiguous()
        let places = Tensor(raw: flags.backend.nonzero(flags))
        if places.count > source.count { fail("maskedScatter", "\(places.count) places for \(source.count) elements") }
        let values = source.flattened().narrowed(axis: 0, start: 0, length: places.count)
        return expanded(to: shape).flattened().scattered(axis: 0, index: places, source: values).reshaped(shape)
    }

    /// `value` where the mask holds (a scalar tensor), the element itself elsewhere; the type stays this tensor's.
    public func maskedFill(_ mask: Tensor, _ value: Tensor) -> Tensor {
        if value.rank != 0 { fail("maskedFill", "the value must be a scalar, not \(value.shape); use which") }
        if mask.dtype != .bool { fail("maskedFill", "the mask must be bool, not \(mask.dtype)") }
        return which(mask, value.to(dtype), self)
    }

    /// Positions counted from the end where negative, checked against `limit`.
    func wrapped(_ name: String, limit: Int) -> Tensor {
        if !dtype.isInteger { fail(name, "indices must be integers, not \(dtype)") }
        let i = detached().to(.int64)
        let result = which(i .< 0, i + limit, i)
        _ = checkedIndices(name, result, limit: limit, what: "index")
        return result
    }

    /// The elements at flat positions (row-major; negative ones from the end), in the index's shape (NumPy's `take`).
    public func taken(_ index: Tensor) -> Tensor {
        reshaped([count]).indexSelect(axis: 0, index: index.flattened().wrapped("taken", limit: count)).reshaped(index.shape)
    }

    /// A copy with the elements at flat positions replaced by `source`'s (or, accumulating, added to), in order.
    public func putting(_ source: Tensor, at index: Tensor, accumulate: Bool = false) -> Tensor {
        if index.count != source.count { fail("putting", "\(index.count) places for \(source.count) elements") }
        let places = index.flattened().wrapped("putting", limit: count), values = source.flattened()
        let flat = reshaped([count])
        let result =
            accumulate
            ? flat.scatterAdded(axis: 0, index: places, source: values) : flat.scattered(axis: 0, index: places, source: values)
        return result.reshaped(shape)
    }

    /// ``gathered(axis:index:)`` with index and tensor broadcast beside the axis and negative positions from the end (NumPy's
    /// `take_along_axis`); without an axis over the flattened tensors.
    public func takenAlong(_ index: Tensor, axis: Int? = nil) -> Tensor {
        guard let along = axis else {
            return flattened().gathered(axis: 0, index: index.flattened().wrapped("takenAlong", limit: count))
        }
        if index.rank != rank {
            fail("takenAlong", "an index of shape \(index.shape) for a tensor of shape \(shape): ranks differ")
        }
        let axis = resolveAxis("takenAlong", along, rank: rank)
        var own = shape, theirs = index.shape
        own[axis] = 1
        theirs[axis] = 1
        let common = requireBroadcast("takenAlong", own, theirs)
        own = common
        theirs = common
        own[axis] = shape[axis]
        theirs[axis] = index.shape[axis]
        return expanded(to: own).gathered(axis: axis, index: index.wrapped("takenAlong", limit: shape[axis]).expanded(to: theirs))
    }

    /// `index` (a vector of places on an axis) as an index for `scatter` of a source of shape `shape`.
    private func spread(_ name: String, _ index: Tensor, _ axis: Int, over shape: Shape) -> Tensor {
        if index.rank > 1 || shape.count != rank || index.count != shape[axis] {
            fail(name, "an index of shape \(index.shape) and a source of shape \(shape) for axis \(axis) of \(self.shape)")
        }
        for other in 0..<rank where other != axis && shape[other] != self.shape[other] {
            fail(name, "a source of shape \(shape) for a tensor of shape \(self.shape), which differ beside axis \(axis)")
        }
        var own = [Int](repeating: 1, count: rank)
        own[axis] = index.count
        return index.reshaped(own).expanded(to: shape)
    }

    private func alongAxis(
        _ name: String, _ axis: Int, _ index: Tensor, _ source: Tensor, _ body: (Tensor, Int, Tensor, Tensor) -> Tensor
    ) -> Tensor {
        let x = rank == 0 ? reshaped([1]) : self, given = source.rank == 0 && x.rank == 1 ? source.reshaped([1]) : source
        let axis = resolveAxis(name, axis, rank: rank)
        if given.dtype != dtype { fail(name, "a source of \(given.dtype) for \(dtype); convert with to(.\(dtype))") }
        return body(x, axis, x.spread(name, index, axis, over: given.shape), given).reshaped(shape)
    }

    /// A copy with the slices of `source` along an axis added to those that `index` (a vector) names (PyTorch's `index_add`).
    public func indexAdded(axis: Int, index: Tensor, source: Tensor, alpha: Double = 1) -> Tensor {
        alongAxis("indexAdded", axis, index, alpha == 1 ? source : (source * alpha).to(source.dtype)) { x, axis, spread, source in
            if x.rank == 1 || !x.dtype.isFloatingPoint { return x.scatterAdded(axis: axis, index: spread, source: source) }
            // Whole rows at once.
            let ids = Tensor(raw: checkedIndices("indexAdded", index, limit: x.shape[axis], what: "index")).hiding(
                index.batchLevels)
            let front = source.movedAxis(from: axis, to: 0), n = x.shape[axis]
            let rest = Array(front.shape.dropFirst()), width = rest.reduce(1, *)
            let sums = scatterRows(front.reshaped([front.shape[0], width]), ids.flattened(), [n, width])
            return x + sums.reshaped([n] + rest).movedAxis(from: 0, to: axis)
        }
    }

    /// A copy with the slices of `source` along an axis put in place of those that `index` names (PyTorch's `index_copy`).
    public func indexCopied(axis: Int, index: Tensor, source: Tensor) -> Tensor {
        alongAxis("indexCopied", axis, index, source) { $0.scattered(axis: $1, index: $2, source: $3) }
    }

    /// A copy with the slices that `index` names filled with a number.
    public func indexFilled(axis: Int, index: Tensor, value: Tensor) -> Tensor {
        if value.rank != 0 { fail("indexFilled", "the value must be a scalar, not \(value.shape)") }
        let axis = resolveAxis("indexFilled", axis, rank: rank)
        if rank == 0 { return reshaped([1]).indexFilled(axis: 0, index: index, value: value).reshaped([]) }
        let places = index.flattened().wrapped("indexFilled", limit: shape[axis])
        let named = Tensor(zeros: [shape[axis]], dtype: .bool, device: device).scattered(axis: 0, index: places, value: true)
        return maskedFill(named.reshaped([shape[axis]] + [Int](repeating: 1, count: rank - 1 - axis)), value)
    }

    /// A copy with the slices of `source` combined with those that `index` names (PyTorch's `index_reduce`).
    public func indexReduced(axis: Int, index: Tensor, source: Tensor, _ reduction: ScatterReduction, includeSelf: Bool = true)
        -> Tensor
    {
        alongAxis("indexReduced", axis, index, source) {
            $0.scatterReduced(axis: $1, index: $2, source: $3, reduction, includeSelf: includeSelf)
        }
    }
}
