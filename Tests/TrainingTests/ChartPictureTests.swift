import Foundation
import Tapestry
import Testing

@testable import Training

/// Charts as pixels.
@Suite struct ChartPictureTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// The pixel of a picture as red, green, blue.
    private func pixel(_ image: Tensor, _ x: Int, _ y: Int) -> [Int] { image[0..., y, x].scalars(Int.self) }

    /// A line covers as much as it is wide and long, wherever it lies, and each pixel once.
    @Test(arguments: [(10.0, 10.5, 90.0, 10.5), (10, 10, 90, 70), (20.3, 80, 24.9, 5.2), (5, 5, 5.01, 5)])
    func coverage(_ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double) {
        for scale in [1.0, 2.0] {
            var canvas = PixelCanvas(width: 100, height: 100, scale: scale)
            canvas.line((x0, y0), (x1, y1), .black, width: 2)
            let dark = (255 - canvas.image[0].to(.float64)).sum().item(Double.self) / 255
            // A band with round ends, seen through a filter of one pixel.
            let length = ((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)).squareRoot() * scale, radius = scale
            #expect(abs(dark - (2 * radius * length + .pi * radius * radius)) < 0.04 * length + 1, "\(dark)")
            // A joint in the middle changes nothing.
            var joined = PixelCanvas(width: 100, height: 100, scale: scale)
            joined.polyline([(x0, y0), ((x0 + x1) / 2, (y0 + y1) / 2), (x1, y1)], .black, width: 2)
            #expect(abs(joined.image.to(.float64) - canvas.image.to(.float64)).max().item(Double.self) <= 1)
        }
    }

    /// What lies outside is not drawn, and stops nothing.
    @Test func outside() {
        var canvas = PixelCanvas(width: 20, height: 10, scale: 1)
        canvas.line((-50, -50), (-10, 60), .black, width: 2)
        canvas.text("far away", at: (200, 5), .start, size: 12, isRotated: false)
        canvas.line((.nan, 0), (3, .infinity), .black, width: 1)
        #expect((canvas.image .== 255).all().item(Bool.self))
    }

    /// Letters are where they should be: an L has a left stroke and a foot; read from below it lies on its side.
    @Test func letters() {
        func dark(_ isRotated: Bool) -> Set<[Int]> {
            var canvas = PixelCanvas(width: 24, height: 24, scale: 1)
            canvas.text("L", at: (12, 12), .start, size: 12, isRotated: isRotated)
            let image = canvas.image
            return Set((0..<24).flatMap { y in (0..<24).map { [$0, y] } }.filter { pixel(image, $0[0], $0[1])[0] < 100 })
        }
        let upright = Set((5...11).map { [12, $0] } + (12...16).map { [$0, 11] })
        #expect(dark(false) == upright)
        #expect(dark(true) == Set(upright.map { [12 + $0[1] - 12, 12 - ($0[0] - 12) - 1] }))
        #expect(BitmapFont.columns(of: "é") == BitmapFont.columns(of: "?") && BitmapFont.columns(of: "~") == [2, 1, 2, 4, 2])
    }

    @Test func files() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var chart = LineChart(title: "Loss", xLabel: "step", yLabel: "nats")
        chart.add("training", (0..<500).map { (x: Double($0), y: exp(-Double($0) / 100)) })
        chart.add("validation", [(100, 0.5), (400, 0.2)])
        try chart.write("\(folder)/loss.png")
        let image = try readImage("\(folder)/loss.png")
        #expect(image.shape == [3, 840, 1440])
        // The second line, in its colour, at its middle: x 250 of 0 ... 499, y 0.35.
        let x = Int((72 + 250.0 / 499 * 632) * 2)
        let high = 1.0, low = exp(-4.99), wanted = (420 - 52 - (0.35 - low) / (high - low) * 328) * 2
        #expect((Int(wanted) - 3...Int(wanted) + 3).contains { pixel(image, x, $0) == [0xD5, 0x5E, 0x00] })
        try chart.write("\(folder)/loss.svg")
        #expect(try readText("\(folder)/loss.svg") == chart.svg)

        let run = Fixture.run()
        let curve = LossCurve("\(folder)/curve.png")
        run.trainer.callbacks.append(curve)
        _ = try await run.trainer.fit(run.loader)
        #expect(curve.error == nil)
        #expect(try readImage("\(folder)/curve.png").shape == [3, 840, 1440])
    }
}
