import Foundation

/// The progress line: on a terminal one line that is rewritten, in a log one line per milestone.
struct Progress {
    let steps: Int
    let start: Int
    let tokensPerStep: Int
    var validation: Double?
    private let began = Date()
    private let isTerminal = isatty(1) == 1

    init(steps: Int, start: Int, tokensPerStep: Int) {
        self.steps = steps
        self.start = start
        self.tokensPerStep = tokensPerStep
    }

    func report(_ step: Int, loss: Double, rate: Double, isMilestone: Bool) {
        if !isTerminal && !isMilestone { return }
        let seconds = max(Date().timeIntervalSince(began), 1e-9)
        let perStep = seconds / Double(max(step - start, 1))
        var line = String(format: "step %d/%d  loss %.4f", step, steps, loss)
        if let validation { line += String(format: "  validation %.4f  perplexity %.2f", validation, exp(validation)) }
        line += String(format: "  lr %.2e  %.0f tokens/s", rate, Double(tokensPerStep) / perStep)
        let left = Int((Double(steps - step) * perStep).rounded())
        line += String(format: "  %d:%02d left", left / 60, left % 60)
        if isTerminal {
            print("\r\u{1B}[K" + line, terminator: isMilestone ? "\n" : "")
        } else {
            print(line)
        }
        fflush(nil)
    }
}

/// Raised by SIGINT or SIGTERM; a second signal ends the program at once.
final class InterruptFlag: Sendable {
    nonisolated(unsafe) private static var raised: sig_atomic_t = 0

    init() {
        for code in [SIGINT, SIGTERM] {
            signal(code) { code in
                if InterruptFlag.raised != 0 { _exit(128 + code) }
                InterruptFlag.raised = 1
            }
        }
    }

    var isRaised: Bool { InterruptFlag.raised != 0 }
}
