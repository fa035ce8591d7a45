import ArgumentParser
import ConformanceSuite
import Foundation
import Tapestry

/// Runs golden cases of other systems through the public interface and says how many agree.
@main
struct Conformance: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs golden cases (PyTorch's operators, modules, optimizers and schedules, ONNX nodes, dtype tables).",
        discussion:
            "The exit code is 1 if a case fails. Cases that ask for what the library does not have are skipped, with the reason.")

    @Argument(help: "A folder with the golden layout: opinfo/, modules/, optim/ …")
    var directory: String

    @Option(help: "Only cases whose name contains this text.")
    var only: String?

    @Flag(help: "Print every case.")
    var verbose = false

    func run() throws {
        let root = URL(fileURLWithPath: directory)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw ValidationError("\(directory) is not a folder")
        }
        let manifests = ConformanceSuite.suites.flatMap { Goldens.manifests($0, in: root) }
        if manifests.isEmpty { throw ValidationError("\(directory) holds no golden cases (opinfo/*.json …)") }
        let report = try ConformanceSuite.run(
            manifests, where: { item in only.map { (item["name"] as? String ?? "").contains($0) } ?? true },
            each: { name, outcome in
                switch outcome {
                case .passed: if verbose { print("passed  \(name)") }
                case .failed(let problem): print("FAILED  \(name): \(problem)")
                case .unsupported(let reason): if verbose { print("skipped \(name): \(reason)") }
                }
            })
        print(report.table)
        print(report.summary)
        if report.failed > 0 { throw ExitCode(1) }
    }
}
