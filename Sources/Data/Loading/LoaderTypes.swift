import CoreTensor

/// A place in the data: `batch` batches of epoch `epoch` were handed out. It goes into checkpoints.
public struct DataLoaderState: Codable, Sendable, Equatable {
    /// The epoch, from 0.
    public var epoch: Int
    /// Batches of it handed out.
    public var batch: Int
    /// The place before batch `batch` of epoch `epoch`.
    public init(epoch: Int, batch: Int) { (self.epoch, self.batch) = (epoch, batch) }
}

/// A loader whose place can be saved and put back: what a training loop needs.
public protocol BatchLoader<Element>: AsyncSequence, AnyObject, Sendable where Element: Sendable, Failure == any Error {
    /// The place after the batch handed out last. Setting it makes the next loop begin there.
    var state: DataLoaderState { get set }
}

extension DataLoader: BatchLoader {}
extension StreamLoader: BatchLoader {}

/// What happens when a sample cannot be loaded.
public enum BadSamplePolicy: Sendable, Equatable {
    /// The loop ends with the error, which names the sample.
    case stop
    /// The sample is left out of its batch and counted; more than `limit` of them end the loop.
    case skip(limit: Int)
}

/// Why a batch could not be loaded.
public struct DataLoaderError: Error, CustomStringConvertible {
    /// The index of the sample in its data set; nil if the batch could not be put together, or the sample came from a stream.
    public let index: Int?
    /// The epoch, from 0.
    public let epoch: Int
    /// The batch of the epoch, from 0.
    public let batch: Int
    /// What the data set, the transform or the collating function threw.
    public let underlying: any Error
    /// Sample, batch, epoch and reason in a sentence.
    public var description: String {
        "\(index.map { "sample \($0) in batch \(batch)" } ?? "batch \(batch)") of epoch \(epoch) cannot be loaded: \(underlying)"
    }
}

/// What a collating function may want to know.
public struct BatchContext: Sendable {
    /// The epoch, from 0.
    public let epoch: Int
    /// The batch of the epoch, from 0.
    public let batch: Int
    /// The indices of the samples, without those left out.
    public let indices: [Int]
    /// The batch's own random numbers, the same for any number of workers: for ``mixup(_:_:alpha:classes:generator:)`` and its kin.
    public let generator: RandomGenerator
}

/// What loading took.
public struct DataLoaderStatistics: Sendable, Equatable {
    /// Batches handed out.
    public internal(set) var batches = 0
    /// Seconds for which the training loop waited for a batch.
    public internal(set) var waitSeconds = 0.0
    /// Seconds of the workers' work, waiting for files included.
    public internal(set) var loadSeconds = 0.0
    /// Samples asked for again after an error.
    public internal(set) var retries = 0
    /// Samples left out, and what was wrong with the last of them.
    public internal(set) var skippedSamples = 0
    /// What was wrong with the last sample that was left out.
    public internal(set) var lastSkipped: String?

    /// The share of the loading that the training loop did not wait for, 0 ... 1.
    public var overlap: Double { loadSeconds > 0 ? min(max(1 - waitSeconds / loadSeconds, 0), 1) : 0 }

    mutating func add(_ load: LoadReport, waited: Duration) {
        batches += 1
        waitSeconds += waited / .seconds(1)
        loadSeconds += load.duration / .seconds(1)
        retries += load.retries
        skippedSamples += load.skipped.count
        if let last = load.skipped.last { lastSkipped = last.description }
    }
}

/// How loading a batch went.
struct LoadReport: Sendable {
    var duration = Duration.zero
    var retries = 0
    var skipped: [DataLoaderError] = []
}

/// A batch, nil if all its samples were left out.
struct LoadedBatch<Batch: Sendable>: Sendable {
    let batch: Batch?
    let load: LoadReport
}

/// A loader's place and what its loops took so far.
struct LoaderProgress: Sendable {
    private(set) var state = DataLoaderState(epoch: 0, batch: 0)
    /// Whether the next loop begins at `state`: before the first loop, and when it was set from outside.
    private var startsHere = true
    private(set) var statistics = DataLoaderStatistics()

    /// Makes the next loop begin at a place.
    mutating func set(_ state: DataLoaderState) {
        if state.epoch < 0 || state.batch < 0 { fail("DataLoader", "a state of epoch \(state.epoch), batch \(state.batch)") }
        (self.state, startsHere) = (state, true)
    }

    /// Begins a loop: at the place that was set, else with the next epoch.
    mutating func begin() -> DataLoaderState {
        if !startsHere { state = DataLoaderState(epoch: state.epoch + 1, batch: 0) }
        startsHere = false
        return state
    }

    /// A batch was handed out; the place is now `place`, unless another one was set meanwhile.
    mutating func took(_ load: LoadReport, waited: Duration, now place: DataLoaderState) {
        if !startsHere { state = place }
        statistics.add(load, waited: waited)
    }
}
