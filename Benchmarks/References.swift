import CKernels
import COpenBLAS
import CStream
import Foundation

/// What the library is held against in the same process.
enum References {
    /// `cblas_sgemm` called directly, with OpenBLAS's own threads.
    static func sgemm(_ n: Int) -> Reference {
        let a = Buffer(n * n), b = Buffer(n * n), c = Buffer(n * n)
        let threads = tk_thread_count()
        let size = Int32(n)
        return Reference(
            name: "cblas_sgemm",
            call: {
                if openblas_get_num_threads() != threads { openblas_set_num_threads(threads) }
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasNoTrans, size, size, size, 1, a.base, size, b.base, size, 0, c.base, size)
            },
            // The library runs OpenBLAS on the threads of its own pool, one at a time each.
            finish: { openblas_set_num_threads(1) })
    }

    /// The better of STREAM's triads with ordinary and with non-temporal stores, over three arrays of `n` floats; counts 12 bytes
    /// per element, as an addition of two arrays does.
    static func triad(_ n: Int) -> Reference {
        let context = Triad(n)
        var times = [0.0, 0.0]
        for nonTemporal in [0, 1] {
            context.nonTemporal = Int32(nonTemporal)
            let start = Date()
            for _ in 0..<10 { context.run() }
            times[nonTemporal] = Date().timeIntervalSince(start)
        }
        context.nonTemporal = times[1] < times[0] ? 1 : 0
        return Reference(name: "triad", call: { context.run() })
    }

    private final class Buffer: Sendable {
        nonisolated(unsafe) let base: UnsafeMutablePointer<Float>
        init(_ count: Int) {
            let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 4, alignment: 4096)
            base = raw.bindMemory(to: Float.self, capacity: count)
            for i in 0..<count { base[i] = Float(i % 113) / 113 - 0.5 }
        }
        deinit { base.deallocate() }
    }

    private final class Triad {
        let a: Buffer, b: Buffer, c: Buffer
        let count: Int
        var nonTemporal: Int32 = 0

        init(_ n: Int) {
            count = n
            (a, b, c) = (Buffer(n), Buffer(n), Buffer(n))
        }

        func run() {
            let chunk = 1 << 16
            tk_parallel_ranges(
                Int64(count), Int64(chunk),
                { context, low, high in
                    let t = Unmanaged<Triad>.fromOpaque(context!).takeUnretainedValue()
                    let (i, n) = (Int(low), Int(high - low))
                    stream_triad(t.a.base + i, t.b.base + i, t.c.base + i, 3, n, t.nonTemporal)
                }, Unmanaged.passUnretained(self).toOpaque())
        }
    }
}
