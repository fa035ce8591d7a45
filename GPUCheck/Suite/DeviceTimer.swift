import Tapestry

/// One call and the work it does.
struct DeviceWork {
    var shape: String
    /// Floating-point operations per call.
    var flops = 0.0
    /// Compulsory traffic per call: each input once, each output once.
    var bytes = 0.0
    /// Things done per call: tokens, operations …
    var items: (unit: String, count: Double)?
    var call: () throws -> Void
}

/// Something to time on a GPU. Its names, shapes and counts are those of `Benchmarks/gpu_peers.py`.
public struct DeviceWorkload: Sendable {
    public let name: String
    /// The type that the work is done in.
    public let dtype: String
    /// Makes the inputs.
    let setUp: @Sendable (Device) throws -> DeviceWork

    init(_ name: String, _ dtype: String, _ setUp: @escaping @Sendable (Device) throws -> DeviceWork) {
        self.name = name
        self.dtype = dtype
        self.setUp = setUp
    }
}

/// What was measured.
public struct Timing: Codable, Sendable, Equatable {
    public let name: String
    public let dtype: String
    public let shape: String
    /// The device's time of a call, the median of the samples, in milliseconds.
    public let milliseconds: Double
    public let samples: Int
    public var teraflops: Double?
    public var gigabytesPerSecond: Double?
    public var itemsPerSecond: Double?
    public var unit: String?
    /// The rate over the ceiling of the same run that bounds it.
    public var shareOfCeiling: Double?
    public var ceiling: String?
    /// The most memory that tensors held at once, in megabytes.
    public var peakMegabytes: Double?
    /// Why it could not be measured.
    public var error: String?
    /// Whether that is for want of memory: a smaller device is no fault.
    public var ranOutOfMemory: Bool?
}

/// Takes the device's own time, by events: many calls between two of them, five times.
public struct DeviceTimer {
    let device: Device
    /// Milliseconds of a sample.
    let sample: Double

    public init(_ device: Device, sampleMilliseconds: Double = 60) {
        self.device = device
        sample = sampleMilliseconds
    }

    private func time(_ calls: Int, _ call: () throws -> Void) rethrows -> Double {
        let start = CUDA.Event(device: device), end = CUDA.Event(device: device)
        start.record()
        for _ in 0..<calls { try call() }
        end.record()
        return end.elapsed(since: start) / Double(calls)
    }

    /// The median time of a call in milliseconds, and how many samples there are.
    func measure(_ call: () throws -> Void) rethrows -> (milliseconds: Double, samples: Int) {
        // Kernels are loaded and memory is got in the first calls.
        for _ in 0..<2 { try call() }
        let once = max(try time(1, call), 1e-4), calls = min(max(Int(sample / once), 1), 10_000)
        _ = try time(calls, call)
        let times = try (0..<5).map { _ in try time(calls, call) }.sorted()
        return (times[2], times.count)
    }

    /// Measures a workload; what the device refuses is told in the result.
    public func measure(_ workload: DeviceWorkload, _ ceilings: Ceilings?) -> Timing {
        var shape = ""
        do {
            return try CUDA.catchingErrors {
                CUDA.emptyCache(device)
                CUDA.resetPeakMemory(device)
                let work = try workload.setUp(device)
                shape = work.shape
                let (milliseconds, samples) = try measure(work.call)
                var timing = Timing(
                    name: workload.name, dtype: workload.dtype, shape: shape, milliseconds: milliseconds, samples: samples)
                let seconds = milliseconds / 1000
                if work.flops > 0 { timing.teraflops = work.flops / seconds / 1e12 }
                if work.bytes > 0 { timing.gigabytesPerSecond = work.bytes / seconds / 1e9 }
                if let items = work.items { (timing.itemsPerSecond, timing.unit) = (items.count / seconds, items.unit) }
                timing.peakMegabytes = Double(CUDA.memoryStatistics(device).peakBytesInUse) / 1e6
                ceilings?.rate(&timing)
                return timing
            }
        } catch {
            var timing = Timing(name: workload.name, dtype: workload.dtype, shape: shape, milliseconds: 0, samples: 0)
            timing.error = "\(error)"
            if case CUDAError.outOfMemory = error { timing.ranOutOfMemory = true }
            return timing
        }
    }
}

/// What the device can do at most, measured in the same run.
public struct Ceilings: Codable, Sendable, Equatable {
    /// GB/s of a copy from memory to memory, reading and writing counted.
    public let copyGigabytesPerSecond: Double
    /// TFLOP/s of float32 multiply-adds from registers.
    public let float32Teraflops: Double
    /// TFLOP/s of the tensor cores' bfloat16 products (`mma.sync`) from registers; nil before sm_80. From sm_90 on, `wgmma` can do more.
    public let tensorTeraflops: Double?

    /// Measures them, by a copy of so many bytes and kernels of so many rounds.
    public init(_ device: Device, _ timer: DeviceTimer, copyBytes: Int = 1 << 30, rounds: Int = 4096) {
        let source = Tensor(zeros: [copyBytes], dtype: .int8, device: device)
        let target = RawTensor(Layout(shape: [copyBytes]), .int8, device)
        let copy = timer.measure { target.backend.copy(source.raw, to: target) }.milliseconds
        copyGigabytesPerSecond = 2 * Double(copyBytes) / copy / 1e6
        func peak(_ kind: CUDA.PeakKernel) -> Double? {
            guard let once = CUDA.runPeakKernel(kind, rounds: rounds, device) else { return nil }
            return once / timer.measure { _ = CUDA.runPeakKernel(kind, rounds: rounds, device) }.milliseconds / 1e9
        }
        float32Teraflops = peak(.float32)!
        tensorTeraflops = peak(.bfloat16)
    }

    /// The share of the ceiling that bounds a measurement.
    func rate(_ timing: inout Timing) {
        let compute = timing.dtype == "f32" ? float32Teraflops : tensorTeraflops
        let byCompute = timing.teraflops.flatMap { rate in compute.map { rate / $0 } } ?? 0
        let byMemory = (timing.gigabytesPerSecond ?? 0) / copyGigabytesPerSecond
        if byCompute == 0 && byMemory == 0 { return }
        timing.shareOfCeiling = max(byCompute, byMemory)
        timing.ceiling = byCompute > byMemory ? (timing.dtype == "f32" ? "float32 multiply-adds" : "mma.sync") : "copy"
    }
}
