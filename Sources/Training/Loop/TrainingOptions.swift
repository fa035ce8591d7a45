import CoreTensor

/// How a ``Trainer`` trains. What is not set is left out.
public struct TrainingOptions: Sendable {
    /// Optimizer steps after which training ends; nil: by ``epochs`` alone.
    public var steps: Int?
    /// Times through the data after which training ends; nil: by ``steps`` alone.
    public var epochs: Int?
    /// Batches whose gradients make one step, each weighted by what its loss is a mean over; at an epoch's end there may be fewer.
    public var accumulation = 1
    /// Gradients are scaled together so that their joint norm is at most this.
    public var maxGradientNorm: Double?
    /// The decay of an exponential average of the weights, which validation then uses: 0.999 …
    public var averageDecay: Double?
    /// The type that products compute in: ``CoreTensor/autocast(to:enabled:_:)``; `float16` also scales the loss.
    public var mixedPrecision: DType?
    /// Steps between validations; nil: after every epoch.
    public var validateEvery: Int?
    /// The metric that says which weights are best.
    public var monitor = "loss"
    /// Whether more of it is better, as of accuracy.
    public var higherIsBetter = false
    /// Validations without an improvement after which training stops.
    public var patience: Int?
    /// Improvements smaller than this are none.
    public var minimumImprovement = 0.0
    /// What happens when a loss or gradient is infinite or not a number.
    public var nonFinite = NonFinitePolicy.stop
    /// A folder for `last.safetensors` and `best.safetensors`; it is made if it is not there.
    public var folder: String?
    /// Steps between checkpoints; nil: after every epoch. There is always one at the end.
    public var saveEvery: Int?
    /// Goes on from `last.safetensors` of the folder, if it is there.
    public var resumes = false
    /// SIGINT and SIGTERM end training after the step under way, with a checkpoint; a second one ends the program.
    public var handlesSignals = true

    /// Training by epochs, steps, or whichever ends first. Traps without either.
    public init(epochs: Int? = nil, steps: Int? = nil) {
        if epochs == nil && steps == nil { fail("TrainingOptions", "neither epochs nor steps; training would not end") }
        if epochs ?? 0 < 0 || steps ?? 0 < 0 { fail("TrainingOptions", "\(epochs ?? 0) epochs, \(steps ?? 0) steps") }
        (self.epochs, self.steps) = (epochs, steps)
    }

    func check() {
        if accumulation < 1 || validateEvery ?? 1 < 1 || saveEvery ?? 1 < 1 || patience ?? 1 < 1 {
            fail("TrainingOptions", "accumulation, validateEvery, saveEvery and patience must be at least 1")
        }
        if let mixedPrecision, mixedPrecision != .bfloat16 && mixedPrecision != .float16 {
            fail("TrainingOptions", "mixed precision of \(mixedPrecision); it is bfloat16 or float16")
        }
    }
}

/// What a ``Trainer`` does with a loss or gradients that are infinite or not a number.
public enum NonFinitePolicy: Sendable, Equatable {
    /// Training ends with an error that names the operation and the line that called it; the weights are those before the step.
    case stop
    /// The batch is left out and counted; more than `limit` in a row end training.
    case skip(limit: Int)
}

/// Why training ended.
public enum TrainingEnd: Sendable, Equatable {
    /// All steps or epochs are done.
    case finished
    /// The metric did not improve any more.
    case earlyStopping
    /// A signal asked for it: SIGINT, SIGTERM.
    case interrupted(signal: Int32)
    /// The task that trains was cancelled.
    case cancelled
    /// A callback asked for it.
    case stopped(reason: String)
}

/// What training came to.
public struct TrainingSummary: Sendable {
    /// Why it ended.
    public let end: TrainingEnd
    /// Optimizer steps, those before a resumption among them.
    public let steps: Int
    /// Epochs completed.
    public let epochs: Int
    /// The best value of the monitored metric, and the step it was seen at; nil without validation.
    public let best: Double?
    /// The step of ``best``.
    public let bestStep: Int?
    /// The metrics of the last validation.
    public let metrics: [String: Double]
    /// Batches left out because their loss or gradients were not finite.
    public let skippedBatches: Int
}

/// Why training cannot go on.
public struct TrainingError: Error, CustomStringConvertible {
    /// What happened, at which step, and where it comes from, as a sentence.
    public let description: String
    /// The step under way, from 1.
    public let step: Int
    /// For losses and gradients that are not finite: where they come from, as far as the tape says.
    public let origin: NonFiniteOrigin?
}
