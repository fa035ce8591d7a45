import CoreTensor
import NN

import func Foundation.exp

/// How well a model predicts a text.
public struct Perplexity: Sendable, Equatable {
    /// The sum of -ln p over the predicted tokens.
    public let negativeLogLikelihood: Double
    /// How many tokens were predicted: all but the first.
    public let tokens: Int

    /// The mean of -ln p: nats per token.
    public var loss: Double { tokens == 0 ? 0 : negativeLogLikelihood / Double(tokens) }
    /// exp(loss): V for a model that knows nothing of V tokens.
    public var value: Double { exp(loss) }
    /// Bits per token.
    public var bitsPerToken: Double { loss / 0.6931471805599453 }
}

/// The perplexity of `tokens` under a model, read in windows of `context` that advance by `stride`: each token is predicted once, from at least
/// `context - stride` tokens before it where there are so many.
/// - Parameters:
///   - context: the model's own if nil (1,024 where it has no limit).
///   - stride: `context` if nil, the fastest; smaller ones give every token more to go by.
public func perplexity(
    _ model: any CausalLanguageModel, of tokens: [Int], context: Int? = nil, stride: Int? = nil
) -> Perplexity {
    let context = Swift.min(context ?? 1024, model.context)
    let stride = stride ?? context
    if !(1...context).contains(stride) || context < 1 { fail("perplexity", "a stride of \(stride) in a context of \(context)") }
    if let outside = tokens.first(where: { !(0..<model.vocabulary).contains($0) }) {
        fail("perplexity", "token \(outside) is outside the vocabulary of \(model.vocabulary)")
    }
    return model.evaluating {
        var sum = 0.0, count = 0
        // Tokens up to here have been predicted.
        var done = 1
        while done < tokens.count {
            let end = Swift.min(done == 1 ? context + 1 : done + stride, tokens.count)
            let start = Swift.max(end - 1 - context, 0)
            let ids = Tensor(Array(tokens[start..<end - 1]), shape: [1, end - 1 - start], device: model.device)
            let logits = model(ids)[0].narrowed(axis: 0, start: done - 1 - start, length: end - done)
            let targets = Tensor(Array(tokens[done..<end]), device: model.device)
            sum += crossEntropy(logits.to(.float32), targets, reduction: .sum).item(Double.self)
            count += end - done
            done = end
        }
        return Perplexity(negativeLogLikelihood: sum, tokens: count)
    }
}
