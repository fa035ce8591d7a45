import CKernels

// Scans, sorting and searching on the CPU.
extension CPUBackend {
    /// By `tk_scan`.
    public func scan(_ op: ScanKernel, _ x: RawTensor, _ out: RawTensor, positions: RawTensor?, _ view: AxisView) {
        tk_scan(
            op.rawValue, x.dtype.code, x.pointer, out.pointer, positions.map(int64Pointer), Int64(view.outer), Int64(view.n),
            Int64(view.inner))
    }

    /// By `tk_sort`: radix sort of order-preserving keys.
    public func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool) {
        tk_sort(
            x.dtype.code, x.pointer, nil, int64Pointer(positions), Int64(view.outer), Int64(view.n), Int64(view.inner), descending
        )
    }

    /// By `tk_topk`: a heap of `k`.
    public func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool) {
        tk_topk(
            x.dtype.code, x.pointer, nil, int64Pointer(positions), Int64(view.outer), Int64(view.n), Int64(view.inner), Int64(k),
            smallest)
    }

    /// By `tk_sort_rows`: stable sorts from the last column to the first.
    public func sortRows(_ x: RawTensor, positions: RawTensor) {
        tk_sort_rows(x.dtype.code, x.pointer, int64Pointer(positions), Int64(x.shape[0]), Int64(x.shape[1]))
    }

    /// By `tk_searchsorted`: bisection.
    public func searchSorted(
        _ sorted: RawTensor, _ values: RawTensor, _ out: RawTensor, rows: Int, n: Int, m: Int, shared: Bool, right: Bool
    ) {
        tk_searchsorted(
            sorted.dtype.code, sorted.pointer, values.pointer, int64Pointer(out), Int64(rows), Int64(n), Int64(m), shared, right)
    }

    /// By `tk_scatter_reduce`, in the order of `j`.
    public func scatterReduce(
        _ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int
    ) {
        tk_scatter_reduce(
            op.rawValue, x.dtype.code, out.pointer, Int64(outputView.outer), Int64(outputView.n), Int64(outputView.inner),
            int64Pointer(index), Int64(n), x.pointer)
    }

    /// By `tk_nonzero`.
    public func nonzero(_ x: RawTensor) -> RawTensor {
        let count = tk_nonzero(boolPointer(x), Int64(x.count), nil)
        let out = RawTensor(shape: [Int(count)], .int64)
        if count > 0 { _ = tk_nonzero(boolPointer(x), Int64(x.count), int64Pointer(out)) }
        return out
    }
}
