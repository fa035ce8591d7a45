// Reading and writing at index tuples: ONNX's GatherND and ScatterND, TensorFlow's `gather_nd`.

extension Tensor {
    /// The elements or slices at tuples of positions: `index [..., k]`, integers, names positions of the first `k` axes; the result is
    /// `[..., rest]`, `rest` the axes after them. With `batchAxes` b, the first b axes of both are the same and the tuples name
    /// positions of the axes after those.
    ///
    /// Negative positions count from the end. Traps on positions out of range and on tuples longer than there are axes.
    public func gathered(at index: Tensor, batchAxes: Int = 0) -> Tensor {
        let k = tupleLength("gathered", index, batchAxes)
        if batchAxes == 0 { return self.slice(tupleIndices(index, k, from: 0)) }
        let lead = Array(shape[..<batchAxes])
        // Positions of the batch axes, made to lie beside the tuples.
        let batch = lead.indices.map { axis in
            Tensor(arange: lead[axis], device: device).reshaped([lead[axis]] + Shape(repeating: 1, count: index.rank - 2 - axis))
        }
        return self.slice(batch.map { .tensor($0) } + tupleIndices(index, k, from: batchAxes))
    }

    /// A copy with the elements or slices of `source [..., rest]` written to the places that the tuples of `index [..., k]` name, or
    /// combined with what is there. Where a tuple occurs twice, the last in order stays; reductions take all.
    ///
    /// Negative positions count from the end. Traps on positions out of range and if `source` is not of the shape that
    /// ``gathered(at:batchAxes:)`` would give.
    public func scattered(at index: Tensor, source: Tensor, _ reduction: ScatterReduction? = nil) -> Tensor {
        let k = tupleLength("scattered", index, 0)
        let rest = Array(shape[k...]), expected = Array(index.shape.dropLast()) + rest
        if source.shape != expected {
            fail("scattered", "a source of shape \(source.shape) at tuples \(index.shape) of \(shape); needs \(expected)")
        }
        let n = index.count / Swift.max(k, 1), width = rest.reduce(1, *)
        let rows =
            k == 0
            ? Tensor(zeros: [expected.dropLast(rest.count).reduce(1, *)], dtype: .int64, device: index.device)
            : flatTuples(index, k)
        let places = rows.reshaped([-1, 1]).expanded(to: [k == 0 ? rows.count : n, width]).contiguous()
        let flat = reshaped([shape[..<k].reduce(1, *), width]), updates = source.reshaped(places.shape)
        let written =
            reduction.map { flat.scatterReduced(axis: 0, index: places, source: updates, $0) }
            ?? flat.scattered(axis: 0, index: places, source: updates)
        return written.reshaped(shape)
    }

    private func tupleLength(_ operation: String, _ index: Tensor, _ batchAxes: Int) -> Int {
        if !index.dtype.isInteger || index.rank == 0 || batchAxes < 0 || batchAxes > index.rank - 1
            || index.shape.last! + batchAxes > rank || Array(index.shape[..<batchAxes]) != Array(shape.prefix(batchAxes))
        {
            fail(
                operation,
                "\(index.dtype) tuples \(index.shape) into \(shape) with \(batchAxes) batch axes; needs integers [..., k], k axes at most"
            )
        }
        return index.shape.last!
    }

    /// One index tensor per position of the tuples.
    private func tupleIndices(_ index: Tensor, _ k: Int, from first: Int) -> [TensorIndex] {
        (0..<k).map { .tensor(index.narrowed(axis: -1, start: $0, length: 1).squeezed(-1).to(.int64)) }
    }

    /// The tuples as row-major positions of the first `k` axes.
    private func flatTuples(_ index: Tensor, _ k: Int) -> Tensor {
        let tuples = index.to(.int64).reshaped([-1, k])
        var flat = Tensor(zeros: [tuples.shape[0]], dtype: .int64, device: tuples.device)
        for axis in 0..<k {
            let size = shape[axis], place = tuples.narrowed(axis: 1, start: axis, length: 1).squeezed(1)
            let inside = which(place .< 0, place + size, place)
            checkIndices("scattered", inside, limit: size, what: "position")
            flat = flat * size + inside
        }
        return flat
    }
}
