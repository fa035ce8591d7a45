import Foundation

/// A line chart, as SVG or PNG: loss curves, gradient norms.
///
/// ```swift
/// var chart = LineChart(title: "Loss", xLabel: "step", yLabel: "cross-entropy")
/// chart.add("training", points)
/// try chart.write("loss.svg")
/// ```
public struct LineChart: Sendable {
    /// A line with its name.
    public struct Series: Sendable {
        /// What the legend says.
        public let name: String
        /// Places in order of x; those that are not finite (or not above 0 on a logarithmic axis) are left out.
        public let points: [(x: Double, y: Double)]
    }

    /// Above the chart.
    public var title: String
    /// Below the x axis.
    public var xLabel: String
    /// Beside the y axis.
    public var yLabel: String
    /// Whether y is on a logarithmic axis.
    public var isLogarithmic: Bool
    /// The lines, in the order of the legend.
    public private(set) var series: [Series] = []
    /// Size in pixels.
    public var width = 720.0, height = 420.0

    /// An empty chart.
    public init(title: String, xLabel: String = "", yLabel: String = "", isLogarithmic: Bool = false) {
        (self.title, self.xLabel, self.yLabel, self.isLogarithmic) = (title, xLabel, yLabel, isLogarithmic)
    }

    /// Adds a line.
    public mutating func add(_ name: String, _ points: [(x: Double, y: Double)]) {
        series.append(Series(name: name, points: points))
    }

    /// Draws everything.
    func draw(on canvas: inout some ChartCanvas) {
        let left = 72.0, right = 16.0, top = 40.0, bottom = 52.0
        let lines = series.map { line in
            line.points.filter { $0.x.isFinite && $0.y.isFinite && (!isLogarithmic || $0.y > 0) }
                .map { (x: $0.x, y: isLogarithmic ? log10($0.y) : $0.y) }
        }
        let (xLow, xHigh) = Self.range(lines.flatMap { $0.map(\.x) }), (yLow, yHigh) = Self.range(lines.flatMap { $0.map(\.y) })
        // Differences of halves: the whole one may be infinite.
        func share(_ v: Double, _ low: Double, _ high: Double) -> Double { (v / 2 - low / 2) / (high / 2 - low / 2) }
        func px(_ x: Double) -> Double { left + share(x, xLow, xHigh) * (width - left - right) }
        func py(_ y: Double) -> Double { height - bottom - share(y, yLow, yHigh) * (height - top - bottom) }
        canvas.text(title, at: (width / 2, 22), .middle, size: 15, isRotated: false)
        canvas.text(xLabel, at: ((left + width - right) / 2, height - 12), .middle, size: 12, isRotated: false)
        canvas.text(yLabel, at: (16, (top + height - bottom) / 2), .middle, size: 12, isRotated: true)
        for tick in Self.ticks(xLow, xHigh) {
            canvas.line((px(tick), top), (px(tick), height - bottom), .grid, width: 1)
            canvas.text(Self.label(tick), at: (px(tick), height - bottom + 16), .middle, size: 12, isRotated: false)
        }
        for tick in isLogarithmic ? Self.powers(yLow, yHigh) : Self.ticks(yLow, yHigh) {
            canvas.line((left, py(tick)), (width - right, py(tick)), .grid, width: 1)
            let text = isLogarithmic ? Self.label(pow(10, tick)) : Self.label(tick)
            canvas.text(text, at: (left - 6, py(tick) + 4), .end, size: 12, isRotated: false)
        }
        canvas.rectangle((left, top), width: width - left - right, height: height - top - bottom, .frame)
        for (index, line) in lines.enumerated() {
            let color = ChartColor.lines[index % ChartColor.lines.count]
            let points = Self.thinned(line, most: 2000).map { (x: px($0.x), y: py($0.y)) }
            if points.count == 1 { canvas.dot(points[0], radius: 3, color) }
            if points.count > 1 { canvas.polyline(points, color, width: 1.5) }
        }
        // The legend, beside its longest name.
        let names = Double(series.map(\.name.count).max() ?? 0) * 6.2, start = width - right - max(names, 94) - 56
        for (index, line) in series.enumerated() {
            let y = top + 16 + 16 * Double(index)
            canvas.line((start, y - 4), (start + 20, y - 4), ChartColor.lines[index % ChartColor.lines.count], width: 2)
            canvas.text(line.name, at: (start + 26, y), .start, size: 12, isRotated: false)
        }
    }

    private static func range(_ values: [Double]) -> (Double, Double) {
        guard let low = values.min(), let high = values.max() else { return (0, 1) }
        if low == high { return (low - 0.5, high + 0.5) }
        return (low, high)
    }

    /// About five round numbers in a range.
    private static func ticks(_ low: Double, _ high: Double) -> [Double] {
        let rough = (high - low) / 5, power = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
        if !(step > 0 && step.isFinite) { return [] }
        return stride(from: (low / step).rounded(.up) * step, through: high + step * 1e-9, by: step).prefix(12).map {
            abs($0) < step * 1e-9 ? 0 : $0
        }
    }

    private static func powers(_ low: Double, _ high: Double) -> [Double] {
        let first = low.rounded(.up), last = high.rounded(.down)
        if first > last { return [low, high] }
        let step = max(1, ((last - first) / 6).rounded(.up))
        return Array(stride(from: first, through: last, by: step))
    }

    private static func label(_ value: Double) -> String { String(format: "%.4g", value) }

    /// Every n-th point, and the last.
    private static func thinned(_ points: [(x: Double, y: Double)], most: Int) -> [(x: Double, y: Double)] {
        if points.count <= most { return points }
        let step = (points.count + most - 1) / most
        return stride(from: 0, to: points.count - 1, by: step).map { points[$0] } + [points.last!]
    }
}
