import CKernels

/// The gradient of a table's rows before they are put into their places. Of a large vocabulary few rows have a gradient at a time: who
/// knows of these rows steps or adds them alone; whoever looks at the memory finds the whole table, made then.
final class PendingRows: @unchecked Sendable {
    /// Rows to be summed by their ids, int64 `[count]` in any order, without those of `excluding`.
    private struct Parts {
        let ids: RawTensor, rows: RawTensor
        let excluding: Int?
    }
    private struct Sums { let ids: RawTensor, rows: RawTensor }

    private let parts: Parts?
    private var sums: Sums?
    private let table: Shape
    private let lock = SpinLock()
    private var isPlaced = false

    /// Places in the table, each once, ascending: int64 `[n]`.
    var ids: RawTensor { lock.withLock { summed().ids } }
    /// Their rows, `[n, width]`.
    var rows: RawTensor { lock.withLock { summed().rows } }

    /// The sums are made when rows are asked for; the whole table is made of the parts.
    private func summed() -> Sums {
        if let sums { return sums }
        let parts = parts!, places = Places(table[0], [parts.ids])
        let rows = places.summed(parts.ids, parts.rows, width: table[1])
        if let excluding = parts.excluding, let place = places.place(of: excluding) {
            PendingRows.clear(place, at: rows.pointer, byteCount: table[1] * rows.dtype.byteCount)
        }
        let made = Sums(ids: places.ids, rows: rows)
        sums = made
        return made
    }

    private static func clear(_ row: Int, at base: UnsafeMutableRawPointer, byteCount: Int) {
        (base + row * byteCount).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }

    /// Whether it is worthwhile for so many ids of a table: few rows of one past the caches, in the CPU's memory.
    static func suits(table: Shape, ids: Int, _ dtype: DType, _ device: Device) -> Bool {
        device.kind == .cpu && ids &* 4 <= table[0] && table[0] &* table[1] &* dtype.byteCount >= 4 << 20
    }

    /// A table of zeros but for the sums of the rows of equal ids, without the row `excluding`: the same bits as by
    /// ``Backend/scatterRows(_:ids:_:)``.
    static func table(_ shape: Shape, ids: RawTensor, rows: RawTensor, excluding: Int? = nil) -> RawTensor {
        PendingRows(parts: Parts(ids: ids, rows: rows, excluding: excluding), table: shape).pending(rows.dtype)
    }

    /// The sum of two tables.
    static func sum(_ a: PendingRows, _ b: PendingRows) -> RawTensor {
        let places = Places(a.table[0], [a.ids, b.ids])
        let rows = places.summed(a.ids, a.rows, width: a.table[1])
        rows.backend.binary(.add, rows, places.summed(b.ids, b.rows, width: a.table[1]), rows)
        return PendingRows(sums: Sums(ids: places.ids, rows: rows), table: a.table).pending(rows.dtype)
    }

    private func pending(_ dtype: DType) -> RawTensor {
        let count = table[0] * table[1]
        return RawTensor(
            storage: Storage(cpuByteCount: count * dtype.byteCount, pending: self), layout: .dense(table), offset: 0, dtype: dtype
        )
    }

    private init(parts: Parts? = nil, sums: Sums? = nil, table: Shape) {
        self.parts = parts
        self.sums = sums
        self.table = table
    }

    /// Whether the memory is still unmade.
    var isPending: Bool { lock.withLock { !isPlaced } }

    /// Makes the table at `base`, once.
    func place(at base: UnsafeMutableRawPointer) {
        lock.withLock {
            if isPlaced { return }
            let ids = sums?.ids ?? parts!.ids, rows = sums?.rows ?? parts!.rows
            tk_scatter_rows(
                rows.dtype.code, base, Int64(table[0]), Int64(table[1]), ids.pointer.assumingMemoryBound(to: Int64.self),
                Int64(ids.count), rows.pointer)
            if sums == nil, let excluding = parts?.excluding, table[0] > excluding, excluding >= 0 {
                PendingRows.clear(excluding, at: base, byteCount: table[1] * rows.dtype.byteCount)
            }
            isPlaced = true
        }
    }

    /// The different ids of some lists, ascending, and where each of them is among these.
    private struct Places {
        let ids: RawTensor
        private let places: [Int64]

        init(_ vocabulary: Int, _ lists: [RawTensor]) {
            var places = [Int64](repeating: -1, count: vocabulary)
            for list in lists { for id in Places.elements(list) { places[Int(id)] = 0 } }
            var count = 0
            for id in places.indices where places[id] == 0 {
                places[id] = Int64(count)
                count += 1
            }
            ids = RawTensor(shape: [count], .int64)
            let out = ids.pointer.assumingMemoryBound(to: Int64.self)
            for id in places.indices where places[id] >= 0 { out[Int(places[id])] = Int64(id) }
            self.places = places
        }

        private static func elements(_ list: RawTensor) -> UnsafeBufferPointer<Int64> {
            UnsafeBufferPointer(start: list.pointer.assumingMemoryBound(to: Int64.self), count: list.count)
        }

        func place(of id: Int) -> Int? { places.indices.contains(id) && places[id] >= 0 ? Int(places[id]) : nil }

        /// The sums of the rows of each id.
        func summed(_ list: RawTensor, _ rows: RawTensor, width: Int) -> RawTensor {
            let local = RawTensor(shape: [list.count], .int64), to = local.pointer.assumingMemoryBound(to: Int64.self)
            for (i, id) in Places.elements(list).enumerated() { to[i] = places[Int(id)] }
            let sums = RawTensor(shape: [ids.count, width], rows.dtype)
            sums.backend.scatterRows(sums, ids: local, rows)
            return sums
        }
    }
}

extension Tensor {
    /// The rows of a gradient that nobody has looked at yet.
    fileprivate var pendingRows: PendingRows? {
        guard !isBatched, tapeNode == nil, let pending = raw.storage.pending, pending.isPending else { return nil }
        return pending
    }

    /// The rows that alone are not zero, and their places (int64 `[n]`, each once, ascending), of the gradient of a large
    /// table as long as nobody has looked at it: what an optimizer that leaves zero gradients alone needs.
    public var onlyRows: (ids: Tensor, rows: Tensor)? {
        pendingRows.map { (Tensor(raw: $0.ids), Tensor(raw: $0.rows)) }
    }

    /// Adds another gradient of the same shape: in place where no tape and no other tensor sees the storage, and only the rows
    /// of a large table that have one.
    public mutating func addGradient(_ other: consuming Tensor) {
        if isBatched || other.isBatched || (raw.storage.pending == nil && other.raw.storage.pending == nil) {
            self += other
            return
        }
        switch (pendingRows, other.pendingRows) {
        case (let a?, let b?): self = Tensor(raw: PendingRows.sum(a, b))
        case (nil, let b?) where !isBatched && tapeNode == nil && dtype == other.dtype && raw.isContiguous:
            withMutableRaw { $0.backend.addRows($0, ids: b.ids, b.rows) }
        case (_?, nil) where !other.isBatched && other.raw.storage.pending == nil:
            var sum = other
            sum.addGradient(self)
            self = sum
        default: self += other
        }
    }
}
