// Trains a residual network on Fashion-MNIST with augmentation and one rise and fall of the learning rate.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct ResNetExample: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ResNet",
        abstract: "Trains a residual network on Fashion-MNIST.",
        discussion: """
            2,000 of its 60,000 images, and 500 of the 10,000 for the test, are in the package. For all of them install Debian's \
            dataset-fashion-mnist and give --data /usr/share/datasets/fashion-mnist. Interrupting (Ctrl-C) saves a checkpoint to \
            --folder; --resume continues it bit for bit.
            """)

    @Option(help: "Folder with the four IDX files of a data set like MNIST, .gz or not. Default: the images in the package.")
    var data: String?
    @Option(help: "Residual blocks in each of the three stages: n makes 6 n + 2 layers.")
    var blocks = 2
    @Option(help: "Channels of the first stage.")
    var width = 16
    @Option(help: "Times through the training data.")
    var epochs = 20
    @Option(help: "Images per step.")
    var batch = 50
    @Option(help: "Highest learning rate.")
    var learningRate = 0.1
    @Option(help: "Threads that load images.")
    var workers = 2
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Learning curve to write: .svg or .png.")
    var curve = "resnet.svg"
    @Option(help: "Folder for checkpoints.")
    var folder: String?
    @Flag(help: "Continues from the folder's last checkpoint.")
    var resume = false
    @Option(help: .hidden)
    var limit: Int?

    func validate() throws {
        for (name, value) in [("--blocks", blocks), ("--width", width), ("--epochs", epochs), ("--batch", batch)] where value < 1
        {
            throw ValidationError("\(name) is \(value); it must be at least 1")
        }
        if workers < 0 { throw ValidationError("--workers is \(workers); it must not be negative") }
        if !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0")
        }
        if resume && folder == nil { throw ValidationError("--resume needs --folder") }
    }

    func run() async throws {
        let accuracy = try await trained().metrics["accuracy"] ?? .nan
        print(String(format: "test accuracy %.1f %%; the learning curve is in %@", 100 * accuracy, curve))
    }

    /// The metrics are those of the test images: `loss` and `accuracy`.
    func trained() async throws -> TrainingSummary {
        let folder = data ?? ExampleData.fashionMNIST
        let training = try LabelledImages(folder: folder, training: true),
            test = try LabelledImages(folder: folder, training: false)
        let size = training.images.shape[2], count = min(limit ?? training.count, training.count)
        let normalized = Normalize(
            mean: [training.images.mean().item(Double.self)],
            standardDeviation: [training.images.variance().item(Double.self).squareRoot()])
        let learned = TensorDataset(normalized(training.images)[0..<count], training.labels[0..<count])
        let asked = TensorDataset(normalized(test.images), test.labels)

        manualSeed(seed)
        let model = ResNet(
            ResNet.Configuration(
                blocks: [blocks, blocks, blocks], width: width, channels: 1, classes: training.classes, stem: .small))
        print("\(6 * blocks + 2) layers, \(model.parameterCount()) parameters, \(count) images of \(size) x \(size)")
        // Moved by up to two pixels and mirrored, clothes stay what they are; hiding a part makes the network look at the rest.
        let change = ComposedAugmentation(
            RandomCrop(height: size, width: size, padding: 2), RandomFlip(), Cutout(size: max(size / 4, 1)))
        let loader = DataLoader(
            learned, batchSize: batch, shuffle: true, seed: seed, workers: workers,
            transform: { (change($0.0, $1), $0.1) })
        let steps = epochs * loader.batchCount()
        let optimizer = SGD(
            ParameterGroup.decayingMatrices(of: model, weightDecay: 5e-4), learningRate: learningRate, momentum: 0.9,
            nesterov: true)
        var options = TrainingOptions(epochs: epochs)
        options.maxGradientNorm = 5
        options.monitor = "accuracy"
        options.higherIsBetter = true
        options.folder = self.folder
        options.resumes = resume
        let trainer = Trainer<(Tensor, Tensor)>(
            model, optimizer,
            scheduler: LearningRateScheduler(optimizer, .oneCycle(maximum: learningRate, steps: steps)),
            options: options,
            metrics: { images, labels in
                let logits = model(images)
                let right = (logits.argmax(axis: 1) .== labels).sum().item(Double.self)
                let loss = crossEntropy(logits, labels).item(Double.self)
                return (["loss": loss, "accuracy": right / Double(labels.count)], labels.count)
            },
            loss: { images, labels in (crossEntropy(model(images), labels, labelSmoothing: 0.1), labels.count) })
        trainer.callbacks = [ConsoleLogger(every: 40, counting: "images"), LossCurve(curve, smoothing: 0.9)]
        return try await trainer.fit(loader, validation: DataLoader(asked, batchSize: 250))
    }
}
