import Data
import Foundation

/// The losses of training and the metrics of validation as a chart, written after every validation and at the end: as PNG
/// if the file's name ends in `.png`, otherwise as SVG.
public final class LossCurve: TrainingCallback {
    private let path: String
    private let log: String?
    private let smoothing: Double
    private var losses: [(x: Double, y: Double)] = []
    private var metrics: [String: [(x: Double, y: Double)]] = [:]
    /// What went wrong first: training goes on.
    public private(set) var error: (any Error)?

    /// - Parameters:
    ///   - continuing: a ``CSVLogger``'s file, from which the curve of a run that is resumed begins.
    ///   - smoothing: of an exponential average of the losses, drawn in their place; 0: the losses themselves.
    public init(_ path: String, continuing log: String? = nil, smoothing: Double = 0) {
        (self.path, self.log, self.smoothing) = (path, log, smoothing)
    }

    /// Collects, and writes the chart.
    public func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        switch event {
        case .began(let step, _):
            if step > 0, let log { readLog(log, upTo: step) }
        case .step(let report): losses.append((Double(report.step), report.loss))
        case .validation(let step, _, let values, _):
            for (name, value) in values { metrics[name, default: []].append((Double(step), value)) }
            write()
        case .ended: write()
        default: break
        }
    }

    private func readLog(_ log: String, upTo step: Int) {
        guard let table = try? CSVTable(log), case .integer(let steps)? = table["step"] else { return }
        let values: [Double?]
        switch table["loss"] {
        case .number(let numbers): values = numbers
        case .integer(let whole): values = whole.map { $0.map(Double.init) }
        default: return
        }
        losses = zip(steps, values).compactMap { s, y in
            if let s, let y, s <= step { (Double(s), y) } else { nil }
        }
    }

    private func write() {
        var chart = LineChart(title: "Training", xLabel: "step", yLabel: "loss")
        var average = 0.0, weight = 0.0
        chart.add(
            "training loss",
            losses.map { point in
                average = smoothing * average + (1 - smoothing) * point.y
                weight = smoothing * weight + 1 - smoothing
                return (point.x, average / weight)
            })
        for (name, points) in metrics.sorted(by: { $0.key < $1.key }) { chart.add("validation \(name)", points) }
        do { try chart.write(path) } catch { if self.error == nil { self.error = error } }
    }
}
