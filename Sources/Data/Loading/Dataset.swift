import CoreTensor

/// Samples that can be asked for by number: a map-style data set.
///
/// ```swift
/// struct Squares: Dataset {
///     let count = 1000
///     func sample(at index: Int) -> (Tensor, Tensor) { (Tensor(Float(index)), Tensor(Float(index * index))) }
/// }
/// ```
///
/// The same index must give the same sample every time; what is random belongs into the loader's transform, which is keyed by seed, epoch
/// and index. Samples are asked for from several threads at once.
public protocol Dataset<Sample>: Sendable {
    /// One sample: a tensor, a pair of input and label, a string …
    associatedtype Sample: Sendable
    /// The number of samples.
    var count: Int { get }
    /// The sample of an index in `0 ..< count`. Throws what is wrong with it; the loader adds the index.
    func sample(at index: Int) async throws -> Sample
}

/// Samples that come one after another, as from files too large to index or from a network.
public protocol StreamingDataset<Sample>: Sendable {
    /// One sample.
    associatedtype Sample: Sendable
    /// What ``stream(epoch:)`` gives.
    associatedtype Stream: AsyncSequence<Sample, any Error>
    /// All samples of an epoch in order; the same for the same epoch, so that a run can be resumed by skipping.
    func stream(epoch: Int) -> Stream
}

/// The rows of tensors: an input with its label, `inputs [count, ...]` and `labels [count, ...]`.
public struct TensorDataset: Dataset {
    /// `[count, ...]`.
    public let inputs: Tensor
    /// `[count, ...]`.
    public let labels: Tensor

    /// Traps unless both have the same number of rows.
    public init(_ inputs: Tensor, _ labels: Tensor) {
        if inputs.rank == 0 || labels.rank == 0 || inputs.shape[0] != labels.shape[0] {
            fail(
                "TensorDataset", "inputs \(inputs.shape) and labels \(labels.shape); their first axes must be the samples of both"
            )
        }
        self.inputs = inputs.detached()
        self.labels = labels.detached()
    }

    /// The number of rows.
    public var count: Int { inputs.shape[0] }
    /// The rows `index` of inputs and labels, without the first axis.
    public func sample(at index: Int) -> (Tensor, Tensor) { (inputs[index], labels[index]) }
}

/// Samples held in an array.
public struct ArrayDataset<Sample: Sendable>: Dataset {
    /// The samples by index.
    public let samples: [Sample]
    /// A data set of these samples.
    public init(_ samples: [Sample]) { self.samples = samples }
    /// The number of samples.
    public var count: Int { samples.count }
    /// The sample of this index.
    public func sample(at index: Int) -> Sample { samples[index] }
}

/// Some samples of another data set.
public struct SubsetDataset<Base: Dataset>: Dataset {
    /// Where the samples come from.
    public let base: Base
    /// Which of them, in order.
    public let indices: [Int]
    /// The number of chosen samples.
    public var count: Int { indices.count }
    /// The base's sample `indices[index]`.
    public func sample(at index: Int) async throws -> Base.Sample { try await base.sample(at: indices[index]) }
}

/// Another data set's samples, each put through a function.
public struct MappedDataset<Base: Dataset, Sample: Sendable>: Dataset {
    /// Where the samples come from.
    public let base: Base
    private let transform: @Sendable (Base.Sample) throws -> Sample

    init(base: Base, transform: @escaping @Sendable (Base.Sample) throws -> Sample) {
        self.base = base
        self.transform = transform
    }
    /// The base's count.
    public var count: Int { base.count }
    /// The function of the base's sample.
    public func sample(at index: Int) async throws -> Sample { try transform(try await base.sample(at: index)) }
}

/// Data sets one after another.
public struct ConcatenatedDataset<Sample: Sendable>: Dataset {
    private let parts: [any Dataset<Sample>]
    /// The first index of every part, then the count.
    private let starts: [Int]

    /// The samples of `parts` in turn.
    public init(_ parts: [any Dataset<Sample>]) {
        self.parts = parts
        starts = parts.reduce(into: [0]) { $0.append($0.last! + $1.count) }
    }
    /// The sum of the counts.
    public var count: Int { starts.last! }
    /// The sample of the part that the index falls into.
    public func sample(at index: Int) async throws -> Sample {
        var low = 0, high = parts.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if starts[middle] <= index { low = middle } else { high = middle - 1 }
        }
        return try await parts[low].sample(at: index - starts[low])
    }
}

extension Dataset {
    /// The samples `indices`, in that order. Traps on an index that there is none of.
    public func subset(_ indices: [Int]) -> SubsetDataset<Self> {
        if let wrong = indices.first(where: { !(0..<count).contains($0) }) {
            fail("subset", "the index \(wrong) of a data set of \(count) samples")
        }
        return SubsetDataset(base: self, indices: indices)
    }

    /// Each sample put through `transform`, which must give the same for the same sample; randomness belongs into a loader's transform.
    public func map<T: Sendable>(_ transform: @escaping @Sendable (Sample) throws -> T) -> MappedDataset<Self, T> {
        MappedDataset(base: self, transform: transform)
    }

    /// Two data sets without a common sample, the second with `fraction` of the samples (rounded), drawn by the seed.
    /// Traps unless the fraction is in 0 ... 1.
    public func split(holdingOut fraction: Double, seed: UInt64) -> (SubsetDataset<Self>, SubsetDataset<Self>) {
        if !(0...1).contains(fraction) { fail("split", "a fraction of \(fraction); must be in 0 ... 1") }
        let order = IndexOrder(shuffling: count, generator: RandomGenerator(seed: seed))
        let kept = count - Int((Double(count) * fraction).rounded())
        return (
            SubsetDataset(base: self, indices: order[..<kept].sorted()),
            SubsetDataset(base: self, indices: order[kept...].sorted())
        )
    }
}
