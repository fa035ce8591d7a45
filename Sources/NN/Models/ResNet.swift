import CoreTensor

/// Residual networks (He et al., 2016, arXiv:1512.03385), in torchvision's form: the stride of a bottleneck is in its 3 × 3 convolution.
///
/// ```swift
/// let model = ResNet(.resNet18(classes: 10))
/// try ResNet(.resNet50()).loadTorchvisionState(try TensorArchives.open("resnet50.safetensors").tensors())
/// ```
///
/// Parameters have torchvision's names; ``torchvisionState`` has those of the running statistics too.
public final class ResNet: Module, Layer {
    /// What the network begins with.
    public enum Stem: Sendable, Equatable {
        /// 7 × 7 at stride 2, then the maxima of 3 × 3 at stride 2: for pictures of 224 pixels.
        case large
        /// 3 × 3 at stride 1: for pictures of about 32 pixels, as in the paper's networks for CIFAR-10.
        case small
    }

    /// The sizes of a network.
    public struct Configuration: Sendable, Equatable {
        /// Blocks of each stage, one to four of them; a stage has twice the channels of the one before, at half the size.
        public var blocks: [Int]
        /// Whether blocks are of 1 × 1, 3 × 3 and 1 × 1 convolutions, the last of four times the channels, in place of two of 3 × 3.
        public var isBottleneck: Bool
        /// Channels of the first stage.
        public var width: Int
        /// Channels of the pictures.
        public var channels: Int
        /// Outputs.
        public var classes: Int
        /// What comes before the stages.
        public var stem: Stem

        /// A network of one's own. Traps without a stage, with more than four, and on sizes below 1.
        public init(
            blocks: [Int], isBottleneck: Bool = false, width: Int = 64, channels: Int = 3, classes: Int = 1000,
            stem: Stem = .large
        ) {
            if !(1...4).contains(blocks.count) || blocks.contains(where: { $0 < 1 }) || min(width, channels, classes) < 1 {
                fail(
                    "ResNet",
                    "blocks \(blocks), width \(width), \(channels) channels, \(classes) classes; one to four stages, all at least 1"
                )
            }
            (self.blocks, self.isBottleneck, self.width) = (blocks, isBottleneck, width)
            (self.channels, self.classes, self.stem) = (channels, classes, stem)
        }

        /// 18 layers, 11.7 million parameters for 1,000 classes.
        public static func resNet18(classes: Int = 1000) -> Configuration {
            Configuration(blocks: [2, 2, 2, 2], classes: classes)
        }
        /// 34 layers, 21.8 million parameters.
        public static func resNet34(classes: Int = 1000) -> Configuration {
            Configuration(blocks: [3, 4, 6, 3], classes: classes)
        }
        /// 50 layers, 25.6 million parameters.
        public static func resNet50(classes: Int = 1000) -> Configuration {
            Configuration(blocks: [3, 4, 6, 3], isBottleneck: true, classes: classes)
        }
        /// 101 layers, 44.5 million parameters.
        public static func resNet101(classes: Int = 1000) -> Configuration {
            Configuration(blocks: [3, 4, 23, 3], isBottleneck: true, classes: classes)
        }
        /// The paper's networks for CIFAR-10, of 6 n + 2 layers: three stages of 16, 32 and 64 channels with n blocks each.
        public static func cifar(blocksPerStage n: Int, channels: Int = 3, classes: Int = 10) -> Configuration {
            Configuration(blocks: [n, n, n], width: 16, channels: channels, classes: classes, stem: .small)
        }
    }

    /// Its sizes.
    public let configuration: Configuration
    private let conv1: Conv2d
    private let bn1: BatchNorm2d
    private let layer1, layer2, layer3, layer4: [ResidualBlock]
    private let fc: Linear

    /// Convolutions start normal with variance 2 / (outputs · places) (He et al., 2015, by outputs), norms as 1 and 0, the head as ``Linear``.
    public init(_ configuration: Configuration, generator: RandomGenerator = .default) {
        self.configuration = configuration
        let width = configuration.width
        conv1 =
            configuration.stem == .large
            ? convolution(configuration.channels, width, 7, stride: 2, generator)
            : convolution(configuration.channels, width, 3, generator)
        bn1 = BatchNorm2d(width)
        var inputs = width
        func stage(_ index: Int) -> [ResidualBlock] {
            guard index < configuration.blocks.count else { return [] }
            return (0..<configuration.blocks[index]).map { position in
                let block = ResidualBlock(
                    inputs, width << index, stride: position == 0 && index > 0 ? 2 : 1,
                    isBottleneck: configuration.isBottleneck, generator)
                inputs = block.outputs
                return block
            }
        }
        (layer1, layer2, layer3, layer4) = (stage(0), stage(1), stage(2), stage(3))
        fc = Linear(inputs, configuration.classes, generator: generator)
    }

    /// Pictures `[batch, channels, height, width]` to logits `[batch, classes]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { fc(features(x)) }

    /// The mean of the last stage's channels over all places, `[batch, features]`: what the head sees.
    public func features(_ x: Tensor) -> Tensor {
        var x = bn1(conv1(x), activation: .relu)
        if configuration.stem == .large { x = maxPool2d(x, kernelSize: 3, stride: 2, padding: 1) }
        for block in layer1 + layer2 + layer3 + layer4 { x = block(x) }
        return x.mean([2, 3])
    }

    // MARK: torchvision's files

    private static let statistics = [
        ("runningMean", "running_mean"), ("runningVariance", "running_var"), ("batchesTracked", "num_batches_tracked"),
    ]

    /// The state under torchvision's names (`layer1.0.bn1.running_mean`).
    public var torchvisionState: [String: Tensor] {
        Dictionary(uniqueKeysWithValues: stateDict.map { name, tensor in (Self.renamed(name, Self.statistics), tensor) })
    }

    /// Takes over a state under torchvision's names, as from `torch.save(model.state_dict())` or a safetensors file of it. Nothing changes unless
    /// everything fits; throws ``StateDictError``. Files of before PyTorch 0.4 lack the counts of batches, which then stay.
    public func loadTorchvisionState(_ state: [String: Tensor]) throws {
        var own = Dictionary(
            uniqueKeysWithValues: state.map { name, tensor in (Self.renamed(name, Self.statistics.map { ($0.1, $0.0) }), tensor) }
        )
        for (name, buffer) in namedBuffers where name.hasSuffix("batchesTracked") && own[name] == nil { own[name] = buffer.value }
        try loadStateDict(own)
    }

    private static func renamed(_ name: String, _ pairs: [(String, String)]) -> String {
        for (from, to) in pairs where name.hasSuffix("." + from) { return name.dropLast(from.count) + to }
        return name
    }
}

/// x + f(x), with f of two or three convolutions, each normalised; where sizes differ, x goes through a 1 × 1 convolution.
final class ResidualBlock: Module, Layer {
    let conv1, conv2: Conv2d
    let bn1, bn2: BatchNorm2d
    let conv3: Conv2d?
    let bn3: BatchNorm2d?
    let downsample: [any Layer]
    let outputs: Int

    init(_ inputs: Int, _ width: Int, stride: Int, isBottleneck: Bool, _ generator: RandomGenerator) {
        outputs = isBottleneck ? 4 * width : width
        if isBottleneck {
            conv1 = convolution(inputs, width, 1, generator)
            conv2 = convolution(width, width, 3, stride: stride, generator)
            conv3 = convolution(width, outputs, 1, generator)
            bn3 = BatchNorm2d(outputs)
        } else {
            conv1 = convolution(inputs, width, 3, stride: stride, generator)
            conv2 = convolution(width, width, 3, generator)
            (conv3, bn3) = (nil, nil)
        }
        (bn1, bn2) = (BatchNorm2d(width), BatchNorm2d(width))
        downsample =
            stride == 1 && inputs == outputs
            ? [] : [convolution(inputs, outputs, 1, stride: stride, generator), BatchNorm2d(outputs)]
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        var y = conv2(bn1(conv1(x), activation: .relu))
        if let conv3, let bn3 { y = bn3(conv3(bn2(y, activation: .relu))) } else { y = bn2(y) }
        return relu(y + downsample.reduce(x) { $1($0) })
    }
}

/// A convolution without bias whose output is normalised, padded so that stride 1 keeps the size.
private func convolution(_ inputs: Int, _ outputs: Int, _ size: Int, stride: Int = 1, _ generator: RandomGenerator) -> Conv2d {
    let layer = Conv2d(
        inputs, outputs, kernelSize: SpatialSizes(size), stride: SpatialSizes(stride),
        padding: .sizes(SpatialSizes(size / 2)), bias: false, generator: generator)
    let deviation = (2 / Double(outputs * size * size)).squareRoot()
    layer.weight.value = Tensor(normal: layer.weight.shape, standardDeviation: deviation, generator: generator)
    return layer
}
