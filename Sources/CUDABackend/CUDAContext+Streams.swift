import CCUDA
import CoreTensor

// MARK: Streams and events

extension CUDAContext {
    /// The stream that was chosen for this thread's work.
    var currentStream: CUDA.Stream? {
        guard let chosen = tk_cuda_get_stream(Int32(index)) else { return nil }
        return Unmanaged<CUDA.Stream>.fromOpaque(chosen).takeUnretainedValue()
    }

    /// What the work of this thread goes to.
    var stream: tk_cu_stream { currentStream?.handle ?? defaultStream }

    func makeStream() throws(CUDAError) -> tk_cu_stream {
        enter()
        var made: tk_cu_stream?
        let result = driver.functions.create_stream(&made, UInt32(TK_CU_STREAM_NON_BLOCKING))
        guard result == Int32(TK_CU_SUCCESS), let made else {
            throw .driverFailed("making a stream fails: \(driver.describe(result))")
        }
        lock.withLock { _ = streams.insert(made) }
        // From now on blocks can be used by other streams than their own.
        tracksUse = true
        return made
    }

    func destroyStream(_ stream: tk_cu_stream) {
        enter()
        lock.withLock { _ = streams.remove(stream) }
        allocator.streamEnds(stream)
        _ = driver.functions.destroy_stream(stream)
    }

    func makeEvent(timing: Bool) -> tk_cu_event {
        enter()
        var made: tk_cu_event?
        let result = driver.functions.create_event(&made, timing ? 0 : UInt32(TK_CU_EVENT_NO_TIMING))
        guard result == Int32(TK_CU_SUCCESS), let made else {
            fail("Event", "the driver makes no event: \(driver.describe(result))")
        }
        return made
    }

    func destroyEvent(_ event: tk_cu_event) {
        enter()
        _ = driver.functions.destroy_event(event)
    }

    func record(_ event: tk_cu_event, on stream: tk_cu_stream) {
        if refusesInCapture("an event is recorded") { return }
        enter()
        check(driver.functions.record_event(event, stream), "recording an event")
    }

    func wait(_ stream: tk_cu_stream, for event: tk_cu_event) {
        if refusesInCapture("a stream waits for an event") { return }
        enter()
        check(driver.functions.stream_waits(stream, event, 0), "waiting for an event")
    }

    func isDone(_ event: tk_cu_event) -> Bool {
        enter()
        let result = driver.functions.query_event(event)
        if result == Int32(TK_CU_NOT_READY) { return false }
        check(result, "asking for an event")
        return true
    }

    func synchronize(event: tk_cu_event) {
        if refusesInCapture("the host waits for an event") { return }
        enter()
        check(driver.functions.synchronize_event(event), "waiting for an event")
    }

    func synchronize(_ stream: tk_cu_stream) {
        if refusesInCapture("the host waits for the device") { return }
        enter()
        check(driver.functions.synchronize_stream(stream), "waiting for the device")
    }

    /// Waits for all streams.
    func synchronizeAll() {
        synchronize(defaultStream)
        for stream in lock.withLock({ streams }) { synchronize(stream) }
    }

    func elapsed(_ start: tk_cu_event, _ end: tk_cu_event) -> Double {
        enter()
        var time: Float = 0
        check(driver.functions.elapsed(&time, start, end), "the time between two events")
        return Double(time)
    }

    /// Reports what a capture cannot hold; false outside of one.
    func refusesInCapture(_ what: String) -> Bool {
        guard let recorder = Recorder.current, recorder.context === self else { return false }
        recorder.refuse(what)
        return true
    }
}
