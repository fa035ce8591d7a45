import Foundation
import Tapestry

/// All that a run found out about a device.
public struct CheckReport: Codable, Sendable, Equatable {
    public var device: CUDA.Properties
    public var libraries: [CUDA.Library]
    public var date: String
    public var operations: [OperationResult] = []
    public var ceilings: Ceilings?
    public var timings: [Timing] = []
    /// Products that were timed by our kernels and by cuBLASLt, as sentences; empty without cuBLASLt.
    public var products: [String] = []

    /// What is known before anything runs.
    public init(_ device: Device) {
        self.device = CUDA.properties(device)
        libraries = CUDA.libraries
        date = ISO8601DateFormatter().string(from: Date())
    }

    /// Whether an operation gave wrong values, or the device an error.
    public var hasFailures: Bool {
        operations.contains { $0.verdict == .wrong || $0.verdict == .failed }
            || timings.contains { $0.error != nil && $0.ranOutOfMemory != true }
    }

    /// "280 right, 2 wrong, 40 without a kernel, 0 failed"
    public var summary: String {
        func count(_ verdict: OperationResult.Verdict) -> Int { operations.count { $0.verdict == verdict } }
        return "\(count(.right)) right, \(count(.wrong)) wrong, \(count(.missing)) without a kernel, \(count(.failed)) failed"
    }

    /// Writes the report as JSON; an earlier file stays until it is complete.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    // MARK: Tables

    /// The device, its driver, the kernels that fit it, and NVIDIA's libraries, a line each.
    public var description: String {
        var lines = [
            "device   \(device.name), sm_\(device.capability), \(device.multiprocessors) multiprocessors at up to "
                + "\(device.clockKilohertz / 1000) MHz, \(device.memoryBytes / 1_048_576) MB",
            "driver   CUDA \(device.driverVersion)", "kernels  \(device.kernelImages.joined(separator: ", "))",
        ]
        for library in libraries {
            let found = library.path.map { "\($0), version \(library.version ?? 0)" }
            lines.append(Self.pad(library.name, 9) + (found ?? library.reason ?? "not found"))
        }
        return lines.joined(separator: "\n")
    }

    public static let header = row("name", "type", "time", "rate", "", "ceiling", "MB", "shape")

    /// A line of the table of timings.
    public static func row(_ t: Timing) -> String {
        if let error = t.error { return pad(t.name, 30) + pad(t.dtype, 6) + "failed: \(error)" }
        var rate = ""
        if let teraflops = t.teraflops {
            rate = String(format: teraflops < 1 ? "%.3f TFLOP/s" : "%.1f TFLOP/s", teraflops)
        } else if let bandwidth = t.gigabytesPerSecond {
            rate = String(format: "%.1f GB/s", bandwidth)
        }
        let items = t.itemsPerSecond.map { String(format: "%.0f ", $0) + "\(t.unit ?? "")/s" } ?? ""
        let share = t.shareOfCeiling.map { String(format: "%.0f %% of %@", 100 * $0, t.ceiling ?? "") } ?? ""
        let time =
            t.milliseconds < 1 ? String(format: "%.2f µs", 1000 * t.milliseconds) : String(format: "%.3f ms", t.milliseconds)
        return row(t.name, t.dtype, time, rate, items, share, t.peakMegabytes.map { String(format: "%.0f", $0) } ?? "", t.shape)
    }

    private static func row(
        _ name: String, _ dtype: String, _ time: String, _ rate: String, _ items: String, _ share: String, _ memory: String,
        _ shape: String
    ) -> String {
        pad(name, 30) + pad(dtype, 6) + right(time, 12) + right(rate, 16) + right(items, 22) + "  " + pad(share, 28)
            + right(memory, 7)
            + "  " + shape
    }
    private static func pad(_ s: String, _ n: Int) -> String { s + String(repeating: " ", count: max(n - s.count, 1)) }
    private static func right(_ s: String, _ n: Int) -> String { String(repeating: " ", count: max(n - s.count, 0)) + s }
}
