import Foundation

/// A chart as the text of an SVG file.
struct SVGCanvas: ChartCanvas {
    private var body: String

    init(width: Double, height: Double) {
        body = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.f(width)) \(Self.f(height))" font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>

            """
    }

    /// The whole file.
    var svg: String { body + "</svg>\n" }

    mutating func line(_ from: Point, _ to: Point, _ color: ChartColor, width: Double) {
        let (f, g) = (Self.f, Self.hex)
        body += "<line x1=\"\(f(from.x))\" x2=\"\(f(to.x))\" y1=\"\(f(from.y))\" y2=\"\(f(to.y))\" stroke=\"\(g(color))\""
        body += (width == 1 ? "" : " stroke-width=\"\(width)\"") + "/>\n"
    }

    mutating func polyline(_ points: [Point], _ color: ChartColor, width: Double) {
        let path = points.map { "\(Self.f($0.x)),\(Self.f($0.y))" }.joined(separator: " ")
        body += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(Self.hex(color))\" stroke-width=\"\(width)\"/>\n"
    }

    mutating func rectangle(_ corner: Point, width: Double, height: Double, _ color: ChartColor) {
        let f = Self.f
        body += "<rect x=\"\(f(corner.x))\" y=\"\(f(corner.y))\" width=\"\(f(width))\" height=\"\(f(height))\" fill=\"none\" "
        body += "stroke=\"\(Self.hex(color))\"/>\n"
    }

    mutating func dot(_ center: Point, radius: Double, _ color: ChartColor) {
        body += "<circle cx=\"\(Self.f(center.x))\" cy=\"\(Self.f(center.y))\" r=\"\(radius)\" fill=\"\(Self.hex(color))\"/>\n"
    }

    mutating func text(_ text: String, at point: Point, _ anchor: TextAnchor, size: Double, isRotated: Bool) {
        let place =
            isRotated
            ? "transform=\"translate(\(Self.f(point.x)) \(Self.f(point.y))) rotate(-90)\""
            : "x=\"\(Self.f(point.x))\" y=\"\(Self.f(point.y))\""
        let style = (anchor == .start ? "" : " text-anchor=\"\(anchor)\"") + (size == 12 ? "" : " font-size=\"\(Self.f(size))\"")
        body += "<text \(place)\(style)>\(Self.escaped(text))</text>\n"
    }

    private static func f(_ v: Double) -> String { String(format: "%.1f", v) }
    private static func hex(_ c: ChartColor) -> String { String(format: "#%02X%02X%02X", c.red, c.green, c.blue) }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
    }
}
