import CoreTensor
import Data

/// Texts as vectors: a ``SentenceEmbedder`` with its tokenizer.
///
/// ```swift
/// let embedder = try TextEmbedder(folder: "models/all-MiniLM-L6-v2")
/// let vectors = try embedder.embed(["A cat sat.", "The stock market fell."])     // [2, 384], rows of norm 1
/// ```
public struct TextEmbedder {
    /// Makes vectors of tokens.
    public let model: SentenceEmbedder
    /// Makes tokens of text.
    public let tokenizer: any Tokenizer
    /// What is read of a text; the rest does not count.
    public var maximumTokens: Int

    /// An embedder of the given parts.
    public init(_ model: SentenceEmbedder, _ tokenizer: any Tokenizer, maximumTokens: Int = 256) {
        self.model = model
        self.tokenizer = tokenizer
        self.maximumTokens = Swift.min(Swift.max(maximumTokens, 2), model.encoder.configuration.context)
        model.eval()
    }

    /// Loads the folder of a published model: weights, tokenizer, and the length from `sentence_bert_config.json`, if it is there.
    public init(folder: String, dtype: DType? = nil) throws {
        let path = "\(folder)/sentence_bert_config.json"
        var length: Int?
        if fileExists(path) { length = try ConfigurationReader(file: path).optionalInteger("max_seq_length") }
        self.init(
            try SentenceEmbedder(folder: folder, dtype: dtype), try Tokenizers.load(folder), maximumTokens: length ?? 256)
    }

    /// Features of a vector.
    public var width: Int { model.encoder.configuration.width }

    /// The vectors of `texts`, in their order: `[texts, width]`. Texts of like lengths are read together, `batchSize` at a time. Throws
    /// `TokenizerError` for a text that has no tokens.
    public func embed(_ texts: [String], batchSize: Int = 32) throws -> Tensor {
        if batchSize < 1 { fail("embed", "a batch of \(batchSize); needs at least 1") }
        let device = model.encoder.tokenEmbedding.weight.device
        if texts.isEmpty { return Tensor(zeros: [0, width], device: device) }
        let sequences = try texts.map { text in
            let ids = try tokenizer.encode(text, addSpecialTokens: true)
            // The last token ends the text for the model, so it stays.
            return ids.count <= maximumTokens ? ids : ids.prefix(maximumTokens - 1) + ids.suffix(1)
        }
        let order = sequences.indices.sorted { (sequences[$0].count, $0) < (sequences[$1].count, $1) }
        let padding = tokenizer.specialTokens.padding ?? 0
        var parts: [Tensor] = []
        for start in stride(from: 0, to: order.count, by: batchSize) {
            let batch = order[start..<Swift.min(start + batchSize, order.count)].map { sequences[$0] }
            let length = Swift.max(batch.last!.count, 1)
            let ids = batch.flatMap { $0 + [Int](repeating: padding, count: length - $0.count) }
            let mask = batch.flatMap {
                [Bool](repeating: true, count: $0.count) + [Bool](repeating: false, count: length - $0.count)
            }
            let isFull = batch[0].count == length
            parts.append(
                withoutGrad {
                    model(
                        Tensor(ids, shape: [batch.count, length], device: device),
                        paddingMask: isFull ? nil : Tensor(mask, shape: [batch.count, length], device: device))
                })
        }
        var place = [Int](repeating: 0, count: order.count)
        for (row, index) in order.enumerated() { place[index] = row }
        return concatenate(parts, axis: 0).indexSelect(axis: 0, index: Tensor(place, device: device))
    }
}
