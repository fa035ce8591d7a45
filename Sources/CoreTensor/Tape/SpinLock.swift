import Synchronization

/// A lock for a few instructions at a time.
public final class SpinLock: Sendable {
    private let held = Atomic<Bool>(false)

    public init() {}

    @inline(__always)
    public func withLock<R>(_ body: () throws -> R) rethrows -> R {
        while held.exchange(true, ordering: .acquiring) {}
        defer { held.store(false, ordering: .releasing) }
        return try body()
    }

    /// Takes the lock if nobody holds it.
    public func tryLock() -> Bool { !held.exchange(true, ordering: .acquiring) }
    public func unlock() { held.store(false, ordering: .releasing) }
}
