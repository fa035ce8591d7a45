// Times operations and training steps. Compare with the same names of a PyTorch script; see RESULTS.md.
import ArgumentParser
import Foundation
import Tapestry

@main
struct Benchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Times Tapestry.", subcommands: [Measure.self, MeasureCheckpoint.self, MeasureTokenizer.self],
        defaultSubcommand: Measure.self)
}

/// What runs if nothing else is said: the workloads.
struct Measure: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workloads", abstract: "Times operations, training steps and inference.",
        discussion: "Rows with a reference are timed in turns with it; a ratio above 1 is faster than the reference.")

    @Option(help: "Names to run, with * for anything; several separated by commas.")
    var filter = "*"
    @Option(help: "Element types to run, several separated by commas, or all: f32, bf16, int8, int4.")
    var dtype = "all"
    @Flag(help: "Only show the names.")
    var list = false
    @Option(help: "Also write the measurements to this file.")
    var json: String?
    @Option(help: "Seconds of samples per workload.")
    var budget = 1.0
    @Flag(help: "Instead of timing, show what the operations of one call cost, after a few calls.")
    var profile = false
    @Option(help: "With --profile, also write the calls as a Chrome trace to this file.")
    var trace: String?
    @Flag(help: "Instead, tables of time against size and threads, and of what recomputation saves.")
    var scaling = false
    @Option(help: "Threads; by default as the library chooses.")
    var threads: Int?
    @Option(help: "Where to run: cpu, or cuda:0, cuda:1 … for operations, products, attention, optimizers and training.")
    var device = "cpu"

    func validate() throws {
        if !(budget > 0) { throw ValidationError("--budget is \(budget); it must be above 0") }
        if let threads, threads < 1 { throw ValidationError("--threads is \(threads); it must be at least 1") }
    }

    func run() throws {
        let patterns = filter.split(separator: ",").map(String.init)
        let types = dtype.split(separator: ",").map(String.init)
        var chosen = Workloads.all.filter { workload in
            patterns.contains { fnmatch($0, workload.name, 0) == 0 } && (types.contains(workload.dtype) || dtype == "all")
        }
        Workloads.device = try CUDA.device(named: device)
        if Workloads.device.kind == .cuda {
            chosen = chosen.filter { Workloads.deviceGroups.contains($0.group) }
            if scaling { throw ValidationError("--scaling is of the CPU") }
        }
        if chosen.isEmpty { throw ValidationError("no workload of type \(dtype) is named \(filter); see --list") }
        if list {
            for workload in chosen { print("\(workload.group)  \(workload.name)  \(workload.dtype)") }
            return
        }
        if let threads { Configuration.threadCount = threads }
        print(Tapestry.configuration)
        if Workloads.device.kind == .cuda { print(CUDA.describe(Workloads.device)) }
        if profile {
            for workload in chosen { try show(workload) }
            return
        }
        let peaks = MachinePeaks.measured
        print(
            String(
                format: "bounds: %.0f GFLOP/s (float32 multiply-adds), %.1f GB/s (triad)", peaks.flopsPerSecond / 1e9,
                peaks.bytesPerSecond / 1e9))
        let stopwatch = Stopwatch(
            budget: budget, threads: Configuration.threadCount, peaks: peaks, device: Workloads.device)
        if scaling {
            Scaling.run(stopwatch: stopwatch)
            return
        }
        print(Self.row("name", "median", "rate", "", "bound", "MB", "reference", "ratio"))
        var results: [Measurement] = []
        for workload in chosen {
            let m = try stopwatch.measure(workload)
            results.append(m)
            print(Self.row(m))
            fflush(nil)
        }
        if let json { try write(results, json) }
    }

    private func show(_ workload: Workload) throws {
        let timed = try workload.setUp()
        for _ in 0..<3 { timed.call() }
        let profile = Profiler.record { timed.call() }
        print("\n\(workload.name) \(workload.dtype): \(profile)\n")
        print(profile.table(by: .shapes, limit: 25))
        if let trace { try profile.writeChromeTrace(to: trace) }
    }

    private func write(_ results: [Measurement], _ path: String) throws {
        struct Report: Encodable {
            let configuration, device: String
            let date: String
            let peakGflops, peakGigabytesPerSecond: Double
            let measurements: [Measurement]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let report = Report(
            configuration: "\(Tapestry.configuration)", device: device, date: ISO8601DateFormatter().string(from: Date()),
            peakGflops: MachinePeaks.measured.flopsPerSecond / 1e9,
            peakGigabytesPerSecond: MachinePeaks.measured.bytesPerSecond / 1e9, measurements: results)
        try encoder.encode(report).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private static func row(_ m: Measurement) -> String {
        var rate = ""
        if let gflops = m.gflops {
            rate = String(format: "%.1f GFLOP/s", gflops)
        } else if let bandwidth = m.gigabytesPerSecond {
            rate = String(format: "%.1f GB/s", bandwidth)
        }
        let items = m.itemsPerSecond.map { String(format: "%.0f ", $0) + m.unit! + "/s" } ?? ""
        return row(
            m.dtype == "f32" ? m.name : "\(m.name) \(m.dtype)", time(m.medianSeconds), rate, items,
            m.shareOfBound.map { String(format: "%.2f", $0) } ?? "", m.peakMegabytes.map { String(format: "%.0f", $0) } ?? "",
            m.reference.map { "\($0) \(time(m.referenceSeconds!))" } ?? "",
            m.ratio.map { String(format: "%.2f", $0) } ?? "")
    }

    private static func row(
        _ name: String, _ median: String, _ rate: String, _ items: String, _ bound: String, _ memory: String, _ reference: String,
        _ ratio: String
    )
        -> String
    {
        func pad(_ s: String, _ n: Int) -> String { s + String(repeating: " ", count: max(n - s.count, 1)) }
        func right(_ s: String, _ n: Int) -> String { String(repeating: " ", count: max(n - s.count, 0)) + s }
        let line =
            pad(name, 34) + right(median, 11) + right(rate, 16) + right(items, 18) + right(bound, 7) + right(memory, 7) + "  "
            + pad(reference, 24) + ratio
        return line.replacingOccurrences(of: " +$", with: "", options: .regularExpression)
    }

    private static func time(_ seconds: Double) -> String {
        switch seconds {
        case ..<1e-6: String(format: "%.1f ns", seconds * 1e9)
        case ..<1e-3: String(format: "%.2f µs", seconds * 1e6)
        default: String(format: "%.3f ms", seconds * 1e3)
        }
    }
}
