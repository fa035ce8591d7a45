// Learns handwritten digits (or Fashion-MNIST) with a LeNet or an MLP, and draws the learning curve.
import ArgumentParser
import Foundation
import Tapestry

@main
struct Digits: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Digits",
        abstract: "Learns handwritten digits with a LeNet or a multilayer perceptron.",
        discussion: """
            The 1,797 digits of 8 x 8 pixels are in the package. For Fashion-MNIST install Debian's dataset-fashion-mnist and \
            give --data /usr/share/datasets/fashion-mnist; any folder with the four IDX files of the MNIST family will do. \
            Interrupting (Ctrl-C) saves a checkpoint to --folder; --resume continues it bit for bit.
            """)

    @Option(help: "lenet or mlp.")
    var model = ModelKind.lenet
    @Option(help: "Folder with the four IDX files of a data set like MNIST, .gz or not. Default: the digits in the package.")
    var data: String?
    @Option(help: "Times through the training data.")
    var epochs = 30
    @Option(help: "Images per step.")
    var batch = 32
    @Option(help: "Highest learning rate.")
    var learningRate = 3e-3
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Threads that load images.")
    var workers = 2
    @Option(help: "Learning curve to write, as SVG.")
    var curve: String?
    @Option(help: "Folder for checkpoints.")
    var folder: String?
    @Flag(help: "Continues from the folder's last checkpoint.")
    var resume = false
    @Option(help: "Folder for TensorBoard's event files.")
    var tensorboard: String?

    func validate() throws {
        for (name, value) in [("--epochs", epochs), ("--batch", batch)] where value < 1 {
            throw ValidationError("\(name) is \(value); it must be at least 1")
        }
        if workers < 0 { throw ValidationError("--workers is \(workers); it must not be negative") }
        if !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0")
        }
        if resume && folder == nil { throw ValidationError("--resume needs --folder") }
    }

    func run() async throws {
        let images = try data.map(DigitImages.init(folder:)) ?? DigitImages.bundled()
        let result = try await train(images, loggers: [ConsoleLogger(every: 100, counting: "images")])
        print(String(format: "test accuracy %.4f", result.metrics["accuracy"] ?? .nan), "after \(result.epochs) epochs")
        if let curve { print("the learning curve is in \(curve)") }
    }

    /// Trains on `images`; the metrics are those of the test part: `loss` and `accuracy`.
    func train(_ images: DigitImages, loggers: [any TrainingCallback]) async throws -> TrainingSummary {
        manualSeed(seed)
        let net: any Layer =
            switch model {
            case .lenet: leNet(size: images.size, classes: images.classes)
            case .mlp: perceptron(inputs: images.size * images.size, classes: images.classes)
            }
        let stepsPerEpoch = (images.training.count + batch - 1) / batch
        let optimizer = AdamW(net.parameters, learningRate: learningRate, weightDecay: 0.05)
        var options = TrainingOptions(epochs: epochs)
        options.maxGradientNorm = 1
        options.monitor = "accuracy"
        options.higherIsBetter = true
        options.folder = folder
        options.resumes = resume
        let trainer = Trainer<(Tensor, Tensor)>(
            net, optimizer,
            scheduler: LearningRateScheduler(
                optimizer, .warmUpCosine(warmUp: min(50, stepsPerEpoch), steps: stepsPerEpoch * epochs)),
            options: options,
            metrics: { images, labels in
                let logits = net(images)
                let right = (logits.argmax(axis: 1) .== labels).sum().item(Double.self)
                let loss = crossEntropy(logits, labels).item(Double.self)
                return (["loss": loss, "accuracy": right / Double(labels.count)], labels.count)
            },
            loss: { images, labels in (crossEntropy(net(images), labels, labelSmoothing: 0.05), labels.count) })
        trainer.callbacks = loggers
        if let curve { trainer.callbacks.append(LossCurve(curve, smoothing: 0.9)) }
        if let tensorboard { trainer.callbacks.append(TensorBoardLogger(tensorboard)) }
        // Digits a pixel to either side are the same digits.
        let shift = RandomCrop(height: images.size, width: images.size, padding: 1)
        let loader = DataLoader(
            images.training, batchSize: batch, shuffle: true, seed: seed, workers: workers,
            transform: { (shift($0.0, $1), $0.1) })
        return try await trainer.fit(loader, validation: DataLoader(images.test, batchSize: 256))
    }
}

/// The two networks.
enum ModelKind: String, ExpressibleByArgument, CaseIterable { case lenet, mlp }

/// LeNet-5's plan (LeCun et al., 1998) with ReLUs and maxima: two convolutions with pooling, three linear layers.
/// `[batch, 1, size, size]` gives `[batch, classes]`.
func leNet(size: Int, classes: Int) -> Sequential {
    // A window of 5 is for 28 pixels, one of 3 for 8.
    let window = size >= 20 ? 5 : 3, channels = size >= 20 ? (6, 16) : (16, 32)
    return Sequential(
        Conv2d(1, channels.0, kernelSize: SpatialSizes(window), padding: .same), ReLU(), MaxPool2d(kernelSize: 2),
        Conv2d(channels.0, channels.1, kernelSize: SpatialSizes(window), padding: .same), ReLU(), MaxPool2d(kernelSize: 2),
        Flatten(), Linear(channels.1 * (size / 4) * (size / 4), 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, classes))
}

/// Two hidden layers: `[batch, 1, size, size]` gives `[batch, classes]`.
func perceptron(inputs: Int, classes: Int) -> Sequential {
    Sequential(Flatten(), Linear(inputs, 128), ReLU(), Dropout(0.1), Linear(128, 64), ReLU(), Linear(64, classes))
}
