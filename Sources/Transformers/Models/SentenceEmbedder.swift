import CoreTensor
import NN

/// Sentences as vectors whose cosines say how alike they are in meaning (Reimers and Gurevych, 2019): an encoder, a mean over the tokens, and
/// a norm of 1. MiniLM, for one.
///
/// ```swift
/// let embedder = try SentenceEmbedder(folder: "models/all-MiniLM-L6-v2")
/// let vectors = embedder(ids, paddingMask: mask)                // [batch, width], rows of norm 1
/// let similarity = matmul(vectors, vectors.transposed())        // cosines
/// ```
public final class SentenceEmbedder: Module {
    /// How the features of the tokens become one vector.
    public enum Pooling: Sendable { case mean, first, maximum }

    /// The encoder.
    public let encoder: BERT
    /// Mean over the tokens, unless told otherwise.
    public let pooling: Pooling
    /// Whether vectors have a norm of 1.
    public let normalizes: Bool

    /// An embedder of the given parts.
    public init(_ encoder: BERT, pooling: Pooling = .mean, normalizes: Bool = true) {
        self.encoder = encoder
        self.pooling = pooling
        self.normalizes = normalizes
    }

    /// Loads an encoder, and what `1_Pooling/config.json` of sentence-transformers says, if it is there.
    public convenience init(folder: String, dtype: DType? = nil) throws {
        let encoder = try BERT.load(folder, dtype: dtype)
        var pooling = Pooling.mean
        let path = "\(folder)/1_Pooling/config.json"
        if fileExists(path) {
            let reader = try ConfigurationReader(file: path)
            if try reader.flag("pooling_mode_cls_token", default: false) { pooling = .first }
            if try reader.flag("pooling_mode_max_tokens", default: false) { pooling = .maximum }
        }
        self.init(encoder, pooling: pooling)
        eval()
    }

    /// Vectors of sentences `ids [batch, sequence]`: `[batch, width]`. `paddingMask [batch, sequence]`, true or 1 for tokens, says what does not
    /// count.
    public func callAsFunction(_ ids: Tensor, paddingMask: Tensor? = nil) -> Tensor {
        let features = encoder(ids, paddingMask: paddingMask)
        let vector = pooled(features, paddingMask)
        return normalizes ? normalized(vector) : vector
    }

    private func pooled(_ features: Tensor, _ paddingMask: Tensor?) -> Tensor {
        let tokens = paddingMask.map { ($0.detached() .!= 0).unsqueezed(-1) }
        switch pooling {
        case .first: return features.narrowed(axis: 1, start: 0, length: 1).squeezed(1)
        case .maximum: return (tokens.map { which($0, features, -1e30) } ?? features).max(1)
        case .mean:
            guard let tokens else { return features.mean(1) }
            let weights = tokens.to(features.dtype)
            return (features * weights).sum(1) / weights.sum(1).clamped(min: 1e-9)
        }
    }
}
