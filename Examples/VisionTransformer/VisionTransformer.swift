// Trains a small vision transformer on Fashion-MNIST and draws the learning curve.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct VisionTransformer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "VisionTransformer",
        abstract: "Trains a small vision transformer on Fashion-MNIST.",
        discussion: """
            2,000 of its 60,000 images, and 500 of the 10,000 for the test, are in the package. For all of them install Debian's \
            dataset-fashion-mnist and give --data /usr/share/datasets/fashion-mnist.
            """)

    @Option(help: "Folder with the four IDX files of a data set like MNIST, .gz or not. Default: the images in the package.")
    var data: String?
    @Option(help: "Times through the training data.")
    var epochs = 20
    @Option(help: "Images per step.")
    var batch = 50
    @Option(help: "Pixels along the side of a patch.")
    var patch = 7
    @Option(help: "Features per patch.")
    var width = 96
    @Option(help: "Layers.")
    var layers = 4
    @Option(help: "Highest learning rate.")
    var learningRate = 1e-3
    @Option(help: "Threads that load images.")
    var workers = 2
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Learning curve to write, as SVG.")
    var curve: String?
    @Option(help: "Folder to save the model to, as Hugging Face's ViT.")
    var out: String?
    @Option(help: .hidden)
    var limit: Int?

    func validate() throws {
        for (name, value) in [
            ("--epochs", epochs), ("--batch", batch), ("--patch", patch), ("--width", width), ("--layers", layers),
        ] where value < 1 { throw ValidationError("\(name) is \(value); it must be at least 1") }
        if width % 32 != 0 { throw ValidationError("--width \(width); a multiple of 32, the features of a head") }
        if workers < 0 { throw ValidationError("--workers \(workers)") }
    }

    func run() async throws { _ = try await trained() }

    /// The share of test images whose class is found, at the end.
    func trained() async throws -> Double {
        let folder = data ?? ExampleData.fashionMNIST
        let training = try LabelledImages(folder: folder, training: true),
            test = try LabelledImages(folder: folder, training: false)
        let size = training.images.shape[2]
        if size % patch != 0 { throw ValidationError("--patch \(patch) does not divide images of \(size) pixels") }
        let mean = training.images.mean(), deviation = sqrt(training.images.variance())
        func normal(_ images: Tensor) -> Tensor { (images - mean) / deviation }
        let count = min(limit ?? training.count, training.count)
        let learned = TensorDataset(normal(training.images)[0..<count], training.labels[0..<count])
        let asked = normal(test.images)

        manualSeed(seed)
        var sizes = ViTConfiguration(
            imageSize: size, patch: patch, width: width, layers: layers, heads: width / 32, labels: training.classes)
        sizes.channels = 1
        sizes.dropout = 0.1
        let model = ViT(sizes, weights: .normal())
        let loader = DataLoader(learned, batchSize: batch, shuffle: true, seed: seed, workers: workers)
        let steps = epochs * loader.batchCount()
        let optimizer = AdamW(model.parameters, learningRate: learningRate, weightDecay: 0.05)
        let schedule = LearningRateScheduler(optimizer, .warmUpCosine(warmUp: max(steps / 10, 1), steps: steps))
        print("\(model.parameterCount()) parameters, \(count) images of \(size) x \(size), \(sizes.patchCount) patches each")

        var chart = LineChart(title: "Vision transformer on Fashion-MNIST", xLabel: "epoch", yLabel: "share")
        var rights: [(x: Double, y: Double)] = [], losses: [(x: Double, y: Double)] = []
        let began = Date()
        var accuracy = 0.0
        for epoch in 1...epochs {
            var sum = 0.0, batches = 0
            for try await (images, labels) in loader {
                let loss = crossEntropy(model(images), labels, labelSmoothing: 0.1)
                optimizer.zeroGrad()
                loss.backward()
                clipGradNorm(model.parameters, maxNorm: 1)
                optimizer.step()
                schedule.advance()
                sum += loss.item(Double.self)
                batches += 1
            }
            model.eval()
            accuracy = withoutGrad { (model(asked).argmax(axis: 1) .== test.labels).to(.float32).mean().item(Double.self) }
            model.train()
            rights.append((Double(epoch), accuracy))
            losses.append((Double(epoch), sum / Double(max(batches, 1))))
            print(
                String(
                    format: "epoch %d/%d  loss %.3f  test accuracy %.1f %%  %.0f images/s", epoch, epochs,
                    sum / Double(max(batches, 1)),
                    100 * accuracy, Double(epoch * count) / Date().timeIntervalSince(began)))
        }
        if let curve {
            chart.add("test accuracy", rights)
            chart.add("training loss", losses)
            try chart.write(curve)
            print("wrote \(curve)")
        }
        model.eval()
        if let out { try model.save(folder: out) }
        return accuracy
    }
}
