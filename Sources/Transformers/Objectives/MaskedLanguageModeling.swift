import CoreTensor

/// Hides tokens for a model to guess (BERT; Devlin et al., 2018): of the tokens chosen, most become the mask token, some a random one, the rest stay.
public struct MaskedLanguageModeling: Sendable {
    /// The number of different tokens.
    public let vocabulary: Int
    /// What hides a token.
    public let maskToken: Int
    /// Tokens that are never chosen: padding, [CLS], [SEP].
    public let specialTokens: Set<Int>
    /// The share of tokens chosen.
    public let probability: Double
    /// The share of the chosen ones that become ``maskToken``.
    public let maskShare: Double
    /// The share of the chosen ones that become a random token.
    public let randomShare: Double

    /// What a label is where nothing is to be guessed.
    public static let ignoredLabel = -100

    /// BERT's shares by default. Traps unless the shares are probabilities and the mask token is in the vocabulary.
    public init(
        vocabulary: Int, maskToken: Int, specialTokens: Set<Int> = [], probability: Double = 0.15, maskShare: Double = 0.8,
        randomShare: Double = 0.1
    ) {
        if !(0..<vocabulary).contains(maskToken) {
            fail("MaskedLanguageModeling", "mask token \(maskToken) is outside the vocabulary of \(vocabulary)")
        }
        if !(0...1).contains(probability) || maskShare < 0 || randomShare < 0 || maskShare + randomShare > 1 {
            fail("MaskedLanguageModeling", "shares \(probability), \(maskShare), \(randomShare); must be probabilities")
        }
        self.vocabulary = vocabulary
        self.maskToken = maskToken
        self.specialTokens = specialTokens
        self.probability = probability
        self.maskShare = maskShare
        self.randomShare = randomShare
    }

    /// What the model reads and what it is to guess, both of the shape of `ids`, with ``ignoredLabel`` where a token was not chosen:
    /// `crossEntropy(logits, labels, ignoreIndex: MaskedLanguageModeling.ignoredLabel)`.
    public func callAsFunction(_ ids: Tensor, generator: RandomGenerator = .default) -> (inputs: Tensor, labels: Tensor) {
        let ids = ids.detached(), device = ids.device
        func draw() -> Tensor { Tensor(uniform: ids.shape, device: device, generator: generator) }
        var isChosen = draw() .< probability
        if !specialTokens.isEmpty { isChosen = isChosen .& .!ids.isIn(Tensor(specialTokens.sorted(), device: device)) }
        let labels = which(isChosen, ids, Self.ignoredLabel)
        let fate = draw()
        let others = Tensor(integers: 0..<vocabulary, shape: ids.shape, device: device, generator: generator).to(ids.dtype)
        let masked = ids.maskedFill(isChosen .& (fate .< maskShare), Double(maskToken))
        return (which(isChosen .& (fate .>= maskShare) .& (fate .< maskShare + randomShare), others, masked), labels)
    }
}
