import CKernels

/// Times every operation of the backend while a closure runs.
///
///     let profile = Profiler.record { model.loss(ids, targets).backward() }
///     print(profile)
///     try profile.writeChromeTrace(to: "trace.json")     // for chrome://tracing or Perfetto
///
/// Every call of the backend is an event, on whichever thread: its name, time, floating-point operations and compulsory bytes (each
/// input and each output once). Backward passes name the node they are in; ``scope(_:_:)`` names a part of one's own. While nothing
/// is recorded an operation pays for one test of a flag.
public enum Profiler {
    private static let lock = SpinLock()
    nonisolated(unsafe) private static var events: [Profile.Event] = []

    /// Runs `body` and returns what its operations did. Traps inside another recording. The machine's peaks are measured first, once
    /// per process.
    public static func record<R>(_ body: () throws -> R) rethrows -> (result: R, profile: Profile) {
        let peaks = MachinePeaks.measured
        if tk_profiling() { fail("Profiler.record", "is already recording; record one thing at a time") }
        lock.withLock { events = [] }
        let memory = MemoryStatistics.current.bytesInUse
        MemoryStatistics.resetPeak()
        tk_set_profiling(true)
        defer { tk_set_profiling(false) }
        let start = tk_nanoseconds()
        let result = try body()
        let end = tk_nanoseconds()
        tk_set_profiling(false)
        let taken = lock.withLock { () -> [Profile.Event] in
            defer { events = [] }
            return events
        }
        let statistics = MemoryStatistics.current
        return (
            result,
            Profile(
                events: taken.sorted { ($0.start, $1.duration) < ($1.start, $0.duration) }, start: start, end: end, peaks: peaks,
                peakBytesInUse: statistics.peakBytesInUse, bytesBefore: memory, bytesAfter: statistics.bytesInUse)
        )
    }

    /// ``record(_:)-(()->R)`` for what returns nothing.
    public static func record(_ body: () throws -> Void) rethrows -> Profile {
        let (_, profile): (Void, Profile) = try record(body)
        return profile
    }

    /// Whether a recording is running.
    @inline(__always) public static var isRecording: Bool { tk_profiling() }

    /// Names what `body` does: its operations carry the name, and it is an event of its own in the trace. Scopes nest.
    public static func scope<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
        if !tk_profiling() { return try body() }
        let local = ThreadLocal.current
        local.profilerScopes.append(name)
        let start = tk_nanoseconds()
        defer {
            let end = tk_nanoseconds()
            local.profilerScopes.removeLast()
            add(
                Profile.Event(
                    kind: .scope, name: name, shapes: "", scopes: local.profilerScopes, start: start, duration: end - start))
        }
        return try body()
    }

    /// Times one call of the backend.
    @inline(never)
    static func time<R>(_ name: String, _ tensors: [RawTensor?], flops: Double, _ body: () -> R) -> R {
        let scopes = ThreadLocal.current.profilerScopes
        let start = tk_nanoseconds()
        let result = body()
        let duration = tk_nanoseconds() - start
        let all = tensors.compactMap { $0 }
        add(
            Profile.Event(
                kind: .operation, name: name, shapes: all.map { "\($0.dtype)\($0.shape)" }.joined(separator: " "), scopes: scopes,
                start: start, duration: duration, flops: flops, bytes: all.reduce(0) { $0 + $1.distinctBytes }))
        return result
    }

    private static func add(_ event: Profile.Event) { lock.withLock { events.append(event) } }
}

extension RawTensor {
    /// Bytes of the elements that differ in place: broadcast axes count once.
    fileprivate var distinctBytes: Double {
        var count = 1
        for (size, stride) in zip(layout.shape, layout.strides) where stride != 0 || size == 0 { count *= size }
        return Double(count * dtype.byteCount)
    }
}

/// What this machine can do with the threads and kernels that are configured.
public struct MachinePeaks: Sendable {
    /// float32 multiply-adds, counted as two operations each, per second.
    public let flopsPerSecond: Double
    /// The triad of STREAM (McCalpin, 1995), over arrays larger than the caches.
    public let bytesPerSecond: Double

    /// Measured now, in some 100 ms.
    public static func measure() -> MachinePeaks {
        var flops = 0.0, bytes = 0.0
        tk_measure_peaks(&flops, &bytes)
        return MachinePeaks(flopsPerSecond: flops, bytesPerSecond: bytes)
    }

    /// Measured when first asked for.
    public static let measured = measure()
}
