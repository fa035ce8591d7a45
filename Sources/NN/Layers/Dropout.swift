import CoreTensor

/// In training, sets elements to 0 with the given probability and scales the rest by 1/(1 - p); the identity in evaluation.
public final class Dropout: Module, Layer {
    /// The share of elements set to 0 in training.
    public let probability: Double
    private let generator: RandomGenerator

    /// Draws its masks from `generator`. Traps unless the probability is in 0 ... 1.
    public init(_ probability: Double = 0.5, generator: RandomGenerator = .default) {
        if !(0...1).contains(probability) { fail("Dropout", "a probability of \(probability); must be in 0 ... 1") }
        self.probability = probability
        self.generator = generator
    }

    /// In training, each element 0 with probability p, else x / (1 - p); in evaluation `x` itself. The shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        dropout(x, probability: probability, training: isTraining, generator: generator)
    }
}
