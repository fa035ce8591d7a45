/// What two neighbouring tokens become: (left, right) → (rank, merged). Lower ranks are merged first.
final class PairTable: @unchecked Sendable {
    private let keys: UnsafeMutableBufferPointer<UInt64>
    private let values: UnsafeMutableBufferPointer<UInt64>
    private let mask: Int
    /// No pair has it: both halves are at most Int32.max.
    private static let empty = UInt64.max
    /// What ``value(_:_:)`` answers for a pair that is not merged.
    static let none = UInt64.max

    /// Merges in order of rank. Of a pair that comes twice the last counts, as in the reference.
    init(_ merges: [(left: Int32, right: Int32, merged: Int32)]) {
        var capacity = 16
        while capacity < merges.count * 2 { capacity *= 2 }
        keys = .allocate(capacity: capacity)
        values = .allocate(capacity: capacity)
        mask = capacity - 1
        keys.initialize(repeating: Self.empty)
        values.initialize(repeating: Self.none)
        for (rank, merge) in merges.enumerated() {
            let key = Self.key(merge.left, merge.right)
            var slot = slot(key)
            while keys[slot] != Self.empty && keys[slot] != key { slot = (slot + 1) & mask }
            keys[slot] = key
            values[slot] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merge.merged))
        }
    }

    deinit {
        keys.deallocate()
        values.deallocate()
    }

    @inline(__always) private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    @inline(__always) private func slot(_ key: UInt64) -> Int {
        let product = key.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return Int(truncatingIfNeeded: product.high ^ product.low) & mask
    }

    /// The rank in the upper half and the merged token in the lower; ``none`` if the pair is not merged.
    @inline(__always) func value(_ left: Int32, _ right: Int32) -> UInt64 {
        let key = Self.key(left, right)
        var slot = slot(key)
        while true {
            if keys[slot] == key { return values[slot] }
            if keys[slot] == Self.empty { return Self.none }
            slot = (slot + 1) & mask
        }
    }
}
