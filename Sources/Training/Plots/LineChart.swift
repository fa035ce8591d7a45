import Foundation

/// A line chart as SVG: loss curves, gradient norms.
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

    /// Colours that the colour-blind can tell apart (Okabe and Ito, 2008).
    private static let colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]

    /// The chart as the text of an SVG file.
    public var svg: String {
        let left = 72.0, right = 16.0, top = 40.0, bottom = 52.0
        let lines = series.map { line in
            line.points.filter { $0.x.isFinite && $0.y.isFinite && (!isLogarithmic || $0.y > 0) }
                .map { (x: $0.x, y: isLogarithmic ? log10($0.y) : $0.y) }
        }
        let (xLow, xHigh) = Self.range(lines.flatMap { $0.map(\.x) }), (yLow, yHigh) = Self.range(lines.flatMap { $0.map(\.y) })
        func px(_ x: Double) -> Double { left + (x - xLow) / (xHigh - xLow) * (width - left - right) }
        func py(_ y: Double) -> Double { height - bottom - (y - yLow) / (yHigh - yLow) * (height - top - bottom) }
        func f(_ v: Double) -> String { String(format: "%.1f", v) }
        var out = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(f(width)) \(f(height))" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            <text x="\(f(width / 2))" y="22" text-anchor="middle" font-size="15">\(Self.escaped(title))</text>
            <text x="\(f((left + width - right) / 2))" y="\(f(height - 12))" text-anchor="middle">\(Self.escaped(xLabel))</text>
            <text transform="translate(16 \(f((top + height - bottom) / 2))) rotate(-90)" text-anchor="middle">\(Self.escaped(yLabel))</text>

            """
        for tick in Self.ticks(xLow, xHigh) {
            out +=
                "<line x1=\"\(f(px(tick)))\" x2=\"\(f(px(tick)))\" y1=\"\(f(top))\" y2=\"\(f(height - bottom))\" stroke=\"#ddd\"/>\n"
            out +=
                "<text x=\"\(f(px(tick)))\" y=\"\(f(height - bottom + 16))\" text-anchor=\"middle\">\(Self.label(tick))</text>\n"
        }
        for tick in isLogarithmic ? Self.powers(yLow, yHigh) : Self.ticks(yLow, yHigh) {
            let text = isLogarithmic ? Self.label(pow(10, tick)) : Self.label(tick)
            out +=
                "<line x1=\"\(f(left))\" x2=\"\(f(width - right))\" y1=\"\(f(py(tick)))\" y2=\"\(f(py(tick)))\" stroke=\"#ddd\"/>\n"
            out += "<text x=\"\(f(left - 6))\" y=\"\(f(py(tick) + 4))\" text-anchor=\"end\">\(text)</text>\n"
        }
        out +=
            "<rect x=\"\(f(left))\" y=\"\(f(top))\" width=\"\(f(width - left - right))\" height=\"\(f(height - top - bottom))\" fill=\"none\" stroke=\"#888\"/>\n"
        for (index, line) in lines.enumerated() {
            let color = Self.colors[index % Self.colors.count]
            let path = Self.thinned(line, most: 2000).map { "\(f(px($0.x))),\(f(py($0.y)))" }.joined(separator: " ")
            if line.count == 1 {
                out += "<circle cx=\"\(f(px(line[0].x)))\" cy=\"\(f(py(line[0].y)))\" r=\"3\" fill=\"\(color)\"/>\n"
            } else if !line.isEmpty {
                out += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.5\"/>\n"
            }
            let y = top + 16 + 16 * Double(index)
            out +=
                "<line x1=\"\(f(width - right - 150))\" x2=\"\(f(width - right - 130))\" y1=\"\(f(y - 4))\" y2=\"\(f(y - 4))\" stroke=\"\(color)\" stroke-width=\"2\"/>\n"
            out += "<text x=\"\(f(width - right - 124))\" y=\"\(f(y))\">\(Self.escaped(series[index].name))</text>\n"
        }
        return out + "</svg>\n"
    }

    /// Writes the chart; an earlier file stays until this one is complete. Throws `FileError`.
    public func write(_ path: String) throws { try writeText(svg, to: path) }

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

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
    }
}
