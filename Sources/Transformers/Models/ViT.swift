import CoreTensor
import NN

/// Pictures as patches: a convolution whose stride is its window, `[batch, channels, height, width]` to `[batch, patches, width]`, row by row.
public final class PatchEmbedding: Module, Layer {
    /// `[width, channels, patch, patch]`.
    public let weight: Parameter
    /// `[width]`.
    public let bias: Parameter

    /// Square patches of the given size.
    public init(channels: Int, width: Int, patch: Int, weights: WeightInitializer = .normal()) {
        if channels < 1 || width < 1 || patch < 1 {
            fail("PatchEmbedding", "\(channels) channels, \(width) features, patches of \(patch); needs at least 1 of each")
        }
        weight = weights.matrix([width, channels, patch, patch])
        bias = weights.constant(0, [width])
    }

    /// `[batch, channels, height, width]` gives `[batch, height / patch · width / patch, features]`.
    public func callAsFunction(_ images: Tensor) -> Tensor {
        let w = weight.value, patch = w.shape[2]
        if images.rank != 4 || images.shape[1] != w.shape[1] || images.shape[2] < patch || images.shape[3] < patch {
            fail("PatchEmbedding", "\(images.shape) does not fit patches \(w.shape): [batch, channels, height, width]")
        }
        return conv2d(images, w, bias.value, stride: SpatialSizes(patch)).flattened(from: 2).transposed()
    }
}

/// A vision transformer (Dosovitskiy et al., 2021): patches and a class token with learned positions, pre-norm blocks, and a linear
/// classifier on the class token.
///
/// ```swift
/// let model = try ViT.load("models/vit-base-patch16-224")
/// let classes = model(images)                                   // [batch, 3, 224, 224] to [batch, 1000]
/// ```
public final class ViT: Module, GradientCheckpointing {
    /// The sizes the model was made with.
    public let configuration: ViTConfiguration
    /// Makes the patches' vectors.
    public let patches: PatchEmbedding
    /// `[1, 1, width]`: stands before the patches.
    public let classToken: Parameter
    /// `[1, patches + 1, width]`.
    public let positions: Parameter
    /// Of the embeddings.
    public let dropout: Dropout
    /// First to last.
    public let blocks: [TransformerBlock]
    /// Whether blocks are computed again in the backward pass.
    public var usesGradientCheckpointing = false
    /// Of the last block's output.
    public let finalNorm: LayerNorm
    /// Makes the pooled vector of the class token, in models without a classifier.
    public let pooler: Linear?
    /// `[width]` to `[labels]`.
    public let classifier: Linear?

    /// A model with the given weights to begin with; traps if the configuration's ``ViTConfiguration/problem`` is not nil.
    public init(_ configuration: ViTConfiguration, weights: WeightInitializer = .normal()) {
        if let problem = configuration.problem { fail("ViT", problem) }
        let c = configuration
        self.configuration = c
        patches = PatchEmbedding(channels: c.channels, width: c.width, patch: c.patch, weights: weights)
        classToken = weights.matrix([1, 1, c.width])
        positions = weights.matrix([1, c.patchCount + 1, c.width])
        dropout = Dropout(c.dropout)
        blocks = (0..<c.layers).map { _ in
            TransformerBlock(
                model: c.width, heads: c.heads, hidden: c.hidden, norm: .pre, isCausal: false, eps: c.eps,
                activation: c.activation,
                hasInputBias: c.hasInputBias, dropout: c.dropout, attentionDropout: c.attentionDropout, weights: weights)
        }
        finalNorm = weights.layerNorm(c.width, eps: c.eps)
        pooler = c.hasPooler ? weights.linear(c.width, c.width, bias: true) : nil
        classifier = c.labels.map { weights.linear(c.width, $0, bias: true) }
    }

    /// Logits of the classes, `[batch, channels, size, size]` to `[batch, labels]`; the features of the class token where there is no classifier.
    public func callAsFunction(_ images: Tensor) -> Tensor {
        let token = features(images).narrowed(axis: 1, start: 0, length: 1).squeezed(1)
        return classifier.map { $0(token) } ?? token
    }

    /// Features of the class token and the patches, normalised: `[batch, patches + 1, width]`.
    public func features(_ images: Tensor) -> Tensor {
        finalNorm(blocks.reduce(embedded(images)) { x, block in blockOutput { block(x) } })
    }

    /// The embeddings and what comes out of each block, before the final norm: `layers + 1` tensors `[batch, patches + 1, width]`.
    public func hiddenStates(_ images: Tensor) -> [Tensor] {
        var states = [embedded(images)]
        for block in blocks { states.append(blockOutput { [x = states.last!] in block(x) }) }
        return states
    }

    /// A linear layer and tanh of the class token of `features [batch, patches + 1, width]`: `[batch, width]`. Traps without a pooler.
    public func pooled(_ features: Tensor) -> Tensor {
        guard let pooler else { fail("ViT.pooled", "the model has no pooler") }
        return tanh(pooler(features.narrowed(axis: 1, start: 0, length: 1).squeezed(1)))
    }

    private func embedded(_ images: Tensor) -> Tensor {
        let size = configuration.imageSize
        if images.rank != 4 || images.shape[2] != size || images.shape[3] != size {
            fail("ViT", "needs images [batch, \(configuration.channels), \(size), \(size)], not \(images.shape); resize them")
        }
        let x = patches(images)
        let first = classToken.value.expanded(to: [x.shape[0], 1, x.shape[2]])
        return dropout(concatenate([first, x], axis: 1) + positions.value)
    }
}

extension ViT: NamedWeights {
    /// One per block.
    public static func layerCount(_ configuration: ViTConfiguration) -> Int { configuration.layers }

    /// The pooler is there if the weights have one.
    public static func fitted(_ configuration: ViTConfiguration, to names: [String]) -> ViTConfiguration {
        var c = configuration
        c.hasPooler = names.contains { $0 == "pooler.dense.weight" || $0 == "vit.pooler.dense.weight" }
        return c
    }

    var weightNames: WeightNames {
        let base = configuration.labels == nil ? "" : "vit.", layer = "\(base)encoder.layer.*"
        var names = WeightNames(basePrefix: "vit.")
        names.add("patches", "\(base)embeddings.patch_embeddings.projection")
        names.add("classToken", "\(base)embeddings.cls_token")
        names.add("positions", "\(base)embeddings.position_embeddings")
        names.add("blocks.*.attentionNorm", "\(layer).layernorm_before")
        names.add(
            "blocks.*.attention.qkv", "\(layer).attention.attention.query", "\(layer).attention.attention.key",
            "\(layer).attention.attention.value")
        names.add("blocks.*.attention.output", "\(layer).attention.output.dense")
        names.add("blocks.*.feedForwardNorm", "\(layer).layernorm_after")
        names.add("blocks.*.feedForward.expand", "\(layer).intermediate.dense")
        names.add("blocks.*.feedForward.project", "\(layer).output.dense")
        names.add("finalNorm", "\(base)layernorm")
        names.add("pooler", "\(base)pooler.dense")
        names.add("classifier", "classifier")
        return names
    }
}
