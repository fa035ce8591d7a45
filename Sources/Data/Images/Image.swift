import CImages
import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Why a picture could not be read or written.
public struct ImageError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// What was wrong, with the decoder's words where it gave any.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }
    init(_ path: String, _ reason: String) { (self.path, self.reason) = (path, reason) }
}

/// The channels of a picture.
public enum ImageChannels: Int, Sendable, Codable {
    /// Grey.
    case grey = 1
    /// Grey and opacity.
    case greyAlpha = 2
    /// Red, green, blue.
    case rgb = 3
    /// Red, green, blue and opacity.
    case rgba = 4
}

/// Reads a PNG or JPEG file: `[channels, height, width]` uint8, as PyTorch's `torchvision.io.read_image`. 16-bit PNG files are rounded to 8 bits;
/// colour profiles and gamma are left alone.
///
/// - Parameters:
///   - channels: what to convert to; nil: as in the file (a palette counts as colours). JPEG files are read as grey or RGB.
///   - maxPixels: files whose header says more are refused before anything is decoded.
///
/// Throws ``FileError`` if the file cannot be read, ``ImageError`` if it is no whole picture of these formats.
public func readImage(_ path: String, channels: ImageChannels? = nil, maxPixels: Int = 1 << 27) throws -> Tensor {
    let file = try MappedFile(path)
    return try decodeImage(file.bytes, path: path, channels: channels, maxPixels: maxPixels)
}

/// As ``readImage(_:channels:maxPixels:)`` of bytes in memory, which errors call `path`.
public func decodeImage(
    _ bytes: UnsafeRawBufferPointer, path: String = "image", channels: ImageChannels? = nil, maxPixels: Int = 1 << 27
) throws -> Tensor {
    let isPNG = bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    if !isPNG && !bytes.starts(with: [0xFF, 0xD8, 0xFF]) { throw ImageError(path, "neither a PNG nor a JPEG file") }
    let source = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    var size = ti_size()
    try check(path) { (isPNG ? ti_png_size : ti_jpeg_size)(source, bytes.count, &size, $0) }
    let (pixels, overflow) = size.width.multipliedReportingOverflow(by: size.height)
    if overflow || pixels > maxPixels || pixels < 1 {
        throw ImageError(path, "\(size.width) × \(size.height) pixels; at most \(maxPixels) are decoded")
    }
    if let channels {
        if !isPNG && (channels == .rgba || channels == .greyAlpha) { throw ImageError(path, "a JPEG file has no opacity") }
        size.channels = Int32(channels.rawValue)
    }
    var tensor = Tensor(zeros: [Int(size.height), Int(size.width), Int(size.channels)], dtype: .uint8)
    try tensor.withUnsafeMutableBytes { place in
        let target = place.baseAddress!.assumingMemoryBound(to: UInt8.self)
        try check(path) { (isPNG ? ti_png_decode : ti_jpeg_decode)(source, bytes.count, &size, target, $0) }
    }
    return tensor.permuted(2, 0, 1).contiguous()
}

/// Formats to write pictures in.
public enum ImageFormat: Sendable, Equatable {
    /// Every pixel as it is.
    case png
    /// Smaller, with a quality in 1 ... 100; 1 or 3 channels.
    case jpeg(quality: Int = 90)
}

/// The bytes of a picture `[channels, height, width]` (1 to 4 channels) of uint8, or floats in 0 ... 1, which are cut to that and rounded. Traps on
/// other shapes and types, and on channels that the format has not.
public func encodedImage(_ image: Tensor, _ format: ImageFormat = .png) throws -> [UInt8] {
    let isFloat = image.dtype.isFloatingPoint
    guard image.rank == 3, (1...4).contains(image.shape[0]), image.count > 0, isFloat || image.dtype == .uint8,
        image.shape[1] < 1 << 31, image.shape[2] < 1 << 31
    else { fail("encodedImage", "an image \(image.shape) of \(image.dtype); needs [1 ... 4, height, width] of uint8 or floats") }
    let flat = image.detached().to(device: .cpu).permuted(1, 2, 0)
    let bytes = (isFloat ? CoreTensor.round(flat.to(.float32).clamped(min: 0, max: 1) * 255).to(.uint8) : flat).contiguous()
    var size = ti_size(width: Int64(image.shape[2]), height: Int64(image.shape[1]), channels: Int32(image.shape[0]))
    var encoded: UnsafeMutablePointer<UInt8>?
    var count = 0
    try bytes.withUnsafeBytes { source in
        let pixels = source.baseAddress!.assumingMemoryBound(to: UInt8.self)
        try check("image") { message in
            switch format {
            case .png: return ti_png_encode(pixels, &size, &encoded, &count, message)
            case .jpeg(let quality):
                if !(1...100).contains(quality) || (size.channels != 1 && size.channels != 3) {
                    fail("encodedImage", "\(size.channels) channels at a JPEG quality of \(quality); it has 1 or 3 and 1 ... 100")
                }
                return ti_jpeg_encode(pixels, &size, Int32(quality), &encoded, &count, message)
            }
        }
    }
    defer { free(encoded) }
    return Array(UnsafeBufferPointer(start: encoded, count: count))
}

/// Writes a picture, as ``encodedImage(_:_:)``; the format is PNG unless the name ends in `.jpg` or `.jpeg`. Throws ``FileError``.
public func writeImage(_ image: Tensor, to path: String) throws {
    let isJPEG = [".jpg", ".jpeg", ".JPG", ".JPEG"].contains { path.hasSuffix($0) }
    var file = try AtomicFile(path)
    try encodedImage(image, isJPEG ? .jpeg() : .png).withUnsafeBytes { try file.write($0) }
    try file.commit()
}

private func check(_ path: String, _ body: (UnsafeMutablePointer<CChar>) throws -> Int32) throws {
    var message = [CChar](repeating: 0, count: Int(TI_MESSAGE_SIZE))
    let code = try message.withUnsafeMutableBufferPointer { try body($0.baseAddress!) }
    if code != 0 {
        throw ImageError(path, String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
}
