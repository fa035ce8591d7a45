/// A stream of random numbers: Philox4x32-10 (Salmon et al., 2011). The state is a seed and a position, so a stream is the
/// same on every machine, for any number of threads, and can be saved and continued exactly.
public final class RandomGenerator: Sendable {
    /// What a generator is: enough to continue it bit for bit.
    public struct State: Sendable, Equatable, Codable {
        /// The key of the stream: another seed gives unrelated numbers.
        public var seed: UInt64
        /// Counters used so far; each gives four 32-bit words.
        public var position: UInt64
        /// The stream of `seed`, `position` counters on.
        public init(seed: UInt64, position: UInt64) {
            self.seed = seed
            self.position = position
        }
    }

    private let lock = SpinLock()
    nonisolated(unsafe) private var current: State

    /// A stream of its own, from its beginning.
    public init(seed: UInt64) { current = State(seed: seed, position: 0) }

    /// The generator used where none is given. Seed it with ``manualSeed(_:)``.
    public static let `default` = RandomGenerator(seed: 0)

    /// Where the stream stands. Setting it goes back, or on, to a saved place.
    public var state: State {
        get { lock.withLock { current } }
        set { lock.withLock { current = newValue } }
    }

    /// Starts the stream of `seed` from its beginning.
    public func manualSeed(_ seed: UInt64) { state = State(seed: seed, position: 0) }

    /// Reserves the numbers for `count` elements and returns where they start.
    func reserve(_ count: Int, _ dtype: DType) -> State {
        let perCounter = dtype.byteCount == 8 ? 2 : 4
        let counters = UInt64((count + perCounter - 1) / perCounter)
        return ThreadLocal.workCapture?.draw(self, counters: counters) ?? reserve(counters: counters)
    }

    /// Reserves counters and returns where they start.
    package func reserve(counters: UInt64) -> State {
        lock.withLock {
            let start = current
            current.position &+= counters
            return start
        }
    }

    /// An independent stream, the same for the same `index`: for workers and layers.
    public func split(_ index: UInt64) -> RandomGenerator {
        // SplitMix64's finaliser spreads seed and index over all bits.
        var z = state.seed &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return RandomGenerator(seed: z ^ (z >> 31))
    }
}

/// Seeds the default generator.
public func manualSeed(_ seed: UInt64) { RandomGenerator.default.manualSeed(seed) }
