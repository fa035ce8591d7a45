import CCUDA
import CoreTensor

extension CUDA {
    /// A queue of work on a GPU: what is given to one stream runs in order, work of several streams side by side.
    ///
    /// Operations go to the current stream of the calling thread, which ``withStream(_:_:)`` chooses; without it, to the device's default
    /// stream. Work of another stream that needs results of this one has to wait for them:
    ///
    /// ```swift
    /// let side = try CUDA.Stream()
    /// let y = CUDA.withStream(side) { expensive(x) }
    /// CUDA.currentStream().wait(for: side.record())
    /// use(y)
    /// ```
    ///
    /// Memory needs no such care: a tensor's block is handed out again only when the work of all streams that used it is done.
    public final class Stream: @unchecked Sendable, Equatable {
        let context: CUDAContext
        let handle: tk_cu_stream
        private let isOwned: Bool

        /// A further stream of a device. Throws what the driver says.
        public convenience init(device: Device = .cuda(0)) throws(CUDAError) {
            try self.init(CUDA.backend(of: device, "Stream").context)
        }

        init(_ context: CUDAContext) throws(CUDAError) {
            self.context = context
            handle = try context.makeStream()
            isOwned = true
        }

        /// A stream that belongs to the context.
        init(_ context: CUDAContext, borrowing handle: tk_cu_stream) {
            self.context = context
            self.handle = handle
            isOwned = false
        }

        deinit { if isOwned { context.destroyStream(handle) } }

        /// The device whose work it is.
        public var device: Device { .make(.cuda, index: context.index) }

        /// Whether two values are the same queue.
        public static func == (a: Stream, b: Stream) -> Bool { a.handle == b.handle }

        /// Marks the end of the work given so far.
        public func record() -> Event {
            let event = Event(context, timing: false)
            event.record(on: self)
            return event
        }

        /// Holds back what is given to this stream from now on until the work before `event` is done; the host does not wait.
        public func wait(for event: Event) { context.wait(handle, for: event.handle) }

        /// Waits on the host until all work of the stream is done.
        public func synchronize() { context.synchronize(handle) }
    }

    /// The stream that operations of the calling thread go to.
    public static func currentStream(_ device: Device = .cuda(0)) -> Stream {
        let context = backend(of: device, "currentStream").context
        return context.currentStream ?? Stream(context, borrowing: context.defaultStream)
    }

    /// Runs `body`, whose operations on the stream's device go to `stream`. The choice belongs to the thread, so there is no form for
    /// asynchronous functions, which change threads.
    public static func withStream<R>(_ stream: Stream, _ body: () throws -> R) rethrows -> R {
        if Recorder.current != nil { fail("withStream", "inside a capture; a graph is recorded from one stream") }
        return try run(on: stream, body)
    }

    static func run<R>(on stream: Stream, _ body: () throws -> R) rethrows -> R {
        let index = Int32(stream.context.index), before = tk_cuda_get_stream(index)
        tk_cuda_set_stream(index, Unmanaged.passUnretained(stream).toOpaque())
        defer {
            tk_cuda_set_stream(index, before)
            withExtendedLifetime(stream) {}
        }
        return try body()
    }

    /// A mark in the work of a stream, to wait for or to take the time at.
    public final class Event: @unchecked Sendable {
        let context: CUDAContext
        let handle: tk_cu_event
        private let hasTime: Bool

        /// An event that was not recorded yet: nothing waits for it. `timing` is what ``elapsed(since:)`` needs; without it waiting is cheaper.
        public convenience init(device: Device = .cuda(0), timing: Bool = true) {
            self.init(CUDA.backend(of: device, "Event").context, timing: timing)
        }

        init(_ context: CUDAContext, timing: Bool) {
            self.context = context
            hasTime = timing
            handle = context.makeEvent(timing: timing)
        }

        deinit { context.destroyEvent(handle) }

        /// Marks the end of the work given to `stream` so far (nil: the current one); an earlier mark is forgotten.
        public func record(on stream: Stream? = nil) { context.record(handle, on: stream?.handle ?? context.stream) }

        /// Whether the work before the mark is done; true without a mark.
        public var isDone: Bool { context.isDone(handle) }

        /// Waits on the host until the work before the mark is done.
        public func synchronize() { context.synchronize(event: handle) }

        /// The device's time between two marks in milliseconds; waits for both. Traps if one of them was made without timing or was not recorded.
        public func elapsed(since start: Event) -> Double {
            if !hasTime || !start.hasTime { fail("elapsed", "an event that was made with timing: false has no time") }
            start.synchronize()
            synchronize()
            return context.elapsed(start.handle, handle)
        }
    }
}
