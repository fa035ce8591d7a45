// Learns to bring clothes' pictures down to a few numbers and back, and shows what is left of them.
import ArgumentParser
import ExampleData
import Foundation
import Tapestry

@main
struct AutoencoderExample: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Autoencoder",
        abstract: "Trains a convolutional autoencoder on Fashion-MNIST, with --noise a denoising one (Vincent et al., 2008).",
        discussion: """
            Beside its error stand that of as many principal components, and how well a linear map tells the classes from the codes, \
            which it learned without labels. 2,000 of the 60,000 images are in the package; for all of them install Debian's \
            dataset-fashion-mnist and give --data /usr/share/datasets/fashion-mnist.
            """)

    @Option(help: "Folder with the four IDX files of a data set like MNIST, .gz or not. Default: the images in the package.")
    var data: String?
    @Option(help: "Numbers in a code.")
    var code = 16
    @Option(help: "Channels after the first convolution.")
    var width = 16
    @Option(help: "Standard deviation of the noise that is to be taken away; 0 for none.")
    var noise = 0.0
    @Option(help: "Times through the training data.")
    var epochs = 60
    @Option(help: "Images per step.")
    var batch = 50
    @Option(help: "Highest learning rate.")
    var learningRate = 3e-3
    @Option(help: "Threads that load images.")
    var workers = 1
    @Option(help: "Seed of all random numbers.")
    var seed: UInt64 = 1
    @Option(help: "Picture of inputs and reconstructions to write.")
    var grid = "autoencoder.png"
    @Option(help: "Learning curve to write: .svg or .png.")
    var curve = "autoencoder.svg"
    @Option(help: .hidden)
    var limit: Int?

    func validate() throws {
        for (name, value) in [("--code", code), ("--width", width), ("--epochs", epochs), ("--batch", batch)] where value < 1 {
            throw ValidationError("\(name) is \(value); it must be at least 1")
        }
        if workers < 0 { throw ValidationError("--workers is \(workers); it must not be negative") }
        if !(noise >= 0 && noise.isFinite) { throw ValidationError("--noise is \(noise); it must not be negative") }
        if !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate is \(learningRate); it must be above 0")
        }
    }

    func run() async throws {
        let result = try await trained()
        print(
            String(
                format: "mean squared error %.4f, of %d principal components %.4f; classes from codes by a linear map %.1f %%",
                result.error, code, result.linearError, 100 * result.probe))
        print("inputs and reconstructions are in \(grid), the learning curve in \(curve)")
    }

    /// The error on test images, that of principal components, and the accuracy of the linear probe.
    func trained() async throws -> (error: Double, linearError: Double, probe: Double) {
        let folder = data ?? ExampleData.fashionMNIST
        let training = try LabelledImages(folder: folder, training: true),
            test = try LabelledImages(folder: folder, training: false)
        let size = training.images.shape[2], count = min(limit ?? training.count, training.count)
        if size % 4 != 0 { throw ValidationError("images of \(size) pixels; a multiple of 4 is needed") }
        let images = training.images[0..<count]

        manualSeed(seed)
        let model = Autoencoder(size: size, code: code, width: width)
        print("\(model.parameterCount()) parameters, \(count) images of \(size) x \(size), codes of \(code) numbers")
        let loader = DataLoader(
            TensorDataset(images, training.labels[0..<count]), batchSize: batch, shuffle: true, seed: seed, workers: workers)
        let optimizer = AdamW(model.parameters, learningRate: learningRate, weightDecay: 1e-4)
        let steps = epochs * loader.batchCount(), noise = noise
        func noisy(_ images: Tensor) -> Tensor {
            noise == 0 ? images : (images + Tensor(normal: images.shape, standardDeviation: noise)).clamped(min: 0, max: 1)
        }
        func loss(_ images: Tensor) -> Tensor { mseLoss(model(noisy(images)), images) }
        let trainer = Trainer<(Tensor, Tensor)>(
            model, optimizer,
            scheduler: LearningRateScheduler(optimizer, .warmUpCosine(warmUp: max(steps / 20, 1), steps: steps)),
            options: TrainingOptions(epochs: epochs)
        ) { images, _ in (loss(images), images.shape[0]) }
        trainer.callbacks = [ConsoleLogger(every: 200, counting: "images"), LossCurve(curve, smoothing: 0.9)]
        let summary = try await trainer.fit(
            loader, validation: DataLoader(TensorDataset(test.images, test.labels), batchSize: 250))

        model.eval()
        return try withoutGrad {
            let shown = noisy(test.images[0..<min(12, test.count)])
            try writeImage(imageGrid([shown, model(shown)], scale: 3), to: grid)
            return (
                summary.metrics["loss"] ?? .nan, try principalComponentError(images, test.images, components: code),
                try linearProbe(
                    model.encode(images), training.labels[0..<count], model.encode(test.images), test.labels,
                    classes: training.classes)
            )
        }
    }
}
