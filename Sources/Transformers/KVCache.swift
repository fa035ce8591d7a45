import CoreTensor

/// The keys and values of the positions a model has already seen, so that each further token costs only its own. One ``Layer`` per
/// attention layer; new positions are written in place behind the old ones, which are not copied until the capacity is used up.
///
/// A value: a copy continues on its own (its first append copies what both share), so that a prompt can be read once and continued
/// many times.
public struct KVCache: Sendable {
    /// The attention layers, first to last.
    public var layers: [Layer]

    /// Empty. With a `capacity`, room for that many positions is taken at the first append, and more than that trap; without, the room
    /// doubles as it is used up.
    public init(layers: Int, capacity: Int? = nil) {
        if layers < 0 { fail("KVCache", "\(layers) layers") }
        self.init(windows: Array(repeating: nil, count: layers), capacity: capacity)
    }

    /// Empty, one layer per window: a layer with one keeps only the positions that its window (the query's own counted) can still see, and a
    /// little more, so that its memory does not grow with the sequence.
    public init(windows: [Int?], capacity: Int? = nil) {
        if let capacity, capacity < 1 { fail("KVCache", "a capacity of \(capacity) positions; needs at least 1") }
        for case let window? in windows where window < 1 { fail("KVCache", "a window of \(window) positions; needs at least 1") }
        layers = windows.map { Layer(capacity: capacity, window: $0) }
    }

    /// Positions so far.
    public var length: Int { layers.first?.length ?? 0 }

    /// The cache of sequences `rows[0]`, `rows[1]` … of this one's batch, each any number of times; itself if these are all in order.
    public func selecting(rows: [Int]) -> KVCache {
        var result = self
        for index in layers.indices { result.layers[index].select(rows) }
        return result
    }

    /// Forgets all positions from `length` on; the room stays. Traps where ``canTruncate(to:)`` is false.
    public mutating func truncate(to length: Int) {
        for index in layers.indices { layers[index].truncate(to: length) }
    }

    /// Whether the cache can go back to `length` positions: a layer with a window can by ``slack`` at least, others always.
    public func canTruncate(to length: Int) -> Bool {
        0 <= length && length <= self.length
            && layers.allSatisfy { $0.firstHeld == 0 || $0.firstHeld <= length + 1 - ($0.window ?? 0) }
    }

    /// Bytes of the rooms of all layers.
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    /// Positions that a layer keeps beyond its window, for going back.
    public static let slack = 32

    /// The keys and values of one attention layer, `[batch, kvHeads, positions, dim]` each (dims may differ), in their own type.
    public struct Layer: Sendable {
        /// Positions so far, forgotten ones counted.
        public private(set) var length = 0
        /// How many positions back a query sees, itself counted; nil: all.
        public let window: Int?
        /// The first position that is still held.
        fileprivate var firstHeld = 0
        // Positions of the last append, each of which sees a window.
        private var newest = 0
        private let limit: Int?
        // [batch, kvHeads, capacity, dim]
        private var storedKeys: Tensor?
        private var storedValues: Tensor?

        init(capacity: Int?, window: Int? = nil) {
            limit = capacity
            self.window = window
        }

        /// Positions there is room for now.
        public var capacity: Int { storedKeys?.shape[2] ?? 0 }
        /// Bytes of the room.
        public var byteCount: Int {
            [storedKeys, storedValues].reduce(0) { $0 + ($1.map { $0.count * $0.dtype.byteCount } ?? 0) }
        }
        /// What was appended, views of `[batch, kvHeads, length, dim]`; with a window, those positions that the last append's see. Nil before the
        /// first append.
        public var keys: Tensor? { storedKeys.map(visible) }
        /// As ``keys``.
        public var values: Tensor? { storedValues.map(visible) }

        private func visible(_ stored: Tensor) -> Tensor {
            let held = length - firstHeld
            let count = window.map { min(held, $0 - 1 + max(newest, 1)) } ?? held
            return stored.narrowed(axis: 2, start: held - count, length: count)
        }

        /// Writes `keys [batch, kvHeads, new, dim]` and `values [batch, kvHeads, new, width]` behind the others. They must not carry
        /// history: gradients do not flow through a cache.
        public mutating func append(_ keys: Tensor, _ values: Tensor) {
            if keys.rank != 4 || values.rank != 4 || keys.shape[..<3] != values.shape[..<3] {
                fail("KVCache.append", "keys \(keys.shape) and values \(values.shape) do not fit: [batch, kvHeads, new, dim]")
            }
            if keys.requiresGrad || values.requiresGrad {
                fail("KVCache.append", "keys or values require a gradient; call the model inside withoutGrad")
            }
            let new = keys.shape[2]
            checkLimit(new)
            forget(before: new)
            let start = length - firstHeld
            Self.makeRoom(for: keys.shape, keys.dtype, keys.device, in: &storedKeys, at: start, limit: roomLimit(new))
            Self.makeRoom(for: values.shape, values.dtype, values.device, in: &storedValues, at: start, limit: roomLimit(new))
            Self.copy(keys, to: &storedKeys!, at: start)
            Self.copy(values, to: &storedValues!, at: start)
            length += new
            newest = new
        }

        private func checkLimit(_ new: Int) {
            if let limit, length + new > limit {
                fail("KVCache.append", "\(length + new) positions exceed the capacity of \(limit)")
            }
        }

        /// The room to take at once, if it is known.
        private func roomLimit(_ new: Int) -> Int? {
            guard let window else { return limit }
            // Twice the window, so that what is kept is moved only once in a window.
            let room = max(2 * (window + KVCache.slack), length - firstHeld + new)
            return limit.map { min($0, room) }
        }

        /// With a window: where the room is used up, moves what is still seen to the beginning of a new one.
        private mutating func forget(before new: Int) {
            guard let window, let keys = storedKeys, let values = storedValues else { return }
            let held = length - firstHeld, kept = min(held, window - 1 + KVCache.slack)
            let usual = 2 * (window + KVCache.slack)
            if held + new <= keys.shape[2] && keys.shape[2] <= usual || kept == held { return }
            let capacity = max(usual, kept + new)
            func moved(_ stored: Tensor) -> Tensor {
                var room = Tensor(
                    zeros: [stored.shape[0], stored.shape[1], capacity, stored.shape[3]], dtype: stored.dtype,
                    device: stored.device)
                Self.copy(stored.narrowed(axis: 2, start: held - kept, length: kept), to: &room, at: 0)
                return room
            }
            storedKeys = moved(keys)
            storedValues = moved(values)
            firstHeld = length - kept
        }

        mutating func select(_ rows: [Int]) {
            guard let keys = storedKeys, let values = storedValues, rows != Array(0..<keys.shape[0]) else { return }
            let index = Tensor(rows, device: keys.device)
            storedKeys = keys.indexSelect(axis: 0, index: index)
            storedValues = values.indexSelect(axis: 0, index: index)
        }

        mutating func truncate(to length: Int) {
            if length < 0 || length > self.length { fail("KVCache.truncate", "\(length) of \(self.length) positions") }
            if firstHeld > 0, let window, firstHeld > length + 1 - window {
                fail(
                    "KVCache.truncate",
                    "a window of \(window) at \(length) positions needs some that were forgotten; see canTruncate(to:)")
            }
            self.length = length
            newest = 0
        }

        /// Hands `body` the stored keys and values `[batch, kvHeads, capacity, dim]`, with room for another position, to write them at
        /// ``length``; the position counts if `body` says so.
        mutating func extend(
            batch: Int, heads: Int, dim: Int, like x: RawTensor, _ body: (RawTensor, RawTensor) -> Bool
        ) -> Bool {
            if window != nil { return false }
            checkLimit(1)
            let new = [batch, heads, 1, dim]
            Self.makeRoom(for: new, x.dtype, x.device, in: &storedKeys, at: length, limit: limit)
            Self.makeRoom(for: new, x.dtype, x.device, in: &storedValues, at: length, limit: limit)
            let isWritten = storedKeys!.withMutableRaw { keys in storedValues!.withMutableRaw { values in body(keys, values) } }
            if isWritten {
                length += 1
                newest = 1
            }
            return isWritten
        }

        // Room behind `start` for keys or values of shape `s`.
        private static func makeRoom(
            for s: Shape, _ dtype: DType, _ device: Device, in stored: inout Tensor?, at start: Int, limit: Int?
        ) {
            if let old = stored, [old.shape[0], old.shape[1], old.shape[3]] != [s[0], s[1], s[3]] || old.dtype != dtype {
                fail("KVCache.append", "\(dtype) \(s) does not continue \(old.dtype) \(old.shape)")
            }
            let end = start + s[2]
            if stored == nil || end > stored!.shape[2] {
                // Doubling keeps the cost of copying to a constant per position.
                let capacity = limit ?? max(end, 2 * (stored?.shape[2] ?? 16))
                var room = Tensor(zeros: [s[0], s[1], capacity, s[3]], dtype: dtype, device: device)
                if start > 0 { copy(stored!.narrowed(axis: 2, start: 0, length: start), to: &room, at: 0) }
                stored = room
            }
        }

        private static func copy(_ new: Tensor, to stored: inout Tensor, at start: Int) {
            stored.withMutableRaw { raw in
                let place = RawTensor(
                    storage: raw.storage, layout: Layout(shape: new.shape, strides: raw.layout.strides),
                    offset: raw.offset + start * raw.layout.strides[2], dtype: raw.dtype)
                raw.backend.copy(new.raw, to: place)
            }
        }
    }
}
