import Foundation
import Tapestry

/// One case: its JSON object and the file that holds its tensors. Answers what is wrong, or nil; throws ``Unsupported`` for what the
/// library does not have.
public typealias CaseRunner = @Sendable (_ item: [String: Any], _ file: GoldenFile) throws -> String?

/// Golden cases run through the library's public interface.
public enum ConformanceSuite {
    /// The runner of each `kind` of case.
    public static let runners: [String: CaseRunner] = [
        "op": OperatorRunner.run,
        "optimizer": OptimizerRunner.run, "lr_scheduler": ScheduleRunner.run,
        "clip_grad_norm": GradientRunners.clipNorm, "clip_grad_value": GradientRunners.clipValue,
        "grad_scaler": GradientRunners.scaler,
        "composed_loss": ComposedLossRunner.run, "module": ModuleRunner.run,
        "error": OperatorRunner.refuse,
        "onnx_node": OnnxRunner.node, "onnx_graph": OnnxRunner.graph,
        "convert": ConversionRunner.run,
        "read": FormatRunner.read, "accept_or_reject": FormatRunner.acceptOrReject, "read_quantized": FormatRunner.readQuantized,
        "logits_processor": LogitsProcessorRunner.run,
        "hidden_states": LanguageModelRunners.hiddenStates, "vad": RecurrentModelRunners.speech,
        "minilm": LanguageModelRunners.sentence, "lm_gpt2_bpe": LanguageModelRunners.causal,
        "lm_llama_char": LanguageModelRunners.causal, "g2p_en": RecurrentModelRunners.sounds,
        "textgenrnn": RecurrentModelRunners.characters,
        "hf_forward": HuggingFaceRunner.forward, "hf_generate": HuggingFaceGenerateRunner.run, "sdpa": AttentionRunners.attention,
        "rope": AttentionRunners.rotary,
    ]

    /// The folders of a golden directory that hold cases of these kinds.
    public static let suites = [
        "opinfo", "modules", "optim", "sched", "losses", "onnx_nodes", "dtypes", "formats", "sampling", "attention", "hf",
        "models",
    ]

    /// What became of one case.
    public enum Outcome: Sendable, Equatable {
        case passed
        case failed(String)
        case unsupported(String)
    }

    /// Runs one case.
    public static func outcome(of item: [String: Any], in file: GoldenFile) -> Outcome {
        let kind = item["kind"] as? String ?? ""
        guard let runner = runners[kind] else { return .unsupported("kind \(kind)") }
        do {
            if let wrong = try runner(item, file) { return .failed(wrong) }
            return .passed
        } catch let reason as Unsupported {
            return .unsupported(reason.description)
        } catch {
            return .failed("threw \(error)")
        }
    }

    /// Calls `body` with every case in order: its position, its JSON object (with its suite's folder under "suiteFolder") and its file,
    /// which is opened when asked for.
    public static func forEachCase(
        _ manifests: [URL], only: String? = nil,
        _ body: (_ position: Int, _ item: [String: Any], _ file: () throws -> GoldenFile) throws -> Void
    ) throws {
        var position = 0
        // Tables of another kind lie beside the cases.
        for manifest in manifests where GoldenFile.isManifest(manifest) {
            let file = try GoldenFile(manifest)
            for item in file.cases {
                if let only, !(item["name"] as? String ?? "").contains(only) { continue }
                var item = item
                let folder = manifest.deletingLastPathComponent().lastPathComponent
                item["suiteFolder"] = folder
                // Trained models' cases are all of one kind, that of their folder.
                item["kind"] = item["kind"] ?? folder
                item["name"] = item["name"] ?? (item["text"] as? String).map { "\(folder)/\($0)" }
                try body(position, item, { file })
                position += 1
            }
        }
    }

    /// Runs the cases in this process.
    public static func run(_ manifests: [URL], where picks: (_ item: [String: Any]) -> Bool = { _ in true }) throws -> Report {
        var report = Report()
        try forEachCase(manifests) { _, item, file in
            if !picks(item) { return }
            report.add(
                outcome(of: item, in: try file()), name: item["name"] as? String ?? "?",
                group: item["suiteFolder"] as? String ?? "")
        }
        return report
    }
}

/// Counts per group of cases, and the reasons.
public struct Report: Sendable {
    /// Counts of one group.
    public struct Counts: Sendable {
        public var passed = 0
        public var failed = 0
        public var unsupported = 0
    }

    /// Counts by group: the folder of the cases.
    public private(set) var groups: [String: Counts] = [:]
    /// Every failure: the case's name and what is wrong.
    public private(set) var failures: [(name: String, problem: String)] = []
    /// How often each reason for leaving a case out occurred.
    public private(set) var reasons: [String: Int] = [:]

    public init() {}

    public mutating func add(_ outcome: ConformanceSuite.Outcome, name: String, group: String) {
        switch outcome {
        case .passed: groups[group, default: Counts()].passed += 1
        case .failed(let problem):
            groups[group, default: Counts()].failed += 1
            failures.append((name, problem))
        case .unsupported(let reason):
            groups[group, default: Counts()].unsupported += 1
            reasons[reason, default: 0] += 1
        }
    }

    public var passed: Int { groups.values.reduce(0) { $0 + $1.passed } }
    public var failed: Int { failures.count }
    public var unsupported: Int { groups.values.reduce(0) { $0 + $1.unsupported } }

    /// A table per group and the reasons, most frequent first.
    public var table: String {
        func pad(_ s: String, _ n: Int) -> String { String(repeating: " ", count: Swift.max(n - s.count, 0)) + s }
        let width = Swift.max(groups.keys.map(\.count).max() ?? 0, 5)
        var lines = ["group".padding(toLength: width, withPad: " ", startingAt: 0) + "  passed  failed  unsupported"]
        for (name, counts) in groups.sorted(by: { $0.key < $1.key }) {
            lines.append(
                name.padding(toLength: width, withPad: " ", startingAt: 0)
                    + "  \(pad("\(counts.passed)", 6))  \(pad("\(counts.failed)", 6))  \(pad("\(counts.unsupported)", 11))")
        }
        if !reasons.isEmpty {
            lines.append("unsupported because of")
            for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
                lines.append("  \(pad("\(count)", 5))  \(reason)")
            }
        }
        return lines.joined(separator: "\n")
    }

    /// The closing line.
    public var summary: String { "\(passed) passed, \(failed) failed, \(unsupported) skipped" }
}
