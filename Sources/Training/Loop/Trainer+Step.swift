import Autograd
import CoreTensor
import NN
import Optimizers

extension Trainer {
    /// Gradients of one batch, added to those of the step under way.
    func accumulate(_ batch: Batch) throws {
        pending.batches += 1
        let random = generator.state, buffers = options.nonFinite == .stop ? model.namedBuffers.map(\.buffer.value) : []
        let (loss, count) = try withPrecision { try computeLoss(batch) }
        if loss.count != 1 {
            fail("Trainer", "a loss of shape \(loss.shape); the closure gives the mean over the batch, a single number")
        }
        let value = loss.item(Double.self)
        if !value.isFinite { return try leaveOut("the loss is \(value)", origin(batch, random, buffers)) }
        accumulator.backward(scaler.scale(loss), count: count)
        if count > 0 {
            pending.lossSum += value * Double(count)
            pending.count += count
        }
        // Which batch it was is known only now. With a scaler, infinite gradients are a matter of course.
        if options.nonFinite == .stop && !scaler.isEnabled && !gradNorm(optimizer.parameters).isFinite {
            let origin = origin(batch, random, buffers)
            dropGradients()
            try leaveOut("the gradients are not finite", origin)
        }
    }

    /// Where a number that is not finite came from: the batch is computed once more with the same random numbers and running statistics.
    private func origin(_ batch: Batch, _ random: RandomGenerator.State, _ buffers: [Tensor]) -> NonFiniteOrigin? {
        if options.nonFinite != .stop { return nil }
        let later = generator.state
        defer { generator.state = later }
        generator.state = random
        for ((_, buffer), value) in zip(model.namedBuffers, buffers) { buffer.value = value }
        return NonFiniteOrigin.find { try withPrecision { try computeLoss(batch).loss } }
    }

    /// One optimizer step with what was accumulated.
    func finishStep() throws {
        let counted = pending
        pending = PendingStep()
        if counted.count == 0 {
            dropGradients()
            return
        }
        accumulator.finish()
        let rate = optimizer.learningRate
        scaler.unscale(optimizer)
        let norm =
            options.maxGradientNorm.map { limit in
                let norm = gradNorm(optimizer.parameters)
                if norm.isFinite { clipGradNorm(optimizer.parameters, maxNorm: limit) }
                return norm
            } ?? gradNorm(optimizer.parameters)
        if !norm.isFinite && !scaler.isEnabled {
            dropGradients()
            return try leaveOut("the gradients' norm is \(norm)", nil)
        }
        let isTaken = scaler.step(optimizer)
        scaler.update()
        optimizer.zeroGrad()
        if isTaken {
            scheduler?.advance()
            average?.update()
        }
        state.step += 1
        state.skippedInARow = 0
        state.epochLoss += counted.lossSum
        state.epochCount += counted.count
        notify(
            .step(
                StepReport(
                    step: state.step, epoch: state.epoch, loss: counted.lossSum / Double(counted.count), learningRate: rate,
                    gradientNorm: norm, count: counted.count, seconds: lap(), isSkipped: !isTaken)))
    }

    /// The closure's operations in the types that the options ask for.
    func withPrecision<R>(_ body: () throws -> R) rethrows -> R {
        guard let dtype = options.mixedPrecision else { return try body() }
        return try autocast(to: dtype, body)
    }

    private func dropGradients() {
        if accumulator.count > 0 { accumulator.finish() }
        optimizer.zeroGrad()
    }

    private func leaveOut(_ reason: String, _ origin: NonFiniteOrigin?) throws {
        let step = state.step + 1
        let place = origin.map { "; \($0)" } ?? ""
        guard case .skip(let limit) = options.nonFinite else {
            dropGradients()
            pending = PendingStep()
            throw TrainingError(description: "step \(step): \(reason)\(place)", step: step, origin: origin)
        }
        state.skippedBatches += 1
        state.skippedInARow += 1
        notify(.skipped(step: step, reason: reason))
        if state.skippedInARow > limit {
            dropGradients()
            pending = PendingStep()
            throw TrainingError(
                description: "step \(step): \(reason), as in the \(state.skippedInARow - 1) batches before", step: step,
                origin: origin)
        }
    }
}
