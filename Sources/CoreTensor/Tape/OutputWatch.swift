/// Looking at the results of recorded operations as they are made, for finding where a NaN came from.
public enum OutputWatch {
    /// Whether any thread looks. A stale value on another thread costs it a look at its own, empty state.
    nonisolated(unsafe) static var isUsed = false
    private static let lock = SpinLock()
    nonisolated(unsafe) private static var users = 0

    /// Runs `body` and hands `watch` each operation that is recorded on this thread with what it gave, in order. Operations that need no
    /// gradient are not recorded.
    public static func run<R>(_ watch: @escaping (_ node: Node, _ output: Tensor) -> Void, _ body: () throws -> R) rethrows -> R {
        let local = ThreadLocal.current, before = local.outputWatch
        count(1)
        local.outputWatch = watch
        defer {
            local.outputWatch = before
            count(-1)
        }
        return try body()
    }

    private static func count(_ change: Int) {
        lock.withLock {
            users += change
            isUsed = users > 0
        }
    }

    @inline(never)
    static func see(_ node: Node, _ output: RawTensor) {
        let local = ThreadLocal.current
        guard let watch = local.outputWatch else { return }
        // What the watch computes is not watched.
        local.outputWatch = nil
        watch(node, Tensor(raw: output))
        local.outputWatch = watch
    }
}
