import Synchronization

/// What a job of a ``Prefetcher`` came to.
enum Prefetched<Output: Sendable>: Sendable {
    case output(Output)
    /// The source has no more: neither this job nor a later one.
    case end
}

/// Results of numbered jobs in the order of their numbers, computed ahead by worker tasks, at most `depth` of them before they are asked for.
final class Prefetcher<Output: Sendable>: Sendable {
    private struct State {
        /// The next job to start, the next to hand out, and the first that there is not.
        var next: Int, wanted: Int, end: Int
        var ready: [Int: Result<Prefetched<Output>, any Error>] = [:]
        var idle: [CheckedContinuation<Int?, Never>] = []
        var consumer: CheckedContinuation<Result<Prefetched<Output>, any Error>, Never>?
        var isCancelled = false
        var liveWorkers: Int
        var tasks: [Task<Void, Never>] = []
    }

    private let state: Mutex<State>
    private let depth: Int
    private let job: @Sendable (Int) async throws -> Prefetched<Output>
    private let threads: WorkerThreads

    /// Starts `workers` tasks on jobs `first ..< end`.
    init(
        first: Int, end: Int, workers: Int, depth: Int, job: @escaping @Sendable (Int) async throws -> Prefetched<Output>
    ) {
        self.depth = max(depth, 1)
        self.job = job
        threads = WorkerThreads(workers)
        state = Mutex(State(next: first, wanted: first, end: end, liveWorkers: workers))
        let tasks = (0..<workers).map { _ in Task(executorPreference: threads) { await self.work() } }
        // Cancelled already, if a job failed and the consumer is gone.
        let isCancelled = state.withLock {
            $0.tasks = tasks
            return $0.isCancelled
        }
        if isCancelled { for task in tasks { task.cancel() } }
    }

    // MARK: Workers

    private func work() async {
        while let number = await claim() {
            let result: Result<Prefetched<Output>, any Error>
            do { result = .success(try await job(number)) } catch { result = .failure(error) }
            deliver(number, result)
        }
        let isLast = state.withLock {
            $0.liveWorkers -= 1
            return $0.liveWorkers == 0
        }
        if isLast { threads.close() }
    }

    /// The next job, once there is room for its result; nil when there is none.
    private func claim() async -> Int? {
        await withCheckedContinuation { continuation in
            let answer: Int?? = state.withLock { state in
                if state.isCancelled || state.next >= state.end { return .some(nil) }
                if state.next < state.wanted + depth {
                    state.next += 1
                    return state.next - 1
                }
                state.idle.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    private func deliver(_ number: Int, _ result: Result<Prefetched<Output>, any Error>) {
        var isLast = true
        if case .success(.output) = result { isLast = false }
        let (consumer, released) = state.withLock { state in
            if state.isCancelled {
                return (
                    nil as CheckedContinuation<Result<Prefetched<Output>, any Error>, Never>?,
                    [] as [CheckedContinuation<Int?, Never>]
                )
            }
            if isLast { state.end = min(state.end, number + 1) }
            var released: [CheckedContinuation<Int?, Never>] = []
            if state.next >= state.end { swap(&released, &state.idle) }
            if number == state.wanted, let consumer = state.consumer.take() {
                state.wanted += 1
                return (consumer, released)
            }
            state.ready[number] = result
            return (nil, released)
        }
        for worker in released { worker.resume(returning: nil) }
        if let consumer {
            wakeWorker()
            consumer.resume(returning: result)
        }
    }

    /// Room for one more result lets one worker go on.
    private func wakeWorker() {
        let woken: (CheckedContinuation<Int?, Never>, Int?)? = state.withLock { state in
            guard !state.isCancelled, !state.idle.isEmpty, state.next < state.wanted + depth else { return nil }
            let worker = state.idle.removeFirst()
            if state.next >= state.end { return (worker, nil) }
            state.next += 1
            return (worker, state.next - 1)
        }
        if let (worker, number) = woken { worker.resume(returning: number) }
    }

    // MARK: The consumer

    /// The next result; nil after the last. Throws what its job threw, and `CancellationError` if the caller's task is cancelled.
    func next(isolation: isolated (any Actor)? = #isolation) async throws -> Output? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Result<Prefetched<Output>, any Error>? = state.withLock { state in
                    if state.isCancelled { return .failure(CancellationError()) }
                    if let result = state.ready.removeValue(forKey: state.wanted) {
                        state.wanted += 1
                        return result
                    }
                    if state.wanted >= state.end { return .success(.end) }
                    state.consumer = continuation
                    return nil
                }
                if let answer {
                    wakeWorker()
                    continuation.resume(returning: answer)
                }
            }
        } onCancel: {
            cancel()
        }
        switch try result.get() {
        case .output(let output): return output
        case .end: return nil
        }
    }

    /// Stops the workers: each ends after the job it is at. Results not asked for are dropped.
    func cancel() {
        let (idle, consumer, tasks) = state.withLock { state in
            defer { (state.isCancelled, state.idle, state.consumer, state.tasks, state.ready) = (true, [], nil, [], [:]) }
            return (state.idle, state.consumer, state.tasks)
        }
        for task in tasks { task.cancel() }
        for worker in idle { worker.resume(returning: nil) }
        consumer?.resume(returning: .failure(CancellationError()))
    }
}

extension Optional {
    /// The value, leaving nil.
    fileprivate mutating func take() -> Wrapped? {
        defer { self = nil }
        return self
    }
}
