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

    /// Elements of any type, by their size.
    public func setRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        run(
            KernelName("tk_set_rows", out.dtype.sizeSuffix), pieces: rows.count, address(out, "setRows"),
            address(ids, "setRows"), address(rows, "setRows"), ids.count, out.shape[1])
    }

    /// Ids are sorted, so that rows of the same place lie together and are added in their order: no atomic additions, and every run gives the
    /// same bits.
    public func scatterRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        context.setBytes(address(out, "scatterRows"), 0, out.count * out.dtype.byteCount)
        scatterRows("scatterRows", out, ids, rows, adds: false)
    }

    /// As ``scatterRows(_:ids:_:)``, onto what is there.
    public func addRows(_ out: RawTensor, ids: RawTensor, _ rows: RawTensor) {
        scatterRows("addRows", out, ids, rows, adds: true)
    }

    private func scatterRows(_ operation: StaticString, _ out: RawTensor, _ ids: RawTensor, _ rows: RawTensor, adds: Bool) {
        let n = ids.count, width = out.shape[1]
        if n == 0 || out.count == 0 { return }
        let (keys, places, _) = sortedKeys(operation, ids, outer: 1, n: n, inner: 1, descending: false)
        context.launch(
            KernelName("tk_scatter_rows", out.dtype == .bool ? "u8" : out.dtype.suffix),
            grid: (min(n, 1 << 20), (width + 255) / 256),
            block: (min(256, (width + 31) / 32 * 32), 1), address(out, operation), address(keys, operation),
            address(places, operation), address(rows, operation), n, width, adds ? 1 : 0)
    }

    /// Elements of any type, by their size.
    public func gather(_ x: RawTensor, index: RawTensor, _ out: RawTensor, sourceView: AxisView, n: Int) {
        run(
            KernelName("tk_gather", x.dtype.sizeSuffix), pieces: out.count, address(x, "gather"), address(index, "gather"),
            address(out, "gather"), sourceView.outer, sourceView.n, sourceView.inner, n)
    }

    /// A thread to a column, or to a run of equal indices.
    public func scatterAdd(_ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int) {
        scatter("scatterAdd", x, index, out, outputView, n, -1)
    }

    /// A thread to a column, or to a run of equal indices.
    public func scatterReduce(
        _ op: ScatterKernel, _ x: RawTensor, index: RawTensor, _ out: RawTensor, outputView: AxisView, n: Int
    ) {
        scatter("scatterReduce", x, index, out, outputView, n, Int(op.rawValue))
    }

    private func scatter(
        _ operation: StaticString, _ x: RawTensor, _ index: RawTensor, _ out: RawTensor, _ view: AxisView, _ n: Int, _ op: Int
    ) {
        let suffix: StaticString = x.dtype == .bool ? "u8" : x.dtype.suffix, columns = view.outer * view.inner
        // Few and long columns: their indices sorted, which brings those of one place together.
        if columns > 0 && columns < 4096 && n > 64 {
            let (keys, places, size) = sortedKeys(operation, index, outer: view.outer, n: n, inner: view.inner, descending: false)
            return run(
                KernelName("tk_scatter_sorted", suffix), pieces: columns * n, address(x, operation), address(keys, operation),
                address(places, operation), address(out, operation), view.outer, view.n, view.inner, n, size, op)
        }
        run(
            KernelName("tk_scatter", suffix), pieces: columns,
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
        run(KernelName("tk_nonzero_count"), pieces: chunks * 32, from, places, n)
        context.launch(KernelName("tk_nonzero_begin"), grid: (1, 1), block: (256, 1), places, chunks)
        var count = 0
        withUnsafeMutableBytes(of: &count) { context.copyToHost($0.baseAddress!, places + UInt64(8 * chunks), 8) }
        let out = scratch([count], .int64)
        if count > 0 { run(KernelName("tk_nonzero_write"), pieces: chunks * 32, from, places, address(out, "nonzero"), n) }
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
