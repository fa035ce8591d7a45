/// What a quantile between two elements is.
public enum QuantileInterpolation: String, Sendable { case linear, lower, higher, midpoint, nearest }

extension Tensor {
    /// Several axes brought together at the end as one.
    private func withAxesLast(_ operation: String, _ axes: Axes) -> (x: Tensor, kept: Shape, dropped: Shape) {
        let list = axes.resolved(operation, rank: rank)
        let others = shape.indices.filter { !list.contains($0) }
        let kept = shape.indices.map { list.contains($0) ? 1 : shape[$0] }
        if rank == 0 { return (reshaped([1]), [], []) }
        let x = permuted(others + list).reshaped(others.map { shape[$0] } + [list.reduce(1) { $0 * shape[$1] }])
        return (x, kept, others.map { shape[$0] })
    }

    /// The `q`-th quantiles (0 … 1) over the axes, between neighbours by `interpolation`. A scalar `q` gives the shape of a
    /// reduction, a vector puts an axis for its elements in front. NaN if there is one.
    public func quantile(
        _ q: Tensor, _ axes: Axes = .all, keepDims: Bool = false, interpolation: QuantileInterpolation = .linear
    ) -> Tensor { quantile("quantile", q, axes, keepDims, interpolation, ignoringNaN: false) }

    /// As ``quantile(_:_:keepDims:interpolation:)`` of the elements that are not NaN; NaN if there is none.
    public func nanQuantile(
        _ q: Tensor, _ axes: Axes = .all, keepDims: Bool = false, interpolation: QuantileInterpolation = .linear
    ) -> Tensor { quantile("nanQuantile", q, axes, keepDims, interpolation, ignoringNaN: true) }

    private func quantile(
        _ name: String, _ q: Tensor, _ axes: Axes, _ keepDims: Bool, _ interpolation: QuantileInterpolation, ignoringNaN: Bool
    ) -> Tensor {
        let values = asFloatingPoint(name)
        if q.rank > 1 { fail(name, "q must be a number or a vector, not \(q.shape)") }
        if !(((q.detached() .>= 0) .& (q.detached() .<= 1)).all().item(Bool.self)) { fail(name, "q must be in 0 ... 1: \(q)") }
        let (x, kept, dropped) = values.withAxesLast(name, axes)
        let n = x.shape.last!
        if n == 0 { fail(name, "no elements along \(axes.resolved(name, rank: rank)) of \(shape)") }
        let sorted = x.sorted(axis: -1).values
        // Positions [q, ..., 1]
        let missing = x.detached().isNaN.to(.int64).sum(-1, keepDims: true)
        let points = q.to(x.dtype).reshaped([q.count] + [Int](repeating: 1, count: x.rank))
        let position =
            (ignoringNaN ? points * (n - 1 - missing).clamped(min: 0).to(x.dtype) : points * Double(n - 1)).expanded(
                to: [q.count] + x.shape.dropLast() + [1])
        let below = floor(position.detached()), above = ceil(position.detached())
        func at(_ place: Tensor) -> Tensor {
            sorted.unsqueezed(0).expanded(to: [q.count] + x.shape).gathered(axis: -1, index: place.to(.int64))
        }
        var result: Tensor
        switch interpolation {
        case .lower: result = at(below)
        case .higher: result = at(above)
        case .nearest: result = at(round(position.detached()))
        case .midpoint: result = (at(below) + at(above)) * 0.5
        case .linear:
            let low = at(below)
            let weight = position - below
            // Equal neighbours may be infinite.
            let high = at(above)
            result = which((weight .== 0) .| (low.detached() .== high.detached()), low, lerp(low, high, weight: weight))
        }
        let poisoned = ignoringNaN ? missing .== n : missing .> 0
        result = which(poisoned, Double.nan, result)
        let shaped = result.reshaped([q.count] + (keepDims ? kept : dropped))
        return q.rank == 0 ? shaped.squeezed(0) : shaped
    }

    /// The middle element over all axes, the lower of two; NaN if there is one. Equal elements share the gradient.
    public func median() -> Tensor { medianOfAll(ignoringNaN: false) }
    /// As ``median()`` of the elements that are not NaN.
    public func nanMedian() -> Tensor { medianOfAll(ignoringNaN: true) }

    private func medianOfAll(ignoringNaN: Bool) -> Tensor {
        if count == 0 { return Tensor(Double.nan, dtype: dtype, device: device) }
        let x = detached().flattened()
        let value = x.median("median", axis: 0, keepDims: false, ignoringNaN: ignoringNaN).values
        if !isRecording([self]) { return value }
        let same = which(value.isNaN, detached().isNaN, detached() .== value).to(dtype)
        // The value of the tape: each of the equals with its share.
        let share = which(same .!= 0, self, Tensor(zeros: [], dtype: dtype, device: device)) * (same / same.sum())
        return share.sum()
    }

    /// The middle element along an axis, the lower of two, and where it is; NaN if there is one.
    public func median(axis: Int, keepDims: Bool = false) -> ValuesAndIndices {
        median("median", axis: axis, keepDims: keepDims, ignoringNaN: false)
    }

    /// As ``median(axis:keepDims:)`` of the elements that are not NaN; NaN if there is none.
    public func nanMedian(axis: Int, keepDims: Bool = false) -> ValuesAndIndices {
        median("nanMedian", axis: axis, keepDims: keepDims, ignoringNaN: true)
    }

    private func median(_ name: String, axis: Int, keepDims: Bool, ignoringNaN: Bool) -> ValuesAndIndices {
        let axis = resolveAxis(name, axis, rank: rank)
        if rank == 0 { return ValuesAndIndices(values: self, indices: Tensor(zeros: [], dtype: .int64, device: device)) }
        let n = shape[axis]
        if n == 0 { fail(name, "no elements along axis \(axis) of \(shape)") }
        let order = argsort(axis: axis)
        var place = order.narrowed(axis: axis, start: (n - 1) / 2, length: 1)
        if dtype.isFloatingPoint {
            let missing = detached().isNaN.to(.int64).sum(Axes([axis]), keepDims: true)
            if ignoringNaN {
                place = order.gathered(
                    axis: axis, index: floorDivide((n - 1 - missing).clamped(min: 0), Tensor(2, device: device)))
            } else {
                // NaN is last in the order.
                place = which(missing .> 0, order.narrowed(axis: axis, start: n - 1, length: 1), place)
            }
        }
        return picked(axis, place, keepDims)
    }

    /// The most frequent element along an axis (the smallest of equals), and where it occurs last.
    public func mode(axis: Int = -1, keepDims: Bool = false) -> ValuesAndIndices {
        let axis = resolveAxis("mode", axis, rank: rank)
        if rank == 0 { return ValuesAndIndices(values: self, indices: Tensor(zeros: [], dtype: .int64, device: device)) }
        let n = shape[axis]
        if n == 0 { fail("mode", "no elements along axis \(axis) of \(shape)") }
        let (values, order) = { ($0.values, $0.indices) }(detached().sorted(axis: axis))
        // Length of the run of equals that ends at each place.
        let places = Tensor(arange: n, device: device).reshaped([n] + [Int](repeating: 1, count: rank - 1 - axis))
        let before = values.rolled(1, axis: axis)
        let starts = (values .!= before) .| (places .== 0)
        let begin = which(starts, places, Tensor(zeros: [], dtype: .int64, device: device)).cummax(axis: axis).values
        let end = (places - begin).argmax(axis: axis, keepDims: true)
        return picked(axis, order.gathered(axis: axis, index: end), keepDims)
    }
}
