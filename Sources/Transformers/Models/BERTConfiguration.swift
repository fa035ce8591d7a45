/// The sizes of a ``BERT`` and of the heads on it.
public struct BERTConfiguration: Sendable, Equatable {
    /// The families, by the `model_type` of their `config.json`: RoBERTa (Liu et al., 2019) counts positions from behind the padding token's
    /// number on, DistilBERT (Sanh et al., 2019) has no segments and no pooler.
    public enum Family: String, Sendable, CaseIterable {
        case bert, roberta, distilbert
    }

    /// Whose files the weights are in.
    public var family = Family.bert
    /// The number of different tokens.
    public var vocabulary: Int
    /// The longest sequence, in tokens.
    public var context: Int
    /// Features per position, shared evenly by the heads.
    public var width: Int
    /// The number of blocks.
    public var layers: Int
    /// Attention heads per block; they must divide ``width``.
    public var heads: Int
    /// Features within the feed-forward part.
    public var hidden: Int
    /// Kinds of segments: 2, for pairs of sentences.
    public var tokenTypes = 2
    /// Between the linear layers of the feed-forward part.
    public var activation = FeedForwardActivation.gelu
    /// Added to the variance in the norms.
    public var eps = 1e-12
    /// The probability of dropout after embeddings and parts of blocks, and of attention weights, in 0 ..< 1.
    public var dropout = 0.1, attentionDropout = 0.1
    /// The token that fills up shorter sequences, whose vector is not trained as an input.
    public var padToken = 0
    /// Whether there is a pooled vector of the first position.
    public var hasPooler = true
    /// Classes of a classifier.
    public var labels = 2
    /// Whether the head for masked tokens has the table of tokens as its weight.
    public var tiesHead = true
    /// The class that Hugging Face has for the model: `BertModel`, `BertForMaskedLM` …
    public var architecture = "BertModel"

    /// Sizes; the rest as BERT's. `hidden` is 4 · width unless told otherwise.
    public init(vocabulary: Int, context: Int = 512, width: Int, layers: Int, heads: Int, hidden: Int? = nil) {
        self.vocabulary = vocabulary
        self.context = context
        self.width = width
        self.layers = layers
        self.heads = heads
        self.hidden = hidden ?? 4 * width
    }

    /// BERT-base, uncased (Devlin et al., 2019): 110 million parameters.
    public static let base = BERTConfiguration(vocabulary: 30_522, width: 768, layers: 12, heads: 12)

    /// The row of the table of positions that a sequence begins with.
    var firstPosition: Int { family == .roberta ? padToken + 1 : 0 }

    /// What is wrong with these numbers, in one sentence, or nil.
    public var problem: String? {
        for (name, value) in [
            ("vocabulary", vocabulary), ("context", context), ("width", width), ("layers", layers), ("heads", heads),
            ("hidden", hidden),
            ("tokenTypes", tokenTypes), ("labels", labels),
        ] where value < 1 { return "\(name) is \(value); must be at least 1" }
        if context <= firstPosition { return "a context of \(context) has no place behind the padding token's" }
        if width % heads != 0 { return "\(heads) heads do not divide a width of \(width)" }
        if !(0..<vocabulary).contains(padToken) { return "the token \(padToken) is not in 0 ..< \(vocabulary)" }
        for value in [dropout, attentionDropout] where !(0..<1).contains(value) {
            return "dropout is \(value); must be in 0 ..< 1"
        }
        if !(eps >= 0 && eps.isFinite) { return "eps is \(eps); must be at least 0" }
        return nil
    }
}
