extension Tensor {
    /// The first `lengths[b]` places along `axis` in reverse order, for every example `b` of `batchAxis`; later places stay where they
    /// are (TensorFlow's `reverse_sequence`). `lengths [batch]`, integers.
    ///
    /// Traps if the axes are the same or `lengths` does not fit.
    public func reversedSequences(lengths: Tensor, axis: Int, batchAxis: Int = 0) -> Tensor {
        let time = resolveAxis("reversedSequences", axis, rank: rank)
        let batch = resolveAxis("reversedSequences", batchAxis, rank: rank)
        if time == batch || rank < 2 || lengths.shape != [shape[batch]] || !lengths.dtype.isInteger {
            fail(
                "reversedSequences",
                "\(lengths.dtype) lengths \(lengths.shape) for \(shape), axes \(axis) and \(batchAxis); needs integers [batch], two axes"
            )
        }
        let place = Tensor(arange: shape[time], device: device), ends = lengths.to(.int64).reshaped([-1, 1])
        let source = which(place .< ends, ends - 1 - place, place)
        var view = Shape(repeating: 1, count: rank)
        (view[batch], view[time]) = (shape[batch], shape[time])
        let index = (batch < time ? source : source.transposed(0, 1)).reshaped(view).expanded(to: shape)
        return gathered(axis: time, index: index.contiguous())
    }
}
