import CoreTensor

/// Multiplies an optimizer's learning rates by a factor when a metric has not improved for a while (PyTorch's ReduceLROnPlateau).
public final class ReduceOnPlateau {
    /// Whether the metric should fall or rise.
    public enum Mode: String, Sendable { case min, max }
    /// Whether an improvement is measured as a share of the best or as a difference.
    public enum ThresholdMode: String, Sendable { case relative, absolute }

    /// Everything but the rates, which the optimizer's own state holds.
    public struct State: Sendable, Codable, Equatable {
        /// The best metric so far; nil before the first.
        public var best: Double?
        /// Metrics since then.
        public var badCount = 0
        /// How many more metrics do not count.
        public var cooldownLeft = 0
        /// Metrics seen.
        public var step = 0
        /// The state before the first metric.
        public init() {}
    }

    private let optimizer: Optimizer
    private let mode: Mode
    private let factor: Double
    private let patience: Int
    private let threshold: Double
    private let thresholdMode: ThresholdMode
    private let cooldown: Int
    private let minima: [Double]
    private let epsilon: Double
    /// What has been seen so far; setting it resumes training.
    public var state = State()

    /// - Parameters:
    ///   - factor: below 1.
    ///   - patience: how many metrics without improvement are borne; one more reduces the rate.
    ///   - threshold: improvements smaller than this are none.
    ///   - cooldown: how many metrics after a reduction do not count as bad.
    ///   - minimum: the rates do not fall below it.
    ///   - epsilon: a reduction by less than this is left out.
    public convenience init(
        _ optimizer: Optimizer, mode: Mode = .min, factor: Double = 0.1, patience: Int = 10, threshold: Double = 1e-4,
        thresholdMode: ThresholdMode = .relative, cooldown: Int = 0, minimum: Double = 0, epsilon: Double = 1e-8
    ) {
        self.init(
            optimizer, mode: mode, factor: factor, patience: patience, threshold: threshold, thresholdMode: thresholdMode,
            cooldown: cooldown, minima: optimizer.groups.map { _ in minimum }, epsilon: epsilon)
    }

    /// The same with a minimum for each group.
    public init(
        _ optimizer: Optimizer, mode: Mode = .min, factor: Double = 0.1, patience: Int = 10, threshold: Double = 1e-4,
        thresholdMode: ThresholdMode = .relative, cooldown: Int = 0, minima: [Double], epsilon: Double = 1e-8
    ) {
        if !(factor < 1) { fail("ReduceOnPlateau", "a factor of \(factor); must be below 1") }
        if minima.count != optimizer.groups.count {
            fail("ReduceOnPlateau", "\(minima.count) minima for \(optimizer.groups.count) groups")
        }
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.thresholdMode = thresholdMode
        self.cooldown = cooldown
        self.minima = minima
        self.epsilon = epsilon
    }

    /// Takes in a metric, once an epoch as a rule, and reduces the rates if it is time.
    public func advance(_ metric: Double) {
        state.step += 1
        if isBetter(metric) {
            state.best = metric
            state.badCount = 0
        } else {
            state.badCount += 1
        }
        if state.cooldownLeft > 0 {
            state.cooldownLeft -= 1
            state.badCount = 0
        }
        if state.badCount > patience {
            for i in optimizer.groups.indices {
                let old = optimizer.groups[i].learningRate
                let new = max(old * factor, minima[i])
                if old - new > epsilon { optimizer.groups[i].learningRate = new }
            }
            state.cooldownLeft = cooldown
            state.badCount = 0
        }
    }

    private func isBetter(_ metric: Double) -> Bool {
        let best = state.best ?? (mode == .min ? .infinity : -.infinity)
        return switch (mode, thresholdMode) {
        case (.min, .relative): metric < best * (1 - threshold)
        case (.min, .absolute): metric < best - threshold
        case (.max, .relative): metric > best * (1 + threshold)
        case (.max, .absolute): metric > best + threshold
        }
    }
}
