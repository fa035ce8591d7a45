import Autograd
import CoreTensor
import NN

/// Gradients of one large batch from several small ones, each weighted by what its mean is over (tokens, as a rule): k small batches
/// give the gradients that one with all their tokens would, however the tokens are spread.
///
/// ```swift
/// let accumulator = GradientAccumulator(optimizer.parameters)
/// for (inputs, labels) in microBatches {
///     accumulator.backward(crossEntropy(model(inputs), labels), count: labels.count)
/// }
/// let loss = accumulator.finish()
/// clipGradNorm(optimizer.parameters, maxNorm: 1)
/// optimizer.step()
/// ```
public final class GradientAccumulator {
    private let parameters: [Parameter]
    private var total = 0
    private var sum = 0.0
    /// What the loss is multiplied by on its way, so that gradients in 16 bits neither overflow nor vanish.
    private var unit = 1.0

    /// For these parameters' gradients, which ``finish()`` divides.
    public init(_ parameters: [Parameter]) { self.parameters = parameters }

    /// How much was counted since the last ``finish()``.
    public var count: Int { total }

    /// Runs backward from a mean loss over `count` tokens, whose gradients add to those there. The first call after ``finish()`` lets
    /// go of older gradients. A batch of no tokens counts for nothing.
    public func backward(_ meanLoss: Tensor, count: Int) {
        if count < 0 { fail("GradientAccumulator", "a count of \(count)") }
        if meanLoss.count != 1 { fail("GradientAccumulator", "a loss of shape \(meanLoss.shape); needs the mean over the batch") }
        if total == 0 {
            for parameter in parameters { parameter.grad = nil }
            unit = Double(max(count, 1))
        }
        if count == 0 { return }
        (meanLoss * (Double(count) / unit)).backward()
        sum += meanLoss.item(Double.self) * Double(count)
        total += count
    }

    /// Divides the gradients by all that was counted: they are those of the mean over all tokens. Returns that mean of the losses
    /// (NaN if nothing was counted) and starts anew.
    @discardableResult
    public func finish() -> Double {
        let factor = unit / Double(total)
        if total > 0 && factor != 1 { rewriteGradients(parameters) { $0 *= factor } }
        defer { (total, sum) = (0, 0) }
        return sum / Double(total)
    }
}
