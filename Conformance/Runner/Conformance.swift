import ArgumentParser
import ConformanceSuite
import Foundation
import Tapestry

/// Runs golden cases of other systems through the public interface and says how many agree.
@main
struct Conformance: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs golden cases (PyTorch's operators, modules, optimizers and schedules, ONNX nodes, dtype tables).",
        discussion: """
            The exit code is 1 if a case fails. Cases that ask for what the library does not have are skipped, with the reason.
            The cases run in a process of their own, so that one that stops the program is a failure (or, where it must be
            refused, a success) and not the end of the run.
            """)

    @Argument(help: "A folder with the golden layout: opinfo/, modules/, optim/ …")
    var directory: String

    @Option(help: "Only cases whose name contains this text.")
    var only: String?

    @Flag(help: "Print every case.")
    var verbose = false

    @Option(help: .hidden)
    var workFrom: Int?

    func run() throws {
        let root = URL(fileURLWithPath: directory)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw ValidationError("\(directory) is not a folder")
        }
        let manifests = ConformanceSuite.suites.flatMap { Goldens.manifests($0, in: root) }
        if manifests.isEmpty { throw ValidationError("\(directory) holds no golden cases (opinfo/*.json …)") }
        if let workFrom {
            try Worker.run(manifests, only, from: workFrom)
            return
        }
        var report = try Supervisor(directory: directory, only: only, verbose: verbose).run(manifests)
        for (name, outcome) in try TokenizerCases.run(in: root) where only.map(name.contains) ?? true {
            report.add(outcome, name: name, group: "tokenizers")
            if case .failed(let problem) = outcome { print("FAILED  \(name): \(problem)") }
        }
        print(report.table)
        print(report.summary)
        if report.failed > 0 { throw ExitCode(1) }
    }
}

/// The process that runs cases, one after another, and writes a line before and after each.
enum Worker {
    static func run(_ manifests: [URL], _ only: String?, from first: Int) throws {
        // At once, so that nothing is lost when a case stops the program.
        func print(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
        try ConformanceSuite.forEachCase(manifests, only: only) { position, item, file in
            if position < first { return }
            print("start \(position)")
            switch ConformanceSuite.outcome(of: item, in: try file()) {
            case .passed: print("passed")
            case .failed(let problem): print("failed \(problem.replacingOccurrences(of: "\n", with: " "))")
            case .unsupported(let reason): print("unsupported \(reason.replacingOccurrences(of: "\n", with: " "))")
            }
        }
    }
}

/// Starts workers until every case has an outcome.
struct Supervisor {
    let directory: String
    let only: String?
    let verbose: Bool

    func run(_ manifests: [URL]) throws -> Report {
        var cases: [(name: String, group: String, mustRefuse: Bool)] = []
        try ConformanceSuite.forEachCase(manifests, only: only) { _, item, _ in
            let name = item["name"] as? String ?? "?"
            cases.append((name, item["suiteFolder"] as? String ?? "", item["kind"] as? String == "error"))
        }
        var report = Report()
        var next = 0
        while next < cases.count {
            let (outcomes, lastWords) = try work(from: next)
            for outcome in outcomes {
                note(outcome, cases[next], &report)
                next += 1
            }
            if next < cases.count {
                // The worker died in this case.
                note(cases[next].mustRefuse ? .passed : .failed("the program stopped: \(lastWords)"), cases[next], &report)
                next += 1
            }
        }
        return report
    }

    private func note(
        _ outcome: ConformanceSuite.Outcome, _ item: (name: String, group: String, mustRefuse: Bool), _ report: inout Report
    ) {
        report.add(outcome, name: item.name, group: item.group)
        switch outcome {
        case .passed: if verbose { print("passed  \(item.name)") }
        case .failed(let problem): print("FAILED  \(item.name): \(problem)")
        case .unsupported(let reason): if verbose { print("skipped \(item.name): \(reason)") }
        }
    }

    private func work(from first: Int) throws -> (outcomes: [ConformanceSuite.Outcome], lastWords: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = [directory, "--work-from", "\(first)"] + (only.map { ["--only", $0] } ?? [])
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        let output = Pipe(), errors = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try Data().write(to: errors)
        defer { try? FileManager.default.removeItem(at: errors) }
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var outcomes: [ConformanceSuite.Outcome] = []
        for line in text.split(separator: "\n") {
            if line == "passed" {
                outcomes.append(.passed)
            } else if line.hasPrefix("failed ") {
                outcomes.append(.failed(String(line.dropFirst(7))))
            } else if line.hasPrefix("unsupported ") {
                outcomes.append(.unsupported(String(line.dropFirst(12))))
            }
        }
        let words = (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        let last = words.split(separator: "\n").first { $0.contains("rror:") } ?? words.split(separator: "\n").last
        return (outcomes, last.map(String.init) ?? "without a word")
    }
}
