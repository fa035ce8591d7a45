import Foundation
import Tapestry

/// Something to time, on the main thread. Names, shapes and counting of the work are those of the PyTorch script the project compares with.
struct Workload: @unchecked Sendable {
    let group: String
    let name: String
    /// The element type the work is done in, as the PyTorch script names it.
    let dtype: String
    /// Makes the inputs and returns what is timed. Only called for workloads that run.
    let setUp: () throws -> Timed

    init(_ group: String, _ name: String, dtype: String = "f32", _ setUp: @escaping () throws -> Timed) {
        self.group = group
        self.name = name
        self.dtype = dtype
        self.setUp = setUp
    }
}

/// One call and the work it does.
struct Timed {
    var shape: String
    /// Floating-point operations per call.
    var flops = 0.0
    /// Compulsory traffic per call: each input once, each output once.
    var bytes = 0.0
    /// Things done per call: tokens, images …
    var items: (unit: String, count: Double)?
    /// Calls per sample, for what takes microseconds.
    var inner = 1
    /// The same work by other means, timed in turns with the call.
    var reference: Reference?
    var call: () -> Void
}

/// What a call is compared with.
struct Reference {
    let name: String
    let call: () -> Void
    /// Called after each turn, to leave the process as it was.
    var finish: () -> Void = {}
}

/// What was measured, in seconds per call.
struct Measurement: Encodable {
    let name: String
    let group: String
    let dtype: String
    let shape: String
    let threads: Int
    let medianSeconds: Double
    let minimumSeconds: Double
    let samples: Int
    var gflops: Double?
    var gigabytesPerSecond: Double?
    var itemsPerSecond: Double?
    var unit: String?
    var reference: String?
    /// Median of the reference.
    var referenceSeconds: Double?
    /// The reference's time over ours: above 1 is faster than the reference.
    var ratio: Double?
    /// The least time that the machine's peaks allow over the time it took; work within the caches can exceed 1.
    var shareOfBound: Double?
    /// The most bytes the library held at once, inputs included.
    var peakMegabytes: Double?
    /// The most of the process that was in memory at once, where the system tells.
    var peakResidentMegabytes: Double?
}

/// Times calls: a warm-up of 0.3 s, then samples until the budget is used, at least five.
struct Stopwatch {
    var budget: Double
    var threads: Int
    /// Bounds of the CPU.
    var peaks: MachinePeaks
    /// A GPU goes on by itself: its work is waited for before the clock is read.
    var device = Device.cpu

    private static func now() -> Double {
        var t = timespec()
        clock_gettime(CLOCK_MONOTONIC, &t)
        return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
    }

    private func sample(_ call: () -> Void, _ inner: Int) -> Double {
        let start = Self.now()
        for _ in 0..<inner { call() }
        if device.kind == .cuda { CUDA.synchronize(device) }
        return (Self.now() - start) / Double(inner)
    }

    private func warmUp(_ call: () -> Void, _ inner: Int) {
        let start = Self.now()
        repeat { _ = sample(call, inner) } while Self.now() - start < 0.3
    }

    private func samples(_ call: () -> Void, _ inner: Int, _ budget: Double) -> [Double] {
        var list: [Double] = []
        let start = Self.now()
        while list.count < 5 || Self.now() - start < budget { list.append(sample(call, inner)) }
        return list
    }

    /// The median time of one call, after a warm-up.
    func median(of call: () -> Void) -> Double {
        warmUp(call, 1)
        return middle(samples(call, 1, budget))
    }

    func measure(_ workload: Workload) throws -> Measurement {
        let isCPU = device.kind == .cpu
        if isCPU { MemoryStatistics.resetPeak() } else { CUDA.resetPeakMemory(device) }
        ResidentMemory.resetPeak()
        let timed = try workload.setUp()
        warmUp(timed.call, timed.inner)
        var own: [Double] = []
        var other: [Double] = []
        if let reference = timed.reference, isCPU {
            // In turns, so that both see the same machine. The pause lets the threads of one go to sleep.
            for _ in 0..<5 {
                usleep(50_000)
                warmUp(timed.call, timed.inner)
                own += samples(timed.call, timed.inner, budget / 5)
                usleep(50_000)
                warmUp(reference.call, timed.inner)
                other += samples(reference.call, timed.inner, budget / 5)
                reference.finish()
            }
        } else {
            own = samples(timed.call, timed.inner, budget)
        }
        let median = middle(own)
        var result = Measurement(
            name: workload.name, group: workload.group, dtype: workload.dtype, shape: timed.shape, threads: threads,
            medianSeconds: median,
            minimumSeconds: own.min()!, samples: own.count)
        let peak = isCPU ? MemoryStatistics.current.peakBytesInUse : CUDA.memoryStatistics(device).peakBytesInUse
        result.peakMegabytes = Double(peak) / 1e6
        result.peakResidentMegabytes = ResidentMemory.peakMegabytes
        if isCPU && (timed.flops > 0 || timed.bytes > 0) {
            result.shareOfBound = max(timed.flops / peaks.flopsPerSecond, timed.bytes / peaks.bytesPerSecond) / median
        }
        if timed.flops > 0 { result.gflops = timed.flops / median / 1e9 }
        if timed.bytes > 0 { result.gigabytesPerSecond = timed.bytes / median / 1e9 }
        if let items = timed.items {
            result.itemsPerSecond = items.count / median
            result.unit = items.unit
        }
        if let reference = timed.reference, isCPU {
            result.reference = reference.name
            result.referenceSeconds = middle(other)
            result.ratio = result.referenceSeconds! / median
        }
        return result
    }
}
