import CoreTensor

/// A model that continues token sequences: what generation works on. A decoder of an encoder-decoder conforms once it is bound to a source.
public protocol CausalLanguageModel: AnyObject {
    /// The number of different tokens.
    var vocabulary: Int { get }
    /// The longest sequence in tokens, cached ones included; `Int.max` where positions are not limited.
    var context: Int { get }
    /// Where the model's weights are.
    var device: Device { get }
    /// Whether layers such as dropout behave as in training.
    var isTraining: Bool { get }
    /// Puts the model into training mode, or out of it.
    func train(_ isTraining: Bool)

    /// Logits of the next token at every position: `ids [batch, sequence]` gives `[batch, sequence, vocabulary]`.
    func callAsFunction(_ ids: Tensor) -> Tensor
    /// Logits after `ids [batch, new]`, which follow the positions in `cache` and join it: `[batch, new, vocabulary]`, or
    /// `[batch, 1, vocabulary]` for the last position alone. Without gradients.
    func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool) -> Tensor
    /// An empty cache for this model. With a `capacity` the room is taken at once.
    func makeCache(capacity: Int?) -> KVCache
}

/// A ``CausalLanguageModel`` that reads sequences of different lengths as one batch.
public protocol BatchedLanguageModel: CausalLanguageModel {
    /// As ``CausalLanguageModel/callAsFunction(_:cache:lastOnly:)`` for sequences padded on the left: `paddingMask [batch, length so far +
    /// new]`, true or 1 for tokens, hides the rest. Positions count tokens alone.
    func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool, paddingMask: Tensor?) -> Tensor
}

extension CausalLanguageModel {
    /// Runs `body` without gradients and with the model in evaluation mode, and puts the mode back.
    public func evaluating<Result>(_ body: () throws -> Result) rethrows -> Result {
        let wasTraining = isTraining
        // Setting the mode walks through all modules.
        if wasTraining { train(false) }
        defer { if wasTraining { train(true) } }
        return try withoutGrad(body)
    }
}
