import Foundation

/// Training's progress as text: on a terminal one line that is rewritten, elsewhere a line every `every` steps; validations and what goes wrong
/// always have lines of their own.
public final class ConsoleLogger: TrainingCallback {
    private let every: Int
    private let isTerminal: Bool
    private let write: (String) -> Void
    private let countName: String
    private var began = ContinuousClock.now
    private var first = 0
    private var total: Int?
    private var counted = 0

    /// - Parameters:
    ///   - every: steps between lines where the output is no terminal.
    ///   - counting: what losses are means over, for the rate: "samples", "tokens".
    ///   - isTerminal: nil: found out.
    ///   - write: where text goes; nil: standard output.
    public init(every: Int = 100, counting: String = "samples", isTerminal: Bool? = nil, write: ((String) -> Void)? = nil) {
        self.every = max(every, 1)
        countName = counting
        self.isTerminal = isTerminal ?? (isatty(1) == 1)
        self.write =
            write ?? { text in
                print(text, terminator: "")
                fflush(nil)
            }
    }

    /// Writes what there is to say about an event.
    public func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        switch event {
        case .began(let step, let total):
            (first, self.total, began, counted) = (step, total, .now, 0)
            if step > 0 { line("continuing after step \(step)") }
        case .step(let report):
            counted += report.count
            if isTerminal {
                write("\r\u{1B}[K" + text(report))
            } else if report.step % every == 0 || report.step == total {
                write(text(report) + "\n")
            }
        case .validation(let step, let epoch, let metrics, let isBest):
            let values = metrics.sorted { $0.key < $1.key }.map { $0.key + String(format: " %.4f", $0.value) }
            line("validation at step \(step), epoch \(epoch): \(values.joined(separator: "  "))\(isBest ? "  best so far" : "")")
        case .epoch(let epoch, let step, let loss):
            line(String(format: "epoch %d over at step %d, mean loss %.4f", epoch + 1, step, loss))
        case .skipped(let step, let reason): line("step \(step): a batch left out, \(reason)")
        case .saved: break
        case .saveFailed(let path, let step, let reason): line("step \(step): \(path) could not be written: \(reason)")
        case .ended(let summary):
            let why =
                switch summary.end {
                case .finished: "done"
                case .earlyStopping: "no improvement any more"
                case .interrupted(let signal): "interrupted by signal \(signal)"
                case .cancelled: "cancelled"
                case .stopped(let reason): reason
                }
            line("\(why) after \(summary.steps) steps")
        }
    }

    /// A line of its own, under the live one.
    private func line(_ text: String) { write((isTerminal ? "\r\u{1B}[K" : "") + text + "\n") }

    private func text(_ report: StepReport) -> String {
        let seconds = max((ContinuousClock.now - began) / .seconds(1), 1e-9)
        var text = "step \(report.step)\(total.map { "/\($0)" } ?? "")  epoch \(report.epoch + 1)"
        text += String(
            format: "  loss %.4f  gradient %.3g  lr %.2e  %.0f ", report.loss, report.gradientNorm, report.learningRate,
            Double(counted) / seconds)
        text += countName + "/s"
        if let total {
            let left = Int((Double(total - report.step) * seconds / Double(max(report.step - first, 1))).rounded())
            text += String(format: "  %d:%02d left", left / 60, left % 60)
        }
        return text
    }
}
