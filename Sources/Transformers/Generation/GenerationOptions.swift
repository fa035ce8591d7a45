import CoreTensor

/// How tokens are chosen, and when to stop. The defaults draw from the model's own distribution.
public struct GenerationOptions: Sendable {
    /// New tokens at most.
    public var maximumTokens: Int
    /// 0 always takes the likeliest token; 1 draws from the distribution as it is.
    public var temperature: Double
    /// See ``TopK``; nil leaves all.
    public var topK: Int?
    /// See ``TopP``; 1 leaves all.
    public var topP: Double
    /// See ``MinP``; 0 leaves all.
    public var minP: Double
    /// See ``TypicalP``; 1 leaves all.
    public var typicalP: Double = 1
    /// See ``EpsilonCutoff``; 0 leaves all.
    public var epsilonCutoff: Double = 0
    /// See ``EtaCutoff``; 0 leaves all.
    public var etaCutoff: Double = 0
    /// See ``RepetitionPenalty``; 1 changes nothing.
    public var repetitionPenalty: Double
    /// See ``OccurrencePenalty``; counts generated tokens, not the prompt.
    public var frequencyPenalty: Double = 0
    /// See ``OccurrencePenalty``; counts generated tokens, not the prompt.
    public var presencePenalty: Double = 0
    /// See ``NoRepeatNGram``; 0 allows all.
    public var noRepeatNGramSize: Int = 0
    /// See ``BannedSequences``.
    public var bannedSequences: [[Int]] = []
    /// New tokens before one of ``stopTokens`` may come.
    public var minimumTokens: Int = 0
    /// Tokens that end a sequence; such a token is the last one given.
    public var stopTokens: Set<Int>
    /// Texts that end generation where the text is decoded; the text given ends before them.
    public var stopStrings: [String] = []
    /// The seed of the draws: equal seeds give equal sequences.
    public var seed: UInt64
    /// Positions of the prompt that are read at once; more take more memory for less time.
    public var prefillChunk: Int = 512
    /// Applied after penalties and before temperature.
    public var processors: [any LogitsProcessor] = []

    /// Options whose defaults draw up to 256 tokens from the model's own distribution.
    public init(
        maximumTokens: Int = 256, temperature: Double = 1, topK: Int? = nil, topP: Double = 1, minP: Double = 0,
        repetitionPenalty: Double = 1, stopTokens: Set<Int> = [], seed: UInt64 = 0
    ) {
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.stopTokens = stopTokens
        self.seed = seed
    }

    /// The likeliest token each time.
    public static func greedy(maximumTokens: Int = 256, stopTokens: Set<Int> = []) -> GenerationOptions {
        GenerationOptions(maximumTokens: maximumTokens, temperature: 0, stopTokens: stopTokens)
    }

    /// What is wrong with these numbers, in one sentence, or nil: for options that come from a request.
    public var problem: String? {
        func outside(_ name: String, _ value: Double, _ isValid: Bool, _ range: String) -> String? {
            isValid ? nil : "\(name) is \(value); must be \(range)"
        }
        if maximumTokens < 0 || minimumTokens < 0 { return "\(minimumTokens) to \(maximumTokens) tokens" }
        if let topK, topK < 1 { return "topK is \(topK); must be at least 1" }
        if noRepeatNGramSize < 0 { return "noRepeatNGramSize is \(noRepeatNGramSize); must not be negative" }
        if prefillChunk < 1 { return "prefillChunk is \(prefillChunk); must be at least 1" }
        if bannedSequences.contains(where: \.isEmpty) { return "a banned sequence is empty" }
        if stopStrings.contains(where: \.isEmpty) { return "a stop string is empty" }
        return outside("temperature", temperature, temperature >= 0 && temperature.isFinite, "0 or more")
            ?? outside("topP", topP, (0...1).contains(topP), "in 0 ... 1")
            ?? outside("minP", minP, (0...1).contains(minP), "in 0 ... 1")
            ?? outside("typicalP", typicalP, typicalP > 0 && typicalP <= 1, "above 0 and at most 1")
            ?? outside("epsilonCutoff", epsilonCutoff, (0..<1).contains(epsilonCutoff), "in 0 ..< 1")
            ?? outside("etaCutoff", etaCutoff, (0..<1).contains(etaCutoff), "in 0 ..< 1")
            ?? outside(
                "repetitionPenalty", repetitionPenalty, repetitionPenalty > 0 && repetitionPenalty.isFinite, "above 0")
            ?? outside("frequencyPenalty", frequencyPenalty, frequencyPenalty.isFinite, "finite")
            ?? outside("presencePenalty", presencePenalty, presencePenalty.isFinite, "finite")
    }

    /// Penalties and prohibitions, which hold for greedy choice, drawing and beams alike.
    func constraints(promptLength: Int) -> [any LogitsProcessor] {
        var all: [any LogitsProcessor] = []
        if repetitionPenalty != 1 { all.append(RepetitionPenalty(repetitionPenalty)) }
        if frequencyPenalty != 0 || presencePenalty != 0 {
            all.append(OccurrencePenalty(frequency: frequencyPenalty, presence: presencePenalty, from: promptLength))
        }
        if noRepeatNGramSize > 0 { all.append(NoRepeatNGram(noRepeatNGramSize)) }
        if !bannedSequences.isEmpty { all.append(BannedSequences(bannedSequences)) }
        if minimumTokens > 0, !stopTokens.isEmpty {
            all.append(MinimumLength(promptLength + minimumTokens, forbidding: stopTokens.sorted()))
        }
        return all + processors
    }

    /// What shapes the distribution that is drawn from; nothing for greedy choice.
    var filters: [any LogitsProcessor] {
        if temperature == 0 { return [] }
        var all: [any LogitsProcessor] = []
        if temperature != 1 { all.append(Temperature(temperature)) }
        if let topK { all.append(TopK(topK)) }
        if topP < 1 { all.append(TopP(topP)) }
        if minP > 0 { all.append(MinP(minP)) }
        if typicalP < 1 { all.append(TypicalP(typicalP)) }
        if epsilonCutoff > 0 { all.append(EpsilonCutoff(epsilonCutoff)) }
        if etaCutoff > 0 { all.append(EtaCutoff(etaCutoff)) }
        return all
    }
}

/// A token that was chosen.
public struct GeneratedToken: Sendable, Equatable {
    /// The token.
    public let id: Int
    /// The logarithm (natural) of the probability it was drawn with, after penalties and filters; for greedy choice its probability after penalties.
    public let logProbability: Double
}

/// Why generation ended.
public enum FinishReason: String, Sendable, Codable {
    /// A stop token or a stop string came.
    case stop
    /// The number of tokens that was asked for, or the model's context, is used up.
    case length
    /// The task was cancelled.
    case cancelled
}
