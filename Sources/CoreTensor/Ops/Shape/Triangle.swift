extension Tensor {
    /// The elements on and below the `diagonal`-th diagonal of the last two axes, 0 elsewhere.
    public func tril(diagonal: Int = 0) -> Tensor { triangle("tril", diagonal, lower: true) }

    /// The elements on and above the `diagonal`-th diagonal of the last two axes, 0 elsewhere.
    public func triu(diagonal: Int = 0) -> Tensor { triangle("triu", diagonal, lower: false) }

    private func triangle(_ name: String, _ diagonal: Int, lower: Bool) -> Tensor {
        if rank < 2 { fail(name, "needs a matrix, not \(shape)") }
        let rows = Tensor(arange: shape[rank - 2], device: device).unsqueezed(1)
        let columns = Tensor(arange: shape[rank - 1], device: device)
        let keep = lower ? columns .<= rows + diagonal : columns .>= rows + diagonal
        return which(keep, self, Tensor(zeros: [], dtype: dtype, device: device))
    }
}
