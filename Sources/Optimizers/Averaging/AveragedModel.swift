import CoreTensor
import NN

/// Averages of a model's weights over training, which often generalise better than the last ones (PyTorch's `swa_utils`).
///
/// ```swift
/// let average = AveragedModel(model, .exponential(decay: 0.999))
/// …                                   // after each optimizer.step():
/// average.update()
/// let accuracy = average.withAverages { evaluate(model) }
/// ```
public final class AveragedModel {
    /// How a weight is taken up.
    public enum Rule: Sendable {
        /// The mean of all (stochastic weight averaging; Izmailov et al., 2018).
        case mean
        /// decay · average + (1 - decay) · weight (Polyak and Juditsky, 1992).
        case exponential(decay: Double)
        /// A rule of one's own, of the average, the weight and how many were taken up before.
        case custom(@Sendable (_ average: Tensor, _ current: Tensor, _ count: Int) -> Tensor)
    }

    private let model: Module
    private let rule: Rule
    private let averagesBuffers: Bool
    /// How many times weights were taken up.
    public private(set) var count = 0
    /// The averages by name, buffers among them, as ``Module/stateDict``; the model's own values before the first ``update()``.
    public private(set) var stateDict: [String: Tensor]

    /// - Parameter averagesBuffers: whether running statistics are averaged, too; otherwise the last ones are kept.
    public init(_ model: Module, _ rule: Rule = .mean, averagesBuffers: Bool = false) {
        if case .exponential(let decay) = rule, !(0...1).contains(decay) {
            fail("AveragedModel", "a decay of \(decay); must be in 0 ... 1")
        }
        self.model = model
        self.rule = rule
        self.averagesBuffers = averagesBuffers
        stateDict = model.stateDict
    }

    /// Takes up the model's weights as they are; the first ones are the first average.
    public func update() {
        withoutGrad {
            for (name, parameter) in model.namedParameters { take(name, parameter.value.detached()) }
            for (name, buffer) in model.namedBuffers {
                if averagesBuffers { take(name, buffer.value) } else { stateDict[name] = buffer.value }
            }
        }
        count += 1
    }

    private func take(_ name: String, _ current: Tensor) {
        guard count > 0, current.dtype.isFloatingPoint, var average = stateDict.removeValue(forKey: name) else {
            stateDict[name] = current
            return
        }
        switch rule {
        case .mean: average += (current - average) / Double(count + 1)
        case .exponential(let decay):
            average *= decay
            average += current * (1 - decay)
        case .custom(let f): average = f(average, current, count)
        }
        stateDict[name] = average
    }

    /// Runs `body` with the averages in the model, then puts the model's own weights back.
    public func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        let own = model.stateDict
        load(stateDict)
        defer { load(own) }
        return try body()
    }

    /// Puts the averages into the model for good, at the end of training.
    public func apply() { load(stateDict) }

    private func load(_ state: [String: Tensor]) {
        do { try model.loadStateDict(state) } catch { fail("AveragedModel", "the model has changed: \(error)") }
    }

    /// Takes over saved averages and their count, to go on. Throws if they do not fit the model.
    public func loadState(_ averages: [String: Tensor], count: Int) throws {
        let own = model.stateDict
        try model.loadStateDict(averages)
        load(own)
        stateDict = averages
        self.count = count
    }
}
