import CoreTensor

/// The indices of an epoch in the order in which they are visited; made as they are asked for, so that an order of billions needs no memory.
public struct IndexOrder: RandomAccessCollection, Sendable {
    private let length: Int
    private let index: @Sendable (Int) -> Int

    /// `count` indices, of which `index` gives the one at a position.
    public init(count: Int, _ index: @escaping @Sendable (_ position: Int) -> Int) {
        length = count
        self.index = index
    }

    /// The indices in this order.
    public init(_ indices: [Int]) { self.init(count: indices.count) { indices[$0] } }

    /// `0 ..< count` in random order: by Fisher and Yates up to 2²⁰, above by a Feistel network, which needs no memory.
    public init(shuffling count: Int, generator: RandomGenerator) {
        if count <= 1 << 20 {
            self.init(Tensor(permutation: count, generator: generator).scalars(Int.self))
        } else {
            let permutation = FeistelPermutation(count: count, key: generator.split(0).state.seed)
            self.init(count: count) { permutation[$0] }
        }
    }

    /// 0.
    public var startIndex: Int { 0 }
    /// The number of indices.
    public var endIndex: Int { length }
    /// The index visited at a position.
    public subscript(position: Int) -> Int { index(position) }
}

/// A permutation of `0 ..< count` whose values are computed one by one: a balanced Feistel network on the next power of 4, followed until it
/// falls into the range (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
struct FeistelPermutation: Sendable {
    let count: Int
    private let halfBits: UInt64
    private let keys: [UInt64]

    init(count: Int, key: UInt64) {
        self.count = count
        var bits: UInt64 = 1
        while bits < 31 && 1 << (2 * bits) < count { bits += 1 }
        halfBits = bits
        var generator = RandomGenerator(seed: key)
        keys = (0..<8).map { _ in
            generator = generator.split(1)
            return generator.state.seed
        }
    }

    subscript(position: Int) -> Int {
        let mask = (UInt64(1) << halfBits) - 1
        var value = UInt64(position)
        // The domain has fewer than 4 elements for each of the range, so this ends after a few rounds.
        repeat {
            var left = value >> halfBits, right = value & mask
            for key in keys {
                var z = (right ^ key) &* 0x9E37_79B9_7F4A_7C15
                z = (z ^ (z >> 29)) &* 0xBF58_476D_1CE4_E5B9
                z ^= z >> 32
                (left, right) = (right, (left ^ z) & mask)
            }
            value = left << halfBits | right
        } while value >= UInt64(count)
        return Int(value)
    }
}
