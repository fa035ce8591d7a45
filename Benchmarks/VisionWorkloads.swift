import Tapestry

/// Two 3 × 3 convolutions with batch normalisation and a shortcut (He et al., 2016).
private final class ResidualBlock: Module, Layer {
    let first: Conv2d, second: Conv2d
    let firstNorm: BatchNorm2d, secondNorm: BatchNorm2d
    let shortcut: Sequential?

    init(_ inputs: Int, _ outputs: Int, stride: Int) {
        first = Conv2d(inputs, outputs, kernelSize: 3, stride: SpatialSizes(stride), padding: 1, bias: false)
        firstNorm = BatchNorm2d(outputs)
        second = Conv2d(outputs, outputs, kernelSize: 3, padding: 1, bias: false)
        secondNorm = BatchNorm2d(outputs)
        shortcut =
            stride == 1 && inputs == outputs
            ? nil
            : Sequential(
                Conv2d(inputs, outputs, kernelSize: 1, stride: SpatialSizes(stride), bias: false), BatchNorm2d(outputs))
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        relu(secondNorm(second(firstNorm(first(x), activation: .relu))) + (shortcut?(x) ?? x))
    }
}

/// ViT-Ti/16 (Dosovitskiy et al., 2021; Touvron et al., 2021) by the library's blocks.
private final class VisionTransformer: Module {
    let patches: Conv2d
    let classToken: Parameter, positions: Parameter
    let blocks: [TransformerBlock]
    let norm: LayerNorm
    let head: Linear

    init(image: Int, patch: Int, width: Int, depth: Int, heads: Int, classes: Int) {
        patches = Conv2d(3, width, kernelSize: SpatialSizes(patch), stride: SpatialSizes(patch))
        classToken = Parameter(Tensor(zeros: [1, 1, width]))
        positions = Parameter(Tensor(zeros: [1, (image / patch) * (image / patch) + 1, width]))
        blocks = (0..<depth).map { _ in TransformerBlock(model: width, heads: heads, isCausal: false, approximation: .none) }
        norm = LayerNorm(width)
        head = Linear(width, classes)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let tokens = patches(x).flattened(from: 2).transposed(1, 2)
        let first = classToken.value.expanded(to: [x.shape[0], 1, tokens.shape[2]])
        let h = blocks.reduce(concatenate([first, tokens], axis: 1) + positions.value) { $1($0) }
        return head(norm(h)[0..., 0])
    }
}

extension Workloads {
    /// Training steps on images of ten classes: in float32, and with products and convolutions in bfloat16.
    private static func training(
        _ name: String, image: [Int], flops: Double, inner: Int, _ model: @escaping () -> Sequential,
        _ optimizer: @escaping ([Parameter]) -> Optimizer
    ) -> [Workload] {
        [false, true].map { training(name, autocast: $0, image: image, flops: flops, inner: inner, model, optimizer) }
    }

    /// `channelsLast`: the images lie in memory as [samples, height, width, channels].
    private static func training(
        _ name: String, autocast mixed: Bool, image: [Int], flops: Double, inner: Int, _ model: @escaping () -> Sequential,
        _ optimizer: @escaping ([Parameter]) -> Optimizer, channelsLast: Bool = false
    ) -> Workload {
        Workload("e2e", name, dtype: mixed ? "bf16" : "f32") {
            let model = model().to(device), optimizer = optimizer(model.parameters)
            let images = normal(image), y = Tensor(integers: 0..<10, shape: [image[0]]).to(device)
            let x = channelsLast ? images.permuted(0, 2, 3, 1).contiguous().permuted(0, 3, 1, 2) : images
            return Timed(shape: "\(image)", flops: flops, items: ("images", Double(image[0])), inner: inner) {
                optimizer.zeroGrad()
                autocast(enabled: mixed) { crossEntropy(model(x), y) }.backward()
                optimizer.step()
            }
        }
    }

    private static let lenet = training(
        "train_lenet", image: [128, 1, 28, 28],
        flops: 2 * 128 * (3 * (6 * 784 * 25 + 16 * 100 * 150 + 48000 + 10080 + 840) - 6 * 784 * 25), inner: 5,
        {
            Sequential(
                Conv2d(1, 6, kernelSize: 5, padding: 2), ReLU(), MaxPool2d(kernelSize: 2), Conv2d(6, 16, kernelSize: 5), ReLU(),
                MaxPool2d(kernelSize: 2), Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10))
        }, { SGD($0, learningRate: 0.01) })

    private static let resnet18: [Workload] = {
        let flops = 3 * 2 * 555.4e6 * 32
        func model() -> Sequential {
            var layers: [any Layer] = [Conv2d(3, 64, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(64), ReLU()]
            var inputs = 64
            for (i, width) in [64, 128, 256, 512].enumerated() {
                layers += [ResidualBlock(inputs, width, stride: i == 0 ? 1 : 2), ResidualBlock(width, width, stride: 1)]
                inputs = width
            }
            return Sequential(layers + [AdaptiveAvgPool2d(1), Flatten(), Linear(512, 10)])
        }
        func optimizer(_ parameters: [Parameter]) -> Optimizer {
            SGD(parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 5e-4)
        }
        return training("train_resnet18", image: [32, 3, 32, 32], flops: flops, inner: 1, model, optimizer) + [
            training(
                "train_resnet18_cl", autocast: false, image: [32, 3, 32, 32], flops: flops, inner: 1, model, optimizer,
                channelsLast: true)
        ]
    }()

    private static let vitTiny = Workload("e2e", "fwdbwd_vit_tiny") {
        let model = VisionTransformer(image: 224, patch: 16, width: 192, depth: 12, heads: 3, classes: 1000).to(device)
        let x = normal(8, 3, 224, 224), y = Tensor(integers: 0..<1000, shape: [8]).to(device)
        let d = 192.0, t = 197.0
        let forward = 2 * t * 12 * 12 * d * d + 12 * 4 * t * t * d + 2 * 196 * 768 * d
        return Timed(shape: "(8, 3, 224, 224) patch 16 d192 L12 H3", flops: 3 * forward * 8, items: ("images", 8)) {
            crossEntropy(model(x), y).backward()
            for parameter in model.parameters { parameter.grad = nil }
        }
    }

    static let vision: [Workload] = lenet + resnet18 + [vitTiny]
}
