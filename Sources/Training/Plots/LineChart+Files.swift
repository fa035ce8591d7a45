import CoreTensor
import Data

extension LineChart {
    /// The chart as the text of an SVG file.
    public var svg: String {
        var canvas = SVGCanvas(width: width, height: height)
        draw(on: &canvas)
        return canvas.svg
    }

    /// The chart as a picture `[3, scale · height, scale · width]` of uint8. Characters that are not ASCII become question marks.
    public func image(scale: Double = 2) -> Tensor {
        var canvas = PixelCanvas(width: width, height: height, scale: scale)
        draw(on: &canvas)
        return canvas.image
    }

    /// Writes the chart, as PNG (or JPEG) if the name ends so and otherwise as SVG; an earlier file stays until this one is complete. Throws
    /// `FileError`.
    public func write(_ path: String) throws {
        let isPicture = [".png", ".jpg", ".jpeg"].contains { path.lowercased().hasSuffix($0) }
        if isPicture { try writeImage(image(), to: path) } else { try writeText(svg, to: path) }
    }
}
