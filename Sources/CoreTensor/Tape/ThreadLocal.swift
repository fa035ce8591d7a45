#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Swift state of one thread (the hot flags live in C thread-locals).
public final class ThreadLocal {
    let teardown = Teardown.Queue()
    /// How many function transforms (`grad(of:)` and its kin) are running on this thread.
    public var transformDepth = 0
    /// Whether backward passes look for NaN.
    public var detectsAnomalies = false

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key) { pointer in
            if let pointer { Unmanaged<ThreadLocal>.fromOpaque(pointer).release() }
        }
        return key
    }()

    /// The calling thread's own, made on first use and freed with the thread.
    public static var current: ThreadLocal {
        if let pointer = pthread_getspecific(key) {
            return Unmanaged<ThreadLocal>.fromOpaque(pointer).takeUnretainedValue()
        }
        let fresh = ThreadLocal()
        pthread_setspecific(key, Unmanaged.passRetained(fresh).toOpaque())
        return fresh
    }
}
