import CoreTensor
import Foundation

/// A random change of a sample for training: keyed by the generator alone, which a loader makes from seed, epoch and index.
public protocol Augmentation: Sendable {
    /// The changed sample. Images are `[channels, height, width]`.
    func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor
}

/// Augmentations one after another.
public struct ComposedAugmentation: Augmentation {
    private let steps: [any Augmentation]
    /// The steps in order.
    public init(_ steps: any Augmentation...) { self.steps = steps }
    /// Each step applied to the result of the one before.
    public func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor {
        steps.reduce(image) { $1($0, generator) }
    }
}

/// A window of a fixed size at a random place, of the image with `padding` places of 0 around it (He et al., 2016, on CIFAR: 32 of 40).
public struct RandomCrop: Augmentation {
    /// Sizes of the window.
    public let height, width: Int
    /// Places of 0 on each side before cropping.
    public let padding: Int

    /// Traps on sizes below 1 and negative padding.
    public init(height: Int, width: Int, padding: Int = 0) {
        if height < 1 || width < 1 || padding < 0 { fail("RandomCrop", "a window of \(height) × \(width), padding \(padding)") }
        (self.height, self.width, self.padding) = (height, width, padding)
    }

    /// `[..., height, width]` of the window. Traps on an image that is smaller.
    public func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor {
        let wide = padding > 0 ? image.padded([padding, padding, padding, padding]) : image
        let (rows, columns) = planeSizes("RandomCrop", wide)
        if rows < height || columns < width {
            fail("RandomCrop", "an image of \(rows) × \(columns) has no window of \(height) × \(width); add padding")
        }
        let top = generator.integer(below: rows - height + 1), left = generator.integer(below: columns - width + 1)
        return wide.narrowed(axis: -2, start: top, length: height).narrowed(axis: -1, start: left, length: width)
    }
}

/// The mirror image, left and right exchanged (or with `axis: -2` top and bottom), with the given probability.
public struct RandomFlip: Augmentation {
    /// How often.
    public let probability: Double
    /// -1: left and right; -2: top and bottom.
    public let axis: Int
    /// Traps unless the probability is in 0 ... 1.
    public init(probability: Double = 0.5, axis: Int = -1) {
        if !(0...1).contains(probability) { fail("RandomFlip", "a probability of \(probability); must be in 0 ... 1") }
        (self.probability, self.axis) = (probability, axis)
    }
    /// The image or its mirror image.
    public func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor {
        generator.uniform() < probability ? image.flipped(Axes([axis])) : image
    }
}

/// A square of 0 at a random place, cut off at the image's edges (DeVries and Taylor, 2017).
public struct Cutout: Augmentation {
    /// The side of the square.
    public let size: Int
    /// Traps on a size below 1.
    public init(size: Int) {
        if size < 1 { fail("Cutout", "a size of \(size)") }
        self.size = size
    }
    /// The image with the square in it, whose middle is anywhere in the image.
    public func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor {
        let (rows, columns) = planeSizes("Cutout", image)
        if rows == 0 || columns == 0 { return image }
        func isOutside(_ length: Int) -> Tensor {
            let start = generator.integer(below: length) - size / 2
            let place = Tensor(arange: length)
            return (place .< start) .| (place .>= start + size)
        }
        let keep = isOutside(rows).unsqueezed(1) .| isOutside(columns).unsqueezed(0)
        return image * keep.to(image.dtype)
    }
}

/// (x - mean) / standardDeviation for each channel: not random, for training and evaluation alike.
public struct Normalize: Augmentation {
    /// Mean and standard deviation of each channel.
    public let mean, standardDeviation: [Double]
    /// Traps on different numbers of means and deviations, and on deviations not above 0.
    public init(mean: [Double], standardDeviation: [Double]) {
        if mean.count != standardDeviation.count || mean.isEmpty || standardDeviation.contains(where: { !($0 > 0) }) {
            fail(
                "Normalize",
                "means \(mean) and standard deviations \(standardDeviation); needs one of each for a channel, above 0")
        }
        (self.mean, self.standardDeviation) = (mean, standardDeviation)
    }
    /// The image `[..., channels, height, width]`, normalised. Traps on another number of channels.
    public func callAsFunction(_ image: Tensor) -> Tensor {
        if image.rank < 3 || (image.shape[image.rank - 3] != mean.count) {
            fail("Normalize", "an image of shape \(image.shape); needs [..., \(mean.count), height, width]")
        }
        let shape = [mean.count, 1, 1]
        return (image - Tensor(mean, shape: shape, dtype: image.dtype))
            / Tensor(standardDeviation, shape: shape, dtype: image.dtype)
    }
    /// The same; nothing is drawn.
    public func callAsFunction(_ image: Tensor, _ generator: RandomGenerator) -> Tensor { self(image) }
}

/// Mixup (Zhang et al., 2018): each sample λ x + (1 - λ) of another one in the batch, with labels mixed alike; λ ~ Beta(α, α), one for the batch.
///
/// - Parameters:
///   - inputs: `[batch, ...]`, floats.
///   - labels: `[batch]` integers, made one-hot, or `[batch, classes]` floats.
///   - alpha: above 0; the larger, the more is mixed.
/// - Returns: inputs of the same shape and labels `[batch, classes]`. Traps on labels outside of `classes`.
public func mixup(
    _ inputs: Tensor, _ labels: Tensor, alpha: Double, classes: Int, generator: RandomGenerator
) -> (Tensor, Tensor) {
    if !(alpha > 0 && alpha.isFinite) { fail("mixup", "an alpha of \(alpha); must be above 0") }
    if inputs.rank == 0 || labels.rank == 0 || inputs.shape[0] != labels.shape[0] || !inputs.dtype.isFloatingPoint {
        fail("mixup", "inputs \(inputs.shape) \(inputs.dtype) and labels \(labels.shape); needs floats [batch, ...] and [batch]")
    }
    let soft = labels.rank == 1 ? Tensor(oneHot: labels, classes: classes, dtype: inputs.dtype) : labels.to(inputs.dtype)
    let share = generator.beta(alpha, alpha)
    let partner = Tensor(permutation: inputs.shape[0], generator: generator)
    return (
        inputs * share + inputs.gathered(rows: partner) * (1 - share), soft * share + soft.gathered(rows: partner) * (1 - share)
    )
}

extension Tensor {
    fileprivate func gathered(rows: Tensor) -> Tensor { self[rows] }
}

private func planeSizes(_ operation: String, _ image: Tensor) -> (Int, Int) {
    if image.rank < 2 { fail(operation, "an image of shape \(image.shape); needs [..., height, width]") }
    return (image.shape[image.rank - 2], image.shape[image.rank - 1])
}

extension RandomGenerator {
    /// One number in 0 ..< 1.
    public func uniform() -> Double { Tensor(uniform: [], dtype: .float64, generator: self).item(Double.self) }
    /// One integer in `0 ..< limit`.
    public func integer(below limit: Int) -> Int { Tensor(integers: 0..<limit, shape: [], generator: self).item(Int.self) }
    /// One number of Gamma(shape, 1), by Marsaglia and Tsang ("A simple method for generating gamma variables", 2000).
    public func gamma(_ shape: Double) -> Double {
        if shape < 1 { return gamma(shape + 1) * pow(max(uniform(), .leastNormalMagnitude), 1 / shape) }
        let d = shape - 1.0 / 3, c = 1 / (9 * d).squareRoot()
        while true {
            let x = Tensor(normal: [], dtype: .float64, generator: self).item(Double.self)
            let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
            if v > 0 && log(max(uniform(), .leastNormalMagnitude)) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }
    /// One number of Beta(a, b).
    public func beta(_ a: Double, _ b: Double) -> Double {
        let x = gamma(a), y = gamma(b)
        return x + y > 0 ? x / (x + y) : 0.5
    }
}
