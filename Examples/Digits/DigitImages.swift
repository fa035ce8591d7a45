import Foundation
import Tapestry

/// Images to learn from and images to be asked about, each `[1, size, size]` with mean 0 and deviation 1 over the training part.
struct DigitImages {
    let training: TensorDataset
    let test: TensorDataset
    let classes = 10
    var size: Int { training.inputs.shape[2] }

    /// scikit-learn's digits, a fifth of them for the test.
    static func bundled() throws -> DigitImages {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Data").path
        let all = try LabelledImages(
            images: "\(folder)/digits-images-idx3-ubyte.gz", labels: "\(folder)/digits-labels-idx1-ubyte.gz")
        let order = Array(IndexOrder(shuffling: all.count, generator: RandomGenerator(seed: 8)))
        func part(_ indices: ArraySlice<Int>) -> TensorDataset {
            let rows = Tensor(Array(indices), shape: [indices.count])
            return TensorDataset(all.images[rows], all.labels[rows])
        }
        let kept = all.count - all.count / 5
        return DigitImages(part(order[..<kept]), part(order[kept...]))
    }

    /// The training and test files of a folder in the manner of MNIST.
    init(folder: String) throws {
        let training = try LabelledImages(folder: folder, training: true),
            test = try LabelledImages(folder: folder, training: false)
        self.init(TensorDataset(training.images, training.labels), TensorDataset(test.images, test.labels))
    }

    init(_ training: TensorDataset, _ test: TensorDataset) {
        let mean = training.inputs.mean(), deviation = sqrt(training.inputs.variance())
        func normal(_ part: TensorDataset) -> TensorDataset { TensorDataset((part.inputs - mean) / deviation, part.labels) }
        (self.training, self.test) = (normal(training), normal(test))
    }
}
