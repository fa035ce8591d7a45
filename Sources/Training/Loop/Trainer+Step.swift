import Autograd
import CoreTensor
import NN
import Optimizers

extension Trainer {
    /// Gradients of one batch, added to those of the step under way.
    func accumulate(_ batch: Batch) throws {
        pending.batches += 1
        if options.nonFinite == .stop {
            inputs.append((batch, generator.state, model.namedBuffers.map(\.buffer.value)))
        }
        let (loss, count) = try withPrecision { try computeLoss(batch) }
        if loss.count != 1 {
            fail("Trainer", "a loss of shape \(loss.shape); the closure gives the mean over the batch, a single number")
        }
        let value = loss.item(Double.self)
        if !value.isFinite { return try leaveOut("the loss is \(value)", inputs.last.flatMap(origin)) }
        accumulator.backward(scaler.scale(loss), count: count)
        if count > 0 {
            pending.lossSum += value * Double(count)
            pending.count += count
        }
    }

    /// Where a number that is not finite came from: the batch is computed once more with the same random numbers and running statistics.
    private func origin(_ input: StepInput) -> NonFiniteOrigin? {
        let later = generator.state, buffers = model.namedBuffers.map(\.buffer)
        let statistics = buffers.map(\.value)
        defer {
            generator.state = later
            for (buffer, value) in zip(buffers, statistics) { buffer.value = value }
        }
        generator.state = input.random
        for (buffer, value) in zip(buffers, input.buffers) { buffer.value = value }
        return NonFiniteOrigin.find { try withPrecision { try computeLoss(input.batch).loss } }
    }

    /// One optimizer step with what was accumulated; false if all of it was left out.
    func finishStep() throws -> Bool {
        let counted = pending, seen = inputs
        pending = PendingStep()
        inputs = []
        if counted.count == 0 {
            dropGradients()
            return false
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
            try leaveOut("the norm of the gradients is \(norm)", seen.lazy.compactMap(origin).first)
            return false
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
        return true
    }

    /// The closure's operations in the types that the options ask for.
    func withPrecision<R>(_ body: () throws -> R) rethrows -> R {
        guard let dtype = options.mixedPrecision else { return try body() }
        return try autocast(to: dtype, body)
    }

    func dropGradients() {
        if accumulator.count > 0 { accumulator.finish() }
        optimizer.zeroGrad()
    }

    private func leaveOut(_ reason: String, _ origin: NonFiniteOrigin?) throws {
        let step = state.step + 1
        let place = origin.map { "; \($0)" } ?? ""
        guard case .skip(let limit) = options.nonFinite else {
            dropGradients()
            (pending, inputs) = (PendingStep(), [])
            throw TrainingError(description: "step \(step): \(reason)\(place)", step: step, origin: origin)
        }
        state.skippedBatches += 1
        state.skippedInARow += 1
        notify(.skipped(step: step, reason: reason))
        if state.skippedInARow > limit {
            dropGradients()
            (pending, inputs) = (PendingStep(), [])
            throw TrainingError(
                description: "step \(step): \(reason), as in the \(state.skippedInARow - 1) batches before", step: step,
                origin: origin)
        }
    }
}
