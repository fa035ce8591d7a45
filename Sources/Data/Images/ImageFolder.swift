import CoreTensor
import Foundation

/// Pictures in one folder per class (torchvision's `ImageFolder`): the classes are the folders' names in order of their bytes, the samples the
/// PNG and JPEG files in them. Pictures are read when they are asked for.
public struct ImageFolder: Dataset {
    /// The folders' names; a label is a place in it.
    public let classes: [String]
    /// The files with their labels, in order.
    public let files: [(path: String, label: Int)]
    /// What pictures are converted to.
    public let channels: ImageChannels
    private let maxPixels: Int

    /// Looks for the files. Throws ``FileError`` if the folder cannot be read or has no pictures.
    public init(_ folder: String, channels: ImageChannels = .rgb, maxPixels: Int = 1 << 27) throws {
        let manager = FileManager.default
        func contents(_ path: String) throws -> [String] {
            do {
                return try manager.contentsOfDirectory(atPath: path).sorted {
                    Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8))
                }
            } catch {
                throw FileError(path, "cannot read the folder")
            }
        }
        var classes: [String] = [], files: [(String, Int)] = []
        for name in try contents(folder) {
            var isFolder: ObjCBool = false
            guard manager.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder), isFolder.boolValue else { continue }
            let pictures = try contents("\(folder)/\(name)").filter { file in
                [".png", ".jpg", ".jpeg"].contains { file.lowercased().hasSuffix($0) }
            }
            if pictures.isEmpty { continue }
            files += pictures.map { ("\(folder)/\(name)/\($0)", classes.count) }
            classes.append(name)
        }
        if files.isEmpty { throw FileError(folder, "no folders with PNG or JPEG files") }
        self.classes = classes
        self.files = files.map { (path: $0.0, label: $0.1) }
        (self.channels, self.maxPixels) = (channels, maxPixels)
    }

    /// The number of files.
    public var count: Int { files.count }

    /// Picture `[channels, height, width]`, float32 in 0 ... 1, and label `[]`. Throws ``ImageError``.
    public func sample(at index: Int) throws -> (Tensor, Tensor) {
        let image = try readImage(files[index].path, channels: channels, maxPixels: maxPixels)
        return (image.to(.float32) / 255, Tensor(files[index].label))
    }
}
