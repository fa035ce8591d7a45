import Foundation

/// Steps and validations as CSV files: `step,epoch,loss,learning_rate,gradient_norm,count,seconds`, and, beside it under the name with
/// `-validation`, `step,epoch,metric,value`. A run that is resumed goes on in its files: rows after the step it goes on from are dropped first.
public final class CSVLogger: TrainingCallback {
    /// The file of the steps.
    public let path: String
    /// The file of the validations.
    public let validationPath: String
    private var steps: AppendedFile?
    private var validations: AppendedFile?
    /// What went wrong first, as a full disk: logging stops, training goes on.
    public private(set) var error: (any Error)?

    private static let header = "step,epoch,loss,learning_rate,gradient_norm,count,seconds\n"
    private static let validationHeader = "step,epoch,metric,value\n"

    /// Logs to this file, named `….csv` as a rule.
    public init(_ path: String) {
        self.path = path
        validationPath = (path.hasSuffix(".csv") ? String(path.dropLast(4)) : path) + "-validation.csv"
    }

    /// Writes steps and validations.
    public func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        do {
            switch event {
            case .began(let step, _):
                steps = try Self.begin(path, Self.header, after: step)
                validations = try Self.begin(validationPath, Self.validationHeader, after: step)
            case .step(let r):
                try add(
                    "\(r.step),\(r.epoch),\(r.loss),\(r.learningRate),\(r.gradientNorm),\(r.count),\(String(format: "%.6f", r.seconds))\n",
                    steps)
            case .validation(let step, let epoch, let metrics, _):
                let rows = metrics.sorted { $0.key < $1.key }.map { "\(step),\(epoch),\(Self.quoted($0.key)),\($0.value)\n" }
                try add(rows.joined(), validations)
            case .ended: (steps, validations) = (nil, nil)
            default: break
            }
        } catch {
            if self.error == nil { self.error = error }
            (steps, validations) = (nil, nil)
        }
    }

    private func add(_ text: String, _ file: AppendedFile?) throws { try file?.append(Array(text.utf8)) }

    /// Keeps the rows up to a step, a row that was cut off by a kill not among them, and opens the file at its end.
    private static func begin(_ path: String, _ header: String, after step: Int) throws -> AppendedFile {
        var kept = header
        if step > 0, let old = try? String(contentsOfFile: path, encoding: .utf8), old.hasPrefix(header) {
            var rows = old.dropFirst(header.count).split(separator: "\n", omittingEmptySubsequences: false)
            rows.removeLast()
            for row in rows {
                if let first = row.split(separator: ",").first, let number = Int(first), number <= step { kept += row + "\n" }
            }
        }
        try writeText(kept, to: path)
        return try AppendedFile(path)
    }

    private static func quoted(_ text: String) -> String {
        text.utf8.contains { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\n") }
            ? "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : text
    }
}
