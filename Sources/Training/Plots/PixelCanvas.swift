import CoreTensor

/// A chart as pixels, `scale` of them along each of the chart's. Lines are smooth: a pixel takes the share of its colour that the line covers of
/// it, found by its distance from the line's middle.
struct PixelCanvas: ChartCanvas {
    private let width, height: Int
    private let scale: Double
    /// Red, green, blue in 0 ... 1, row by row.
    private var pixels: [Float]

    init(width: Double, height: Double, scale: Double = 2) {
        self.width = max(Int((width * scale).rounded()), 1)
        self.height = max(Int((height * scale).rounded()), 1)
        self.scale = scale
        pixels = Array(repeating: 1, count: self.width * self.height * 3)
    }

    /// `[3, height, width]`, uint8.
    var image: Tensor {
        Tensor(pixels.map { UInt8(($0 * 255).rounded()) }, shape: [height, width, 3]).permuted(2, 0, 1).contiguous()
    }

    mutating func line(_ from: Point, _ to: Point, _ color: ChartColor, width: Double) {
        polyline([from, to], color, width: width)
    }

    mutating func polyline(_ points: [Point], _ color: ChartColor, width lineWidth: Double) {
        // The most that any segment covers of a pixel, so that joints are not drawn twice.
        var coverage: [Int: Float] = [:]
        let half = lineWidth * scale / 2
        for (from, to) in zip(points, points.dropFirst()) {
            // Pixels' middles are at halves.
            let a = (x: from.x * scale - 0.5, y: from.y * scale - 0.5), b = (x: to.x * scale - 0.5, y: to.y * scale - 0.5)
            let dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy
            for y in rows(min(a.y, b.y) - half - 1, max(a.y, b.y) + half + 1) {
                // Where the row can be near the segment.
                var (left, right) = (min(a.x, b.x), max(a.x, b.x))
                if abs(dy) > 1e-9 {
                    let reach = (half + 1) * (square.squareRoot() / abs(dy))
                    let middle = a.x + (Double(y) - a.y) / dy * dx
                    (left, right) = (max(left, middle - reach), min(right, middle + reach))
                }
                for x in columns(left - half - 1, right + half + 1) {
                    let px = Double(x) - a.x, py = Double(y) - a.y
                    let t = square > 0 ? min(max((px * dx + py * dy) / square, 0), 1) : 0
                    let ex = px - t * dx, ey = py - t * dy
                    let share = Float(min(max(half + 0.5 - (ex * ex + ey * ey).squareRoot(), 0), 1))
                    if share > 0 { coverage[y * width + x] = max(coverage[y * width + x] ?? 0, share) }
                }
            }
        }
        for (place, share) in coverage { blend(place, color, share) }
    }

    mutating func rectangle(_ corner: Point, width: Double, height: Double, _ color: ChartColor) {
        let (x, y) = (corner.x, corner.y)
        polyline([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], color, width: 1)
    }

    mutating func dot(_ center: Point, radius: Double, _ color: ChartColor) {
        polyline([center, center], color, width: 2 * radius)
    }

    mutating func text(_ text: String, at point: Point, _ anchor: TextAnchor, size: Double, isRotated: Bool) {
        // A letter is 5 x 7 dots in a cell of 6; at size 12 a dot is one pixel of the chart.
        let dot = max((size / 12 * scale).rounded(), 1)
        let length = Double(text.unicodeScalars.count) * 6 * dot
        let shift = anchor == .start ? 0 : anchor == .middle ? length / 2 : length
        let origin = (x: (point.x * scale).rounded(), y: (point.y * scale).rounded())
        for (index, scalar) in text.unicodeScalars.enumerated() {
            for (column, bits) in BitmapFont.columns(of: scalar).enumerated() {
                for row in 0..<8 where bits >> row & 1 == 1 {
                    let along = (Double(index) * 6 + Double(column)) * dot - shift.rounded(), up = Double(row - 7) * dot
                    // Read from below, what goes right goes up.
                    let corner =
                        isRotated
                        ? (x: origin.x + up, y: origin.y - along - dot) : (x: origin.x + along, y: origin.y + up)
                    for y in rows(corner.y, corner.y + dot - 1) {
                        for x in columns(corner.x, corner.x + dot - 1) { blend(y * width + x, .black, 0.85) }
                    }
                }
            }
        }
    }

    private func rows(_ low: Double, _ high: Double) -> Range<Int> { Self.inside(low, high, height) }
    private func columns(_ low: Double, _ high: Double) -> Range<Int> { Self.inside(low, high, width) }

    /// The whole numbers of a range that are in `0 ..< limit`.
    private static func inside(_ low: Double, _ high: Double, _ limit: Int) -> Range<Int> {
        let first = max(low.rounded(.up), 0), last = min(high.rounded(.down), Double(limit - 1))
        return first <= last ? Int(first)..<Int(last) + 1 : 0..<0
    }

    private mutating func blend(_ place: Int, _ color: ChartColor, _ share: Float) {
        for (k, part) in [color.red, color.green, color.blue].enumerated() {
            pixels[place * 3 + k] += (Float(part) / 255 - pixels[place * 3 + k]) * share
        }
    }
}
