import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Threads of one loader's own: reading files blocks, and a training loop computes for long, so neither may take the places of Swift's
/// cooperative threads, of which there are as many as cores. They end with the tasks they were made for.
final class WorkerThreads: TaskExecutor, @unchecked Sendable {
    // Allocated, as their addresses must not change.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by the mutex, as is the rest.
    private var jobs: [UnownedJob] = []
    private var next = 0
    private var isClosed = false
    /// Threads of all loaders that have not ended: tests count them.
    package static let running = Atomic<Int>(0)

    init(_ count: Int) {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
        for _ in 0..<count {
            WorkerThreads.running.add(1, ordering: .relaxed)
            var thread = pthread_t()
            let me = Unmanaged.passRetained(self).toOpaque()
            let code = pthread_create(
                &thread, nil,
                { argument in
                    Unmanaged<WorkerThreads>.fromOpaque(argument!).takeRetainedValue().work()
                    WorkerThreads.running.subtract(1, ordering: .relaxed)
                    return nil
                }, me)
            if code == 0 {
                pthread_detach(thread)
            } else {
                // Fewer threads do the same work; without any, `enqueue` runs it where it is asked for.
                Unmanaged<WorkerThreads>.fromOpaque(me).release()
                WorkerThreads.running.subtract(1, ordering: .relaxed)
                continue
            }
            started += 1
        }
    }
    private var started = 0

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wakeUp)
        mutex.deallocate()
        wakeUp.deallocate()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(mutex)
        let isServed = !isClosed && started > 0
        if isServed {
            jobs.append(job)
            pthread_cond_signal(wakeUp)
        }
        pthread_mutex_unlock(mutex)
        if !isServed { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Lets the threads end once nothing is left to do.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    private func work() {
        while true {
            pthread_mutex_lock(mutex)
            while next == jobs.count && !isClosed { pthread_cond_wait(wakeUp, mutex) }
            if next == jobs.count {
                pthread_mutex_unlock(mutex)
                return
            }
            let job = jobs[next]
            next += 1
            if next == jobs.count { (jobs, next) = ([], 0) }
            pthread_mutex_unlock(mutex)
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
