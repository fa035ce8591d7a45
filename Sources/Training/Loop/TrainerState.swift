import Data
import Optimizers

/// Where a run of a ``Trainer`` stands: what its checkpoint holds beside weights and optimizer. Numbers that may be infinite are kept by their bits.
struct TrainerState: Codable {
    var step = 0
    var epoch = 0
    /// The place in the data, set at every step.
    var loader = DataLoaderState(epoch: 0, batch: 0)
    private var epochLossBits = 0.0.bitPattern
    var epochCount = 0
    private var bestBits: UInt64?
    var bestStep: Int?
    var badValidations = 0
    private var metricBits: [String: UInt64] = [:]
    var skippedBatches = 0
    var skippedInARow = 0
    var scaler: GradScaler.State?
    var plateau: ReduceOnPlateau.State?
    var averageCount = 0
    /// Whether a validation was begun and not finished: a resumed run begins with it.
    var validationIsDue: Bool?

    var epochLoss: Double {
        get { Double(bitPattern: epochLossBits) }
        set { epochLossBits = newValue.bitPattern }
    }
    var best: Double? { bestBits.map(Double.init(bitPattern:)) }
    var metrics: [String: Double] { metricBits.mapValues(Double.init(bitPattern:)) }

    mutating func beginEpoch() {
        epoch += 1
        loader = DataLoaderState(epoch: epoch, batch: 0)
        (epochLoss, epochCount) = (0, 0)
    }

    /// Takes in a validation; whether it is the best so far.
    mutating func take(_ value: Double, _ metrics: [String: Double], _ options: TrainingOptions) -> Bool {
        metricBits = metrics.mapValues(\.bitPattern)
        let isBest: Bool
        if let best {
            isBest =
                options.higherIsBetter ? value > best + options.minimumImprovement : value < best - options.minimumImprovement
        } else {
            isBest = !value.isNaN
        }
        badValidations = isBest ? 0 : badValidations + 1
        if isBest { (bestBits, bestStep) = (value.bitPattern, step) }
        return isBest
    }

    func summary(_ end: TrainingEnd) -> TrainingSummary {
        TrainingSummary(
            end: end, steps: step, epochs: epoch, best: best, bestStep: bestStep, metrics: metrics, skippedBatches: skippedBatches
        )
    }
}

/// What has been counted for the optimizer step under way.
struct PendingStep {
    /// Batches seen, those left out among them.
    var batches = 0
    var lossSum = 0.0
    var count = 0
}
