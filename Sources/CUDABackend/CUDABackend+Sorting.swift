import CCUDA
import CoreTensor

// MARK: Sorting

extension CUDABackend {
    /// By a bitonic network over keys and positions.
    public func sort(_ x: RawTensor, positions: RawTensor, _ view: AxisView, descending: Bool) {
        sortedPlaces("sort", x, positions, view, k: view.n, descending: descending)
    }

    /// Sorted, and cut off.
    public func topK(_ x: RawTensor, positions: RawTensor, _ view: AxisView, k: Int, smallest: Bool) {
        sortedPlaces("topK", x, positions, view, k: k, descending: !smallest)
    }

    private func sortedPlaces(
        _ operation: StaticString, _ x: RawTensor, _ positions: RawTensor, _ view: AxisView, k: Int, descending: Bool
    ) {
        let rows = view.outer * view.inner
        if rows == 0 || view.n == 0 { return }
        let (_, places, size) = sortedKeys(
            operation, x, outer: view.outer, n: view.n, inner: view.inner, descending: descending)
        run(
            KernelName("tk_sort_places"), pieces: rows * k, address(places, operation), address(positions, operation), rows, k,
            view.inner, size)
    }

    /// Order-preserving keys of `x [outer, n, inner]` along the middle, sorted, and where each was: `[outer · inner, size]`, whose rows are
    /// filled up to a power of two with the largest key. Steps over short distances are done in shared memory, many to a launch.
    func sortedKeys(
        _ operation: StaticString, _ x: RawTensor, outer: Int, n: Int, inner: Int, descending: Bool
    ) -> (keys: RawTensor, places: RawTensor, size: Int) {
        if x.dtype.isComplex || x.dtype.isStorageOnly { missing("\(operation)", x.dtype) }
        let rows = outer * inner
        var size = 2
        while size < n { size *= 2 }
        let keys = scratch([rows, size], .int64), places = scratch([rows, size], .int64)
        let first = address(keys, operation), second = address(places, operation)
        run(
            KernelName("tk_sort_keys", x.dtype == .bool ? "u8" : x.dtype.suffix), pieces: rows * size, address(x, operation),
            first, second, rows, n, inner, size, descending ? 1 : 0)
        let tile = min(size, 1024)
        func sortTiles(_ from: Int, _ to: Int) {
            context.launch(
                KernelName("tk_sort_tile"), grid: (rows * size / tile, 1), block: (256, 1), first, second, size, from, to)
        }
        sortTiles(2, tile)
        var length = 2 * tile
        while length <= size {
            var distance = length / 2
            while distance >= tile {
                run(
                    KernelName("tk_sort_step"), pieces: rows * size / 2, first, second, rows * size / 2, size,
                    length == size ? 0 : length, distance)
                distance /= 2
            }
            sortTiles(length, length)
            length *= 2
        }
        return (keys, places, size)
    }

    /// Stable sorts from the last column to the first.
    public func sortRows(_ x: RawTensor, positions: RawTensor) {
        let rows = x.shape[0], width = x.shape[1], view = AxisView(outer: 1, n: rows, inner: 1)
        arange(positions, start: 0, step: 1)
        if rows == 0 { return }
        let column = scratch([rows], x.dtype), ordered = scratch([rows, 1], x.dtype)
        let places = scratch([rows], .int64), next = scratch([rows, 1], .int64)
        for j in (0..<width).reversed() {
            copy(x.part([rows], strides: [width], from: j), to: column)
            gatherRows(column.part([rows, 1]), ids: positions, ordered)
            sort(ordered, positions: places, view, descending: false)
            gatherRows(positions.part([rows, 1]), ids: places, next)
            copy(next.part([rows]), to: positions)
        }
    }
}
