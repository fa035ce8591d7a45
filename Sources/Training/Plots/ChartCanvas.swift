/// A colour, each part in 0 ... 255.
struct ChartColor: Equatable {
    let red, green, blue: UInt8

    init(_ hex: UInt32) { (red, green, blue) = (UInt8(hex >> 16 & 255), UInt8(hex >> 8 & 255), UInt8(hex & 255)) }

    static let black = ChartColor(0x000000), grid = ChartColor(0xDDDDDD), frame = ChartColor(0x888888)
    /// Colours that the colour-blind can tell apart (Okabe and Ito, 2008).
    static let lines = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000].map { ChartColor($0) }
}

/// Where a text stands: its point is the beginning, middle or end of its baseline.
enum TextAnchor: String { case start, middle, end }

/// What a chart is drawn on. Places are in pixels of the chart from its upper left corner.
protocol ChartCanvas {
    typealias Point = (x: Double, y: Double)
    mutating func line(_ from: Point, _ to: Point, _ color: ChartColor, width: Double)
    /// Two points or more.
    mutating func polyline(_ points: [Point], _ color: ChartColor, width: Double)
    /// An outline of one pixel.
    mutating func rectangle(_ corner: Point, width: Double, height: Double, _ color: ChartColor)
    mutating func dot(_ center: Point, radius: Double, _ color: ChartColor)
    /// `isRotated`: read from below.
    mutating func text(_ text: String, at point: Point, _ anchor: TextAnchor, size: Double, isRotated: Bool)
}
