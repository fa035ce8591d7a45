import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Images with a class each, as MNIST, Fashion-MNIST, KMNIST and EMNIST come: two IDX files, `train-images-idx3-ubyte` (or `t10k-…`) and
/// `train-labels-idx1-ubyte`, as they are or with `.gz`.
public struct LabelledImages: Dataset {
    /// `[count, 1, height, width]`, float32 in 0 ... 1.
    public let images: Tensor
    /// `[count]`, int64 in `0 ..< classes`.
    public let labels: Tensor
    /// The number of classes.
    public let classes: Int

    /// Reads the two files. Throws ``IDXError`` if they do not belong together or a label is out of range, ``FileError`` if one cannot be read.
    public init(images imagesPath: String, labels labelsPath: String, classes: Int = 10) throws {
        let images = try readIDX(imagesPath), labels = try readIDX(labelsPath)
        if images.rank != 3 || images.dtype != .uint8 {
            throw IDXError(
                imagesPath, "\(images.shape) of \(images.dtype) are no images; they are [count, height, width] of uint8")
        }
        if labels.rank != 1 || labels.dtype != .uint8 {
            throw IDXError(labelsPath, "\(labels.shape) of \(labels.dtype) are no labels; they are [count] of uint8")
        }
        if labels.shape[0] != images.shape[0] {
            throw IDXError(labelsPath, "\(labels.shape[0]) labels for \(images.shape[0]) images")
        }
        if let wrong = labels.scalars(Int.self).enumerated().first(where: { $0.element >= classes }) {
            throw IDXError(labelsPath, "label \(wrong.element) of image \(wrong.offset) is not below \(classes)")
        }
        self.images = images.to(.float32).unsqueezed(1) / 255
        self.labels = labels.to(.int64)
        self.classes = classes
    }

    /// The training or test part of a folder with the files' usual names. Throws ``FileError`` if one is missing.
    public init(folder: String, training: Bool, classes: Int = 10) throws {
        let part = training ? "train" : "t10k"
        func find(_ name: String) throws -> String {
            for candidate in ["\(folder)/\(name)", "\(folder)/\(name).gz"] where access(candidate, R_OK) == 0 { return candidate }
            throw FileError("\(folder)/\(name)", "neither this file nor \(name).gz can be read")
        }
        try self.init(images: find("\(part)-images-idx3-ubyte"), labels: find("\(part)-labels-idx1-ubyte"), classes: classes)
    }

    /// The number of images.
    public var count: Int { images.shape[0] }
    /// Image `[1, height, width]` and label `[]`.
    public func sample(at index: Int) -> (Tensor, Tensor) { (images[index], labels[index]) }
}
