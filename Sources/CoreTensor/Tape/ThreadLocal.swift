import CKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Swift state of one thread (the hot flags live in C thread-locals).
public final class ThreadLocal {
    let teardown = Teardown.Queue()
    let layouts = LayoutCache()
    /// How many function transforms (`grad(of:)` and its kin) are running on this thread.
    public var transformDepth = 0
    /// The levels of the `vmap`s that are running on this thread, outermost first, with the sizes of the axes they hide.
    public var batchLevels: [(level: Int, size: Int)] = []
    /// Operations that ran example by example inside `vmap`, for want of a batched form; counted on request.
    public var batchFallbacks: [String: Int]?
    /// The autocast regions around the running code, and the leaves they have converted.
    var autocastDepth = 0
    var autocastCopies: [AutocastCopies.Key: AutocastCopies.Entry] = [:]
    /// The ``fused(_:)`` function that is being recorded on this thread.
    var recording: Recording?
    /// What records the work of this thread, if anything does.
    var capture: (any WorkCapture)?
    /// Whether backward passes look for NaN.
    public var detectsAnomalies = false
    /// What looks at the results of recorded operations.
    var outputWatch: ((Node, Tensor) -> Void)?
    /// The profiler's scopes around what runs now, outermost first.
    public var profilerScopes: [String] = []

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key) { pointer in
            tk_set_thread_object(nil)
            if let pointer { Unmanaged<ThreadLocal>.fromOpaque(pointer).release() }
        }
        return key
    }()

    /// The calling thread's own, made on first use and freed with the thread.
    public static var current: ThreadLocal {
        if let pointer = tk_get_thread_object() { return Unmanaged<ThreadLocal>.fromOpaque(pointer).takeUnretainedValue() }
        return make()
    }

    /// The C variable is quick to read; the key of the threads library calls back when the thread ends.
    @inline(never)
    private static func make() -> ThreadLocal {
        let fresh = ThreadLocal(), pointer = Unmanaged.passRetained(fresh).toOpaque()
        pthread_setspecific(key, pointer)
        tk_set_thread_object(pointer)
        return fresh
    }
}
