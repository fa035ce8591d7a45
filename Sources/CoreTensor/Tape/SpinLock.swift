import Synchronization

/// A lock for a few instructions at a time.
public final class SpinLock: Sendable {
    @usableFromInline let held = Atomic<Bool>(false)

    /// A lock that nobody holds.
    public init() {}

    /// Runs `body` alone. Waits by spinning; a thread that holds the lock must not ask for it again.
    @inlinable @inline(__always)
    public func withLock<R>(_ body: () throws -> R) rethrows -> R {
        while held.exchange(true, ordering: .acquiring) {}
        defer { held.store(false, ordering: .releasing) }
        return try body()
    }

    /// Takes the lock if nobody holds it.
    @inlinable public func tryLock() -> Bool { !held.exchange(true, ordering: .acquiring) }
    /// Lets go of a lock that ``tryLock()`` took.
    @inlinable public func unlock() { held.store(false, ordering: .releasing) }
}
