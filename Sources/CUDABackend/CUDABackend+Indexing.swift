import CCUDA
import CoreTensor

// MARK: Gathering and scattering

extension CUDABackend {
    /// Elements of any type, by their size.
    public func gatherRows(_ table: RawTensor, ids: RawTensor, _ out: RawTensor) {
        run(
            KernelName("tk_gather_rows", table.dtype.sizeSuffix), pieces: out.count, address(table, "gatherRows"),
            address(ids, "gatherRows"),
            address(out, "gatherRows"), ids.count, table.shape[1])
    }

    /// Rows of the same place are linked and added in their order: no atomic additions, so every run gives the same bits.
    public func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        if out.dtype.isComplex { missing("scatterRows", out.dtype) }
        let to = address(out, "scatterRows"), index = address(ids, "scatterRows"), n = ids.count
        context.setBytes(to, 0, out.count * out.dtype.byteCount)
        if n == 0 || out.count == 0 { return }
        let next = scratch([n], .int64), heads = scratch([n], .bool)
        run(KernelName("tk_link_rows"), pieces: n, index, address(next, "scatterRows"), address(heads, "scatterRows"), n)
        context.launch(
            KernelName("tk_scatter_rows", out.dtype.suffix), grid: (min(n, 1 << 20), 1), block: (256, 1), to, index,
            address(next, "scatterRows"), address(heads, "scatterRows"), address(rows, "scatterRows"), n, out.shape[1])
    }

    /// Elements of any type, by their size.
    public func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int) {
        run(
            KernelName("tk_gather", x.dtype.sizeSuffix), pieces: out.count, address(x, "gather"), address(index, "gather"),
            address(out, "gather"), sourceView.outer, sourceView.n, sourceView.inner, n)
    }

    /// A thread to a column.
    public func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) {
        scatter("scatterAdd", x, index, out, outputView, n, -1)
    }

    /// A thread to a column.
    public func scatterReduce(
        _ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int
    ) {
        scatter("scatterReduce", x, index, out, outputView, n, Int(op.rawValue))
    }

    private func scatter(
        _ operation: StaticString, _ x: RawTensor, _ index: RawTensor, _ out: RawTensor, _ view: AxisView, _ n: Int, _ op: Int
    ) {
        if x.dtype.isComplex { missing("\(operation)", x.dtype) }
        run(
            KernelName("tk_scatter", x.dtype == .bool ? "u8" : x.dtype.suffix), pieces: view.outer * view.inner,
            address(x, operation),
            address(index, operation), address(out, operation), view.outer, view.n, view.inner, n, op)
    }

    /// Waits for the device; a captured check is looked at after the replays.
    public func firstOutOfRange(_ index: RawTensor, limit: Int) -> Int? {
        if index.count == 0 || ErrorScope.hasFailed { return nil }
        let first = scratch([1], .int64)
        context.setBytes(address(first, "index"), 0xff, 8)
        run(
            KernelName("tk_first_out_of_range"), pieces: index.count, address(index, "index"), address(first, "index"),
            index.count, limit)
        if let recorder = Recorder.current { return recorder.looksLater(address(first, "index"), limit) }
        var result = UInt64.max
        withUnsafeMutableBytes(of: &result) { context.copyToHost($0.baseAddress!, address(first, "index"), 8) }
        return result == .max || ErrorScope.hasFailed ? nil : Int(result)
    }

    /// Counted by chunks, then written; waits for the device between the two.
    public func nonzero(_ x: RawTensor) -> RawTensor {
        let n = x.count, chunks = (n + 1023) / 1024
        if n == 0 { return scratch([0], .int64) }
        let begins = scratch([chunks + 1], .int64), from = address(x, "nonzero"), places = address(begins, "nonzero")
        run(KernelName("tk_nonzero_count"), pieces: chunks, from, places, n)
        run(KernelName("tk_nonzero_begin"), pieces: 1, places, chunks)
        var count = 0
        withUnsafeMutableBytes(of: &count) { context.copyToHost($0.baseAddress!, places + UInt64(8 * chunks), 8) }
        let out = scratch([count], .int64)
        if count > 0 { run(KernelName("tk_nonzero_write"), pieces: chunks, from, places, address(out, "nonzero"), n) }
        return out
    }

    /// By bisection.
    public func searchSorted(
        _ sorted: RawTensor, _ values: RawTensor, _ out: RawTensor, rows: Int, n: Int, m: Int, shared: Bool, right: Bool
    ) {
        run(
            KernelName("tk_search", sorted.dtype == .bool ? "u8" : sorted.dtype.suffix), pieces: rows * m,
            address(sorted, "searchSorted"),
            address(values, "searchSorted"), address(out, "searchSorted"), rows, n, m, shared ? 1 : 0, right ? 1 : 0)
    }
}
