// The thread pool. One job at a time. Its tasks are cut into as many segments as there are threads; a thread claims those of its own
// segment in order, then what is left of the others'. So each thread walks through memory without gaps (a fifth faster than taking
// turns), the caller never waits for a worker that has not woken, and a worker that wakes late finds nothing to claim.
//
// A segment's claim word holds the job's number in the high half and the tasks left in the low half. A successful compare-and-swap
// from (job, left > 0) proves that the job is still running (its caller waits for the claimed task), so only then is `job` read.
#define _GNU_SOURCE
#include "CKernels.h"
#include "readahead.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { max_threads = 1024, spin_microseconds = 100, max_claims = 1 << 20 };

static struct { _Alignas(64) _Atomic uint64_t word; } segments[max_threads];
static _Alignas(64) _Atomic uint32_t published;       // the number of the last job
static _Atomic int segment_count;                     // its segments
static _Alignas(64) _Atomic uint32_t finished;        // claims of the job that are done
static _Alignas(64) _Atomic uint32_t sleepers;        // workers asleep, or about to be
static _Atomic uint32_t wake_word;                    // what they sleep on
static _Alignas(64) struct {
    tk_task_fn fn;
    void *context;
    int64_t count, per_claim;
    uint32_t claims, segments;
} job;                                                // written by the pool's holder, read by those who have claimed
static _Alignas(64) _Atomic int holder;               // 1 while a job runs or threads are started or stopped
static uint32_t job_number;                           // the rest belongs to the holder
static pthread_t workers[max_threads];
static int live_workers;
static cpu_set_t allowed_cores;                       // the process's, when the workers were started
static int avoided_core = -1;                         // the core the workers are kept off: the caller's
static _Atomic int wanted_threads;                    // 0: not decided yet
static _Atomic int worker_limit;                      // workers from this index on leave
static _Atomic uint64_t spin_ticks;
static _Thread_local int in_pool;

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline uint64_t ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int available_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        if (n > 0) return n;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static int clamp_threads(long n) { return n < 1 ? 1 : n > max_threads ? max_threads : (int)n; }

static int threads_from_environment(void) {
    static const char *const names[] = { "OPENBLAS_NUM_THREADS", "TAPESTRY_NUM_THREADS" };
    for (int i = 0; i < 2; i++) {
        const char *text = getenv(names[i]);
        long n = text ? strtol(text, NULL, 10) : 0;
        if (n > 0) return clamp_threads(n);
    }
    return clamp_threads(available_cores());
}

int tk_thread_count(void) {
    int n = atomic_load_explicit(&wanted_threads, memory_order_relaxed);
    if (__builtin_expect(n == 0, 0)) {
        int undecided = 0;
        n = threads_from_environment();
        if (!atomic_compare_exchange_strong(&wanted_threads, &undecided, n)) n = undecided;
    }
    return n;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word, int n) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0); }

// The first claim of a segment.
static uint32_t segment_start(uint32_t claims, uint32_t count, uint32_t segment) { return (uint32_t)((uint64_t)claims * segment / count); }

// Claims and runs tasks until none is left, those of segment `own` first.
static void work(int own) {
    uint32_t done = 0;
    int count = atomic_load_explicit(&segment_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        int segment = (own + i) % count;
        uint64_t word = atomic_load_explicit(&segments[segment].word, memory_order_acquire);
        while ((uint32_t)word != 0) {
            if (!atomic_compare_exchange_weak_explicit(&segments[segment].word, &word, word - 1, memory_order_acq_rel, memory_order_acquire)) continue;
            uint32_t claim = segment_start(job.claims, job.segments, (uint32_t)segment + 1) - (uint32_t)word;
            int64_t first = (int64_t)claim * job.per_claim, end = first + job.per_claim;
            if (end > job.count) end = job.count;
            for (int64_t t = first; t < end; t++) job.fn(job.context, t);
            done++;
            // Still the same job: its caller waits for what has not been reported yet.
            word = atomic_load_explicit(&segments[segment].word, memory_order_acquire);
        }
    }
    if (done) atomic_fetch_add_explicit(&finished, done, memory_order_release);
}

static void *worker_main(void *argument) {
    int index = (int)(intptr_t)argument;
    in_pool = 1;
    uint32_t last = 0;   // the last job this worker has looked at
    tk_ahead ahead = { 0 };
    for (;;) {
        uint64_t start = ticks(), limit = atomic_load_explicit(&spin_ticks, memory_order_relaxed);
        bool found = false;
        for (;;) {
            uint32_t newest = atomic_load_explicit(&published, memory_order_acquire);
            if (newest != last) { last = newest; found = true; break; }
            if (ticks() - start > limit) break;
            if (!tk_fetch_ahead(&ahead, index + 1, tk_thread_count())) relax();
        }
        if (found) {
            // Stopping happens between jobs only, so a worker that is to leave sees no claimable task.
            work(index + 1);
            continue;
        }
        uint32_t seen = atomic_load(&wake_word);
        if (index >= atomic_load(&worker_limit)) return NULL;
        atomic_fetch_add(&sleepers, 1);
        if (atomic_load(&published) == last) futex_wait(&wake_word, seen);
        atomic_fetch_sub(&sleepers, 1);
    }
}

// The kernel likes to wake a worker on its waker's core, where it then waits for the caller's time slice to end (measured: half the speed
// for many milliseconds, with another core idle). So sleeping workers are kept off the core of the one who wakes them.
static __attribute__((noinline)) void avoid_core(int core) {
    if (core < 0 || core >= CPU_SETSIZE || live_workers >= CPU_COUNT(&allowed_cores) || live_workers > 32) return;
    cpu_set_t others = allowed_cores;
    CPU_CLR(core, &others);
    for (int i = 0; i < live_workers; i++) pthread_setaffinity_np(workers[i], sizeof others, &others);
    avoided_core = core;
}

// Called by the holder: starts or joins workers until there are as many as wanted.
static __attribute__((noinline, cold)) void adjust_workers(int wanted) {
    int goal = wanted - 1;
    uint64_t spin = 0;
    if (wanted <= available_cores()) {
        uint64_t c = ticks();
        int64_t t = nanoseconds(), dt;
        while ((dt = nanoseconds() - t) < 200000) relax();
        spin = (uint64_t)((double)(ticks() - c) / (double)dt * 1000.0 * spin_microseconds);
    }
    atomic_store(&spin_ticks, spin);   // with more threads than cores spinning only takes time from the others
    if (goal < live_workers) {
        atomic_store(&worker_limit, goal);
        atomic_fetch_add(&wake_word, 1);
        futex_wake(&wake_word, max_threads);
        while (live_workers > goal) pthread_join(workers[--live_workers], NULL);
        return;
    }
    atomic_store(&worker_limit, goal);
    if (live_workers == 0 && sched_getaffinity(0, sizeof allowed_cores, &allowed_cores)) CPU_ZERO(&allowed_cores);
    avoided_core = -1;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);   // signals belong to the program's own threads
    while (live_workers < goal) {
        if (pthread_create(&workers[live_workers], NULL, worker_main, (void *)(intptr_t)live_workers)) {
            atomic_store(&worker_limit, live_workers);
            atomic_store(&wanted_threads, live_workers + 1);
            break;
        }
        live_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    avoid_core(sched_getcpu());
}

static bool take_pool(void) {
    return atomic_load_explicit(&holder, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&holder, 1, memory_order_acquire) == 0;
}
static void leave_pool(void) { atomic_store_explicit(&holder, 0, memory_order_release); }

void tk_set_thread_count(int n) {
    atomic_store(&wanted_threads, clamp_threads(n));
    // If a job is running, the next one adjusts the pool.
    if (!in_pool && take_pool()) {
        int wanted = tk_thread_count();
        if (live_workers > wanted - 1) adjust_workers(wanted);   // growing waits until there is work
        leave_pool();
    }
}

void tk_parallel(int64_t count, tk_task_fn fn, void *context) {
    if (count <= 0) return;
    int threads = tk_thread_count();
    if (count == 1 || threads == 1 || in_pool || !take_pool()) {
        for (int64_t i = 0; i < count; i++) fn(context, i);
        return;
    }
    if (__builtin_expect(live_workers != threads - 1, 0)) adjust_workers(threads);
    int64_t per_claim = count <= max_claims ? 1 : (count - 1) / max_claims + 1;
    uint32_t claims = (uint32_t)((count - 1) / per_claim + 1);
    job.fn = fn;
    job.context = context;
    job.count = count;
    job.per_claim = per_claim;
    job.claims = claims;
    uint32_t cuts = (uint32_t)live_workers + 1;
    if (cuts > claims) cuts = claims;
    job.segments = cuts;
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    atomic_store_explicit(&segment_count, (int)cuts, memory_order_relaxed);
    job_number++;
    for (uint32_t s = 0, start = 0; s < cuts; s++) {
        uint32_t end = segment_start(claims, cuts, s + 1);
        atomic_store_explicit(&segments[s].word, (uint64_t)job_number << 32 | (end - start), memory_order_release);
        start = end;
    }
    atomic_store(&published, job_number);
    uint32_t asleep = atomic_load(&sleepers);
    if (asleep) {
        int core = sched_getcpu();
        if (core != avoided_core) avoid_core(core);
        atomic_fetch_add(&wake_word, 1);
        futex_wake(&wake_word, (int)(asleep < claims - 1 ? asleep : claims - 1));
    }
    in_pool = 1;
    work(0);
    in_pool = 0;
    static tk_ahead ahead;   // the holder's
    for (uint32_t spins = 0; atomic_load_explicit(&finished, memory_order_acquire) != claims; spins++) {
        if (spins >= 4096) sched_yield();   // the one we wait for may need this core
        else if (!tk_fetch_ahead(&ahead, 0, threads)) relax();
    }
    leave_pool();
}

typedef struct {
    tk_range_fn fn;
    void *context;
    int64_t n, grain;
} range_job;

static void run_range(void *context, int64_t task) {
    const range_job *r = context;
    int64_t low = task * r->grain;
    r->fn(r->context, low, r->n - low < r->grain ? r->n : low + r->grain);
}

void tk_parallel_ranges(int64_t n, int64_t grain, tk_range_fn fn, void *context) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    if (n <= grain) {
        fn(context, 0, n);
        return;
    }
    range_job r = { fn, context, n, grain };
    tk_parallel((n - 1) / grain + 1, run_range, &r);
}
