import Autograd
import CoreTensor
import Data
import NN
import Optimizers

/// A training loop for those who do not want to write it again: epochs or steps, validation, early stopping, checkpoints, accumulation, clipping,
/// averages, mixed precision. What a step computes is a closure, what is watched are callbacks; all else is the library's ordinary parts.
///
/// ```swift
/// var options = TrainingOptions(epochs: 10)
/// options.folder = "run"
/// options.resumes = true
/// let trainer = Trainer(model, AdamW(model.parameters, learningRate: 1e-3), options: options) { (images, labels) in
///     (crossEntropy(model(images), labels), count: labels.count)
/// }
/// trainer.callbacks = [ConsoleLogger()]
/// let summary = try await trainer.fit(loader, validation: held)
/// ```
///
/// A run that was interrupted or killed and is resumed ends with the same weights, bit for bit, as one that was not: the checkpoint holds model,
/// optimizer, schedule, loss scale, averages, the default random generator and the place in the data.
public final class Trainer<Batch: Sendable> {
    /// A mean loss `[]` and what it is a mean over.
    public typealias CountedLoss = (loss: Tensor, count: Int)
    /// Metrics that are means over `count` samples or tokens.
    public typealias CountedMetrics = (values: [String: Double], count: Int)

    /// What is trained.
    public let model: Module
    /// What trains it.
    public let optimizer: Optimizer
    /// What sets the rates, one step of it per optimizer step.
    public let scheduler: LearningRateScheduler?
    /// What lowers the rates by the monitored metric after each validation.
    public let plateau: ReduceOnPlateau?
    /// How it is trained.
    public let options: TrainingOptions
    /// What watches.
    public var callbacks: [any TrainingCallback] = []
    /// The random numbers that a checkpoint keeps: those of dropout and its kin.
    public let generator: RandomGenerator
    /// The averages of the weights, if there are to be any.
    public let average: AveragedModel?

    let computeLoss: (Batch) throws -> CountedLoss
    let computeMetrics: ((Batch) throws -> CountedMetrics)?
    let accumulator: GradientAccumulator
    let scaler: GradScaler
    let control = TrainingControl()
    var state = TrainerState()
    /// What was counted for the step under way.
    var pending = PendingStep()
    /// A batch and what else its loss came from.
    typealias StepInput = (batch: Batch, random: RandomGenerator.State, buffers: [Tensor])
    /// The batches of the step under way, for finding where a NaN came from.
    var inputs: [StepInput] = []
    /// The run as it was before the step under way.
    private var stepBegin: (state: TrainerState, random: RandomGenerator.State, buffers: [Tensor])?
    private var stepBegan = ContinuousClock.now

    /// - Parameters:
    ///   - metrics: what is measured on validation data, as means over `count`; nil: the loss, with the model in evaluation mode.
    ///   - loss: the mean loss of a batch and what it is a mean over (samples, tokens), by which batches of one step are weighted.
    public init(
        _ model: Module, _ optimizer: Optimizer, scheduler: LearningRateScheduler? = nil, plateau: ReduceOnPlateau? = nil,
        options: TrainingOptions, generator: RandomGenerator = .default, metrics: ((Batch) throws -> CountedMetrics)? = nil,
        loss: @escaping (Batch) throws -> CountedLoss
    ) {
        options.check()
        (self.model, self.optimizer, self.scheduler, self.plateau) = (model, optimizer, scheduler, plateau)
        (self.options, self.generator, computeLoss, computeMetrics) = (options, generator, loss, metrics)
        accumulator = GradientAccumulator(optimizer.parameters)
        scaler = GradScaler(isEnabled: options.mixedPrecision == .float16)
        average = options.averageDecay.map { AveragedModel(model, .exponential(decay: $0)) }
    }

    /// Trains without validation.
    public func fit<L: BatchLoader>(
        _ loader: L, isolation: isolated (any Actor)? = #isolation
    ) async throws -> TrainingSummary where L.Element == Batch { try await fit(loader, validation: L?.none) }

    /// Trains, and measures on `validation` as the options say.
    ///
    /// Throws ``TrainingError`` where training cannot go on, `CheckpointError` or `FileError` where a run cannot be resumed or the last checkpoint not
    /// be written, and what loaders and closures throw. The weights are then those of the last step. Where the task is cancelled, a checkpoint
    /// is written as for a signal before `CancellationError` is thrown; resumed from it, the run ends with the same bits.
    public func fit<L: BatchLoader, V: AsyncSequence>(
        _ loader: L, validation: V?, isolation: isolated (any Actor)? = #isolation
    ) async throws -> TrainingSummary where L.Element == Batch, V.Element == Batch, V.Failure == any Error {
        try prepareFolder()
        if options.resumes { try resume() }
        let interruption = options.handlesSignals ? Interruption() : nil
        defer { interruption?.end() }
        control.stopReason = nil
        notify(.began(step: state.step, total: options.steps))
        model.train()
        stepBegan = .now
        do {
            let end = try await train(loader, validation, interruption, isolation: isolation)
            let summary = state.summary(end)
            try saveAtTheEnd()
            notify(.ended(summary))
            return summary
        } catch let error as CancellationError {
            backToStepBegin()
            try saveAtTheEnd()
            notify(.ended(state.summary(.cancelled)))
            throw error
        }
    }

    /// The loop itself, up to why it ends.
    private func train<L: BatchLoader, V: AsyncSequence>(
        _ loader: L, _ validation: V?, _ interruption: Interruption?, isolation: isolated (any Actor)?
    ) async throws -> TrainingEnd where L.Element == Batch, V.Element == Batch, V.Failure == any Error {
        if state.validationIsDue == true { try await validate(validation, isolation: isolation) }
        var end = endReached(interruption)
        while end == nil {
            loader.state = state.loader
            var iterator = loader.makeAsyncIterator()
            while end == nil {
                try Task.checkCancellation()
                guard let batch = try await iterator.next(isolation: isolation) else {
                    // A sequence may end early where its task is cancelled.
                    try Task.checkCancellation()
                    break
                }
                if pending.batches == 0 { noteStepBegin() }
                state.loader = loader.state
                try accumulate(batch)
                if pending.batches == options.accumulation {
                    guard try finishStep() else {
                        end = endReached(interruption)
                        continue
                    }
                    if let every = options.validateEvery, state.step % every == 0 {
                        try await validate(validation, isolation: isolation)
                    }
                    if let every = options.saveEvery, state.step % every == 0 { save() }
                    end = endReached(interruption)
                }
            }
            if end != nil { break }
            if pending.batches > 0 { _ = try finishStep() }
            notify(.epoch(epoch: state.epoch, step: state.step, loss: state.epochLoss / Double(max(state.epochCount, 1))))
            state.beginEpoch()
            if options.validateEvery == nil { try await validate(validation, isolation: isolation) }
            end = endReached(interruption)
            if end == nil && options.saveEvery == nil { save() }
        }
        return end!
    }

    /// Keeps what a step that is never finished would have changed: with accumulation, a run may be cancelled between its batches.
    private func noteStepBegin() {
        if options.accumulation > 1 { stepBegin = (state, generator.state, model.namedBuffers.map(\.buffer.value)) }
    }

    /// Takes back the batches of a step that is not finished, so that the run is as it was after the last one.
    private func backToStepBegin() {
        guard pending.batches > 0, let begin = stepBegin else { return }
        dropGradients()
        (pending, inputs) = (PendingStep(), [])
        state = begin.state
        generator.state = begin.random
        for (buffer, value) in zip(model.namedBuffers.map(\.buffer), begin.buffers) { buffer.value = value }
    }

    /// Means of the metrics over a sequence of batches, in evaluation mode and with the averaged weights if there are any.
    public func evaluate<V: AsyncSequence>(
        _ batches: V, isolation: isolated (any Actor)? = #isolation
    ) async throws -> [String: Double] where V.Element == Batch, V.Failure == any Error {
        let own = average.flatMap { $0.count > 0 ? model.stateDict : nil }
        average.map { if $0.count > 0 { $0.apply() } }
        model.eval()
        defer {
            model.train()
            if let own { do { try model.loadStateDict(own) } catch { fail("Trainer", "the model has changed: \(error)") } }
        }
        var sums: [String: Double] = [:], total = 0
        var iterator = batches.makeAsyncIterator()
        while let batch = try await iterator.next(isolation: isolation) {
            let (values, count) = try measure(batch)
            for (name, value) in values { sums[name, default: 0] += value * Double(count) }
            total += count
        }
        return sums.mapValues { $0 / Double(max(total, 1)) }
    }

    private func measure(_ batch: Batch) throws -> CountedMetrics {
        try withoutGrad {
            if let computeMetrics { return try withPrecision { try computeMetrics(batch) } }
            let (loss, count) = try withPrecision { try computeLoss(batch) }
            return (["loss": loss.item(Double.self)], count)
        }
    }

    private func validate<V: AsyncSequence>(_ batches: V?, isolation: isolated (any Actor)?) async throws
    where V.Element == Batch, V.Failure == any Error {
        guard let batches else { return }
        state.validationIsDue = true
        let metrics = try await evaluate(batches, isolation: isolation)
        guard let value = metrics[options.monitor] else {
            throw TrainingError(
                description:
                    "the metrics have no \(options.monitor) to monitor; they are \(metrics.keys.sorted().joined(separator: ", "))",
                step: state.step, origin: nil)
        }
        let isBest = state.take(value, metrics, options)
        state.validationIsDue = nil
        plateau?.advance(value)
        notify(.validation(step: state.step, epoch: state.epoch, metrics: metrics, isBest: isBest))
        if isBest { save(as: "best") }
    }

    private func endReached(_ interruption: Interruption?) -> TrainingEnd? {
        if let signal = interruption?.signal { return .interrupted(signal: signal) }
        if let reason = control.stopReason { return .stopped(reason: reason) }
        if let patience = options.patience, state.badValidations >= patience { return .earlyStopping }
        if let steps = options.steps, state.step >= steps { return .finished }
        if let epochs = options.epochs, state.epoch >= epochs { return .finished }
        return nil
    }

    func notify(_ event: TrainingEvent) { for callback in callbacks { callback.handle(event, control) } }

    func lap() -> Double {
        defer { stepBegan = .now }
        return (ContinuousClock.now - stepBegan) / .seconds(1)
    }
}
