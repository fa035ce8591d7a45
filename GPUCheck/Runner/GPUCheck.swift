// Checks every operation of a GPU against the CPU, and times it.
import ArgumentParser
import Foundation
import GPUCheckSuite
import Tapestry

@main
struct GPUCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "GPUCheck",
        abstract: "Checks the operations of an NVIDIA GPU against the CPU in float64, and times them.",
        discussion: """
            Exit codes: 0 all is right; 1 an operation gave wrong values or the device reported an error; 2 CUDA is off here, and the message \
            says why; 64 wrong options.
            """)

    @Option(help: "The GPU, from 0.")
    var device = 0
    @Option(help: "Names of operations and timings to run, with * for anything; several separated by commas.")
    var filter = "*"
    @Flag(help: "Leave out the operations.")
    var skipOperations = false
    @Flag(help: "Leave out the timings.")
    var skipTimings = false
    @Flag(help: "Time tiny sizes only, to see that everything runs.")
    var quick = false
    @Flag(help: "Print every operation, not only those that are not right.")
    var verbose = false
    @Option(help: "Milliseconds of a sample, of which there are five.")
    var sample = 60.0
    @Option(help: "Also write all results to this file, as JSON.")
    var json: String?

    func validate() throws {
        if !(sample > 0 && sample.isFinite) { throw ValidationError("--sample is \(sample); it must be above 0") }
        if device < 0 { throw ValidationError("--device is \(device); it must not be negative") }
    }

    func run() throws {
        let device: Device
        do { device = try CUDA.device(self.device) } catch {
            FileHandle.standardError.write(Data("GPUCheck: CUDA is off: \(error)\n".utf8))
            throw ExitCode(2)
        }
        let patterns = filter.split(separator: ",").map(String.init)
        func picks(_ name: String) -> Bool { patterns.contains { fnmatch($0, name, 0) == 0 } }
        let workloads = skipTimings ? [] : DeviceWorkloads.all(quick ? .tiny : .full).filter { picks($0.name) }
        if workloads.isEmpty && (skipOperations || !(OperationCheck.names + TileCheck.names).contains(where: picks)) {
            throw ValidationError("nothing is named \(filter)")
        }
        var report = CheckReport(device)
        print(report.description)
        if !skipOperations {
            func note(_ result: OperationResult) {
                report.operations.append(result)
                if verbose || result.verdict == .wrong || result.verdict == .failed { print(Self.line(result)) }
            }
            OperationCheck(device).run(where: picks, report: note)
            TileCheck(device, quick ? .tiny : .full).run(where: picks, report: note)
            print("operations: \(report.summary)")
        }
        if !workloads.isEmpty { time(workloads, device, &report) }
        if let json { try report.write(to: json) }
        if report.hasFailures { throw ExitCode(1) }
    }

    private func time(_ workloads: [DeviceWorkload], _ device: Device, _ report: inout CheckReport) {
        let timer = DeviceTimer(device, sampleMilliseconds: sample)
        let ceilings = Ceilings(device, timer, copyBytes: quick ? 1 << 20 : 1 << 30, rounds: quick ? 2 : 4096)
        report.ceilings = ceilings
        var line = String(
            format: "ceilings: copy %.0f GB/s, float32 %.1f TFLOP/s", ceilings.copyGigabytesPerSecond, ceilings.float32Teraflops)
        if let tensor = ceilings.tensorTeraflops { line += String(format: ", bfloat16 mma.sync %.1f TFLOP/s", tensor) }
        print(line)
        print(CheckReport.header)
        for workload in workloads {
            let timing = timer.measure(workload, ceilings)
            report.timings.append(timing)
            print(CheckReport.row(timing))
            fflush(nil)
        }
        report.products = CUDA.productReport(device).map(\.description)
        if !report.products.isEmpty { print("products:\n" + report.products.joined(separator: "\n")) }
    }

    private static func line(_ result: OperationResult) -> String {
        let type = result.dtype.isEmpty ? "" : " (\(result.dtype))"
        return "\(result.verdict.rawValue): \(result.operation)\(type)\(result.detail.isEmpty ? "" : ": \(result.detail)")"
    }
}
