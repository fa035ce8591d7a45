/// What happens in training, for callbacks.
public enum TrainingEvent: Sendable {
    /// Training begins after `step` steps (0, or more where it is resumed), of `total` if that is known.
    case began(step: Int, total: Int?)
    /// An optimizer step was taken.
    case step(StepReport)
    /// A batch was left out, at step `step`, for the reason.
    case skipped(step: Int, reason: String)
    /// Epoch `epoch` (from 0) is over; `loss` is the mean over what its batches counted.
    case epoch(epoch: Int, step: Int, loss: Double)
    /// Metrics of the validation data; `isBest` if the monitored one is the best so far.
    case validation(step: Int, epoch: Int, metrics: [String: Double], isBest: Bool)
    /// A checkpoint was written.
    case saved(path: String, step: Int)
    /// A checkpoint could not be written, as on a full disk; the one before is as it was, and training goes on.
    case saveFailed(path: String, step: Int, reason: String)
    /// Training is over.
    case ended(TrainingSummary)
}

/// One optimizer step.
public struct StepReport: Sendable {
    /// The step, from 1.
    public let step: Int
    /// The epoch, from 0.
    public let epoch: Int
    /// The mean loss over what its batches counted.
    public let loss: Double
    /// The rate of the first group in this step.
    public let learningRate: Double
    /// The joint norm of the gradients before clipping.
    public let gradientNorm: Double
    /// What the losses were means over: samples, tokens …
    public let count: Int
    /// Seconds since the step before, loading included.
    public let seconds: Double
    /// Whether the scaler left the step out because of infinite gradients.
    public let isSkipped: Bool
}

/// Something that watches training: logs, plots, rules of one's own.
public protocol TrainingCallback: AnyObject {
    /// Called for everything that happens, in order, on the thread that trains.
    func handle(_ event: TrainingEvent, _ control: TrainingControl)
}

/// What a callback may do to training.
public final class TrainingControl {
    var stopReason: String?
    /// Ends training after the step under way, with a checkpoint.
    public func stop(_ reason: String) { if stopReason == nil { stopReason = reason } }
}
