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
        if let capacity, capacity < 1 { fail("KVCache", "a capacity of \(capacity) positions; needs at least 1") }
        self.layers = Array(repeating: Layer(capacity: capacity), count: layers)
    }

    /// Positions so far.
    public var length: Int { layers.first?.length ?? 0 }

    /// The cache of sequences `rows[0]`, `rows[1]` … of this one's batch, each any number of times; itself if these are all in order.
    public func selecting(rows: [Int]) -> KVCache {
        var result = self
        for index in layers.indices { result.layers[index].select(rows) }
        return result
    }

    /// Forgets all positions from `length` on; the room stays.
    public mutating func truncate(to length: Int) {
        for index in layers.indices { layers[index].truncate(to: length) }
    }

    /// The keys and values of one attention layer, `[batch, kvHeads, positions, dim]` each (dims may differ), in their own type.
    public struct Layer: Sendable {
        /// Positions so far.
        public private(set) var length = 0
        private let limit: Int?
        // [batch, kvHeads, capacity, dim]
        private var storedKeys: Tensor?
        private var storedValues: Tensor?

        init(capacity: Int?) { limit = capacity }

        /// Positions there is room for now.
        public var capacity: Int { storedKeys?.shape[2] ?? 0 }
        /// What was appended, views of `[batch, kvHeads, length, dim]`; nil before the first append.
        public var keys: Tensor? { storedKeys?.narrowed(axis: 2, start: 0, length: length) }
        /// As ``keys``.
        public var values: Tensor? { storedValues?.narrowed(axis: 2, start: 0, length: length) }

        /// Writes `keys [batch, kvHeads, new, dim]` and `values [batch, kvHeads, new, width]` behind the others. They must not carry
        /// history: gradients do not flow through a cache.
        public mutating func append(_ keys: Tensor, _ values: Tensor) {
            if keys.rank != 4 || values.rank != 4 || keys.shape[..<3] != values.shape[..<3] {
                fail("KVCache.append", "keys \(keys.shape) and values \(values.shape) do not fit: [batch, kvHeads, new, dim]")
            }
            if keys.requiresGrad || values.requiresGrad {
                fail("KVCache.append", "keys or values require a gradient; call the model inside withoutGrad")
            }
            let end = length + keys.shape[2]
            if let limit, end > limit { fail("KVCache.append", "\(end) positions exceed the capacity of \(limit)") }
            Self.write(keys, to: &storedKeys, at: length, limit: limit)
            Self.write(values, to: &storedValues, at: length, limit: limit)
            length = end
        }

        mutating func select(_ rows: [Int]) {
            guard let keys = storedKeys, let values = storedValues, rows != Array(0..<keys.shape[0]) else { return }
            let index = Tensor(rows, device: keys.device)
            storedKeys = keys.indexSelect(axis: 0, index: index)
            storedValues = values.indexSelect(axis: 0, index: index)
        }

        mutating func truncate(to length: Int) {
            if length < 0 || length > self.length { fail("KVCache.truncate", "\(length) of \(self.length) positions") }
            self.length = length
        }

        /// Hands `body` the stored keys and values `[batch, kvHeads, capacity, dim]`, with room for another position, to write them at
        /// ``length``; the position counts if `body` says so.
        mutating func extend(
            batch: Int, heads: Int, dim: Int, like x: RawTensor, _ body: (RawTensor, RawTensor) -> Bool
        ) -> Bool {
            if let limit, length + 1 > limit { fail("KVCache.append", "\(length + 1) positions exceed the capacity of \(limit)") }
            let new = [batch, heads, 1, dim]
            Self.makeRoom(for: new, x.dtype, x.device, in: &storedKeys, at: length, limit: limit)
            Self.makeRoom(for: new, x.dtype, x.device, in: &storedValues, at: length, limit: limit)
            let isWritten = storedKeys!.withMutableRaw { keys in storedValues!.withMutableRaw { values in body(keys, values) } }
            if isWritten { length += 1 }
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

        private static func write(_ new: Tensor, to stored: inout Tensor?, at start: Int, limit: Int?) {
            makeRoom(for: new.shape, new.dtype, new.device, in: &stored, at: start, limit: limit)
            copy(new, to: &stored!, at: start)
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
