extension Tensor {
    /// Where each of `values` would be put into this sorted tensor to keep it sorted, `int64` of their shape: before equal elements,
    /// or behind them (`right`). This tensor is a vector for all values, or `[..., n]` with `values` `[..., m]`. With `sorter`, the
    /// tensor's order is that of `gathered(axis: -1, index: sorter)`.
    public func searchSorted(_ values: Tensor, right: Bool = false, sorter: Tensor? = nil) -> Tensor {
        let sorted = (sorter.map { gathered(axis: -1, index: $0) } ?? self).detached()
        if sorted.rank == 0 { fail("searchSorted", "needs a sorted axis, not a scalar") }
        if sorted.rank > 1 && sorted.shape.dropLast() != values.shape.dropLast() {
            fail("searchSorted", "rows of shape \(shape) and values of shape \(values.shape) differ beside the last axis")
        }
        let (a, b) = promoted(sorted, values.detached())
        if a.isBatched || b.isBatched {
            if a.rank == 1 {
                return liftedTogether([a, b.flattened()]) { plain, _ in plain[0].searchSorted(plain[1], right: right) }
                    .reshaped(values.shape)
            }
            return liftedTogether([a, b]) { plain, _ in plain[0].searchSorted(plain[1], right: right) }
        }
        if a.dtype.isComplex { fail("searchSorted", "\(a.dtype) numbers have no order") }
        let out = RawTensor(shape: values.shape, .int64, device)
        let shared = a.rank == 1
        let rows = shared ? 1 : a.shape.dropLast().reduce(1, *)
        let m = shared ? b.count : b.shape.last!
        out.backend.searchSorted(
            a.raw.contiguous(), b.raw.contiguous(), out, rows: rows, n: a.shape.last!, m: m, shared: shared, right: right)
        return Tensor(raw: out)
    }

    /// The bucket of each element between the sorted `boundaries`: `boundaries.searchSorted(self)`.
    public func bucketized(_ boundaries: Tensor, right: Bool = false) -> Tensor {
        if boundaries.rank != 1 { fail("bucketize", "the boundaries must be a vector, not \(boundaries.shape)") }
        return boundaries.searchSorted(self, right: right)
    }

    /// Whether each element is among `others`; `inverted`: is not.
    public func isIn(_ others: Tensor, inverted: Bool = false) -> Tensor {
        let (a, b) = promoted(detached(), others.detached().flattened())
        if b.count == 0 { return Tensor(repeating: inverted, shape: shape, device: device) }
        let sorted = b.sorted(axis: 0).values
        let place = sorted.searchSorted(a).clamped(max: Double(b.count - 1))
        let found = sorted.indexSelect(axis: 0, index: place.flattened()).reshaped(shape) .== a
        return inverted ? .!found : found
    }

    /// How often each of `0, 1, 2 …` occurs in a vector of integers that are not negative; `weights` add up instead of ones.
    public func bincount(weights: Tensor? = nil, minimumLength: Int = 0) -> Tensor {
        if rank != 1 || !dtype.isInteger { fail("bincount", "needs a vector of integers, not \(dtype) \(shape)") }
        if let weights, weights.shape != shape { fail("bincount", "weights of shape \(weights.shape) for \(shape)") }
        let length = Swift.max(minimumLength, count == 0 ? 0 : self.max().item(Int.self) + 1)
        let values =
            weights.map { $0.dtype == .float32 ? $0 : $0.to(.float64) } ?? Tensor(ones: shape, dtype: .int64, device: device)
        if count == 0 { return Tensor(zeros: [length], dtype: values.dtype, device: device) }
        _ = checkedIndices("bincount", self, limit: length, what: "value")
        return scatterAdd(values.detached(), axis: 0, index: to(.int64), into: [length])
    }

    /// Counts in bins between sorted edges: bin i holds [edge i, edge i+1), the last one its upper edge too. `weights` add up instead
    /// of ones; `density` makes the integral 1.
    public func histogram(edges: Tensor, weights: Tensor? = nil, density: Bool = false) -> Tensor {
        let x = asFloatingPoint("histogram").detached().flattened(), bins = edges.count - 1
        if bins < 1 || edges.rank != 1 { fail("histogram", "needs a vector of at least two edges, not \(edges.shape)") }
        let edges = edges.to(x.dtype)
        let inside = (x .>= edges[0]) .& (x .<= edges[bins])
        let bin = (edges.searchSorted(x, right: true) - 1).clamped(min: 0, max: Double(bins - 1))
        let ones = weights.map { $0.to(x.dtype).flattened() } ?? Tensor(onesLike: x)
        let counts = scatterAdd(ones * inside.to(x.dtype), axis: 0, index: bin, into: [bins])
        if !density { return counts }
        let widths = edges.narrowed(axis: 0, start: 1, length: bins) - edges.narrowed(axis: 0, start: 0, length: bins)
        return counts / (counts.sum() * widths)
    }

    /// Counts in `bins` equal bins over `range` (the elements' own if nil or empty), and the bins' edges.
    public func histogram(
        bins: Int, range: ClosedRange<Double>? = nil, weights: Tensor? = nil, density: Bool = false
    ) -> (counts: Tensor, edges: Tensor) {
        if bins < 1 { fail("histogram", "\(bins) bins") }
        let x = asFloatingPoint("histogram").detached()
        var low = range?.lowerBound ?? 0, high = range?.upperBound ?? 0
        if low == high && range.map({ $0.lowerBound == 0 }) ?? true && count > 0 {
            (low, high) = (x.min().item(Double.self), x.max().item(Double.self))
        }
        if !low.isFinite || !high.isFinite { fail("histogram", "a range from \(low) to \(high)") }
        if low == high { (low, high) = (low - (range == nil || low == 0 ? 0.5 : 1), high + (range == nil || low == 0 ? 0.5 : 1)) }
        let edges = Tensor(linspace: low, to: high, count: bins + 1, dtype: x.dtype).to(device: x.device)
        // By division, as all equal bins are counted: the edges' rounding must not move an element.
        let flat = x.flattened().to(.float64)
        let inside = (flat .>= low) .& (flat .<= high)
        let bin = ((flat - low) / (high - low) * Double(bins)).replacingNonFinite().to(.int64).clamped(
            min: 0, max: Double(bins - 1))
        let ones = weights.map { $0.to(x.dtype).flattened() } ?? Tensor(ones: [x.count], dtype: x.dtype, device: x.device)
        let counts = scatterAdd(ones * inside.to(x.dtype), axis: 0, index: bin, into: [bins])
        return (density ? counts / (counts.sum() * ((high - low) / Double(bins))) : counts, edges)
    }
}
