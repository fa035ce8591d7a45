import Foundation
import Tapestry
import Testing

/// Pictures as Pillow wrote and reads them, and bytes that are none.
@Suite struct ImageTests {
    private let rgb = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAMklEQVR4nAEnANj/AF+CwtnP6w+jIdfZggD4vRBFuOjNTqk9fQoB"
            + "HfBC9sblKE4UFtrxklITytWCoI8AAAAASUVORK5CYII=")!
    private let palette = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADAgMAAADJmkZVAAAADFBMVEW+0WonynA5i0+EKXJ7+dk6AAAADklEQVR4nGPoYJBj8gcA"
            + "A1sA+HA7hlEAAAAASUVORK5CYII=")!
    private let g16 = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFklEQVR4nGOoqrhgJOPHonOi0/2sIQAkAAUl/dYpyQAAAABJRU5E"
            + "rkJggg==")!
    private let bit1 = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAkAAAACAQAAAACiLct+AAAADklEQVR4nGP4z8B4djMAB1ECga+1TQwAAAAASUVORK5CYII=")!
    private let la = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAQAAADYv8WvAAAAEklEQVR4nGNcpi68kcHzyHcdABFXA8PJVPyCAAAAAElFTkSuQmCC")!
    private let jpeg = Data(
        base64Encoded: "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
            + "FRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
            + "FBQUFBQUFBT/wAARCAAIABADASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
            + "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
            + "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
            + "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
            + "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
            + "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
            + "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD448P/AAU+7+4/SvTPD/wU+7/o/wClFFfm+HzjGfzHl8K59j/d98//2Q==")!

    private func decode(_ data: Data, _ channels: ImageChannels? = nil, maxPixels: Int = 1 << 20) throws -> Tensor {
        try data.withUnsafeBytes { try decodeImage($0, channels: channels, maxPixels: maxPixels) }
    }
    /// Row-major [height, width, channels], as Pillow lists pixels.
    private func pixels(_ image: Tensor) -> [Int] { image.permuted(1, 2, 0).to(.int64).scalars(Int.self) }

    @Test func pixelsAreTheReferences() throws {
        let image = try decode(rgb)
        #expect(image.shape == [3, 3, 4] && image.dtype == .uint8)
        #expect(
            pixels(image) == [
                95, 130, 194, 217, 207, 235, 15, 163, 33, 215, 217, 130, 248, 189, 16, 69, 184, 232, 205, 78, 169, 61, 125, 10,
                29, 240, 66, 19, 182, 39, 59, 4, 59, 81, 222, 44,
            ])
        #expect(
            pixels(try decode(palette)) == [
                57, 139, 79, 190, 209, 106, 57, 139, 79, 190, 209, 106, 190, 209, 106, 39, 202, 112, 132, 41, 114, 57, 139, 79,
                39, 202, 112, 57, 139, 79, 132, 41, 114, 39, 202, 112,
            ])
        // 16 bits rounded to 8.
        #expect(pixels(try decode(g16)) == [122, 207, 28, 166, 89, 233])
        #expect(pixels(try decode(bit1)) == [255, 255, 255, 255, 255, 255, 255, 255, 0, 255, 255, 0, 0, 255, 255, 0, 255, 255])
        let opaque = try decode(la)
        #expect(opaque.shape == [2, 2, 2] && pixels(opaque) == [166, 39, 185, 216, 73, 196, 247, 44])
        #expect(try decode(la, .rgb).shape == [3, 2, 2])
        #expect(try decode(rgb, .rgba)[3].min().item(Int.self) == 255)
        let grey = try decode(rgb, .grey)
        #expect(grey.shape == [1, 3, 4])
        // 0.299 r + 0.587 g + 0.114 b of the first pixel.
        #expect(abs(grey[0, 0, 0].item(Int.self) - 127) <= 1)
        let photo = try decode(jpeg)
        #expect(photo.shape == [3, 8, 16])
        #expect(photo.to(.int64).sum().item(Int.self) == 23343)
        #expect(photo[0, 7, 15].item(Int.self) == 155)
    }

    @Test func writtenPicturesComeBack() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapestry-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["cat", "dog"] {
            try FileManager.default.createDirectory(at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
        }
        for channels in 1...4 {
            let image = Tensor((0..<channels * 35).map { UInt8($0 * 7 % 251) }, shape: [channels, 5, 7])
            let bytes = try encodedImage(image)
            #expect(try decode(Data(bytes)).isEqual(to: image))
        }
        let smooth = (Tensor(arange: 256).reshaped(1, 16, 16)).to(.float32) / 255
        try writeImage(smooth, to: folder.appendingPathComponent("cat/a.jpg").path)
        try writeImage(smooth, to: folder.appendingPathComponent("dog/b.png").path)
        let data = try ImageFolder(folder.path, channels: .grey)
        #expect(data.count == 2 && data.classes == ["cat", "dog"])
        let (jpeg, zero) = try data.sample(at: 0), (png, one) = try data.sample(at: 1)
        #expect(zero.item(Int.self) == 0 && one.item(Int.self) == 1)
        #expect(png.isClose(to: smooth, atol: 1e-6) && jpeg.isClose(to: smooth, atol: 0.03))
        #expect(throws: FileError.self) { try ImageFolder(folder.appendingPathComponent("cat").path) }
    }

    /// Every cut and many changed bytes: a typed error or a picture, never a crash.
    @Test func malformedPictures() throws {
        for data in [rgb, palette, g16, bit1, la, jpeg] {
            for length in 0..<data.count {
                do { _ = try decode(data.prefix(length)) } catch is ImageError {} catch { Issue.record("\(error)") }
            }
            // Decoding needs all but the last chunk, which has no pixels.
            #expect(throws: ImageError.self) { try decode(data.prefix(data.count / 2)) }
            let generator = RandomGenerator(seed: 1)
            for _ in 0..<400 {
                var changed = data
                for _ in 0..<3 { changed[generator.integer(below: data.count)] = UInt8(generator.integer(below: 256)) }
                do { _ = try decode(changed) } catch is ImageError {} catch { Issue.record("\(error)") }
            }
        }
        // 2³¹ - 1 by 2³¹ - 1 pixels in a few bytes, with a right checksum: refused before anything is decoded.
        var huge = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13])
        let header: [UInt8] = Array("IHDR".utf8) + [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 8, 2, 0, 0, 0]
        huge += header
        var crc = ~UInt32(0)
        for byte in header {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        withUnsafeBytes(of: (~crc).bigEndian) { huge += $0 }
        huge += [0, 0, 0, 1] + Array("IDAT".utf8) + [0, 0, 0, 0, 0]
        let error = #expect(throws: ImageError.self) { try decode(huge) }
        #expect(error?.reason.contains("pixels") == true)
        #expect(throws: ImageError.self) { try decode(rgb, maxPixels: 11) }
    }
}
