import CoreTensor
import NN

/// How the two factors of a ``LowRankAdapter`` start.
public enum LoRAInitialization: Sendable {
    /// A uniform in ±1/√inputs, B zero: the layer's output does not change at first (Hu et al., 2021).
    case zero
    /// The leading singular vectors of the weight, which is left with the rest: the output does not change either, and training starts along
    /// the weight's main directions (PiSSA; Meng et al., 2024).
    case principal
}

/// A ``Linear`` layer with a low-rank update beside its frozen weight (LoRA; Hu et al., 2021): y = x · Wᵀ + b + (alpha / rank) · (x · Aᵀ) · Bᵀ.
///
/// ``Module/attachLoRA(rank:alpha:dropout:initialization:generator:where:)`` puts it in the layer's place.
public final class LowRankAdapter: Module, Layer {
    /// The layer's own, `[outputs, inputs]`.
    public let weight: Parameter
    /// The layer's own, `[outputs]`.
    public let bias: Parameter?
    /// A, `[rank, inputs]`.
    public let loraA: Parameter
    /// B, `[outputs, rank]`.
    public let loraB: Parameter
    /// Applied to the input of A.
    public let dropout: Dropout
    /// The update is multiplied by alpha / rank.
    public let alpha: Double

    /// The rank of the update.
    public var rank: Int { loraA.shape[0] }
    /// alpha / rank.
    public var scale: Double { alpha / Double(rank) }

    init(
        _ layer: Linear, rank: Int, alpha: Double, dropout: Double, initialization: LoRAInitialization, generator: RandomGenerator
    ) {
        weight = layer.weight
        bias = layer.bias
        self.alpha = alpha
        self.dropout = Dropout(dropout, generator: generator)
        let outputs = weight.shape[0], inputs = weight.shape[1], scale = alpha / Double(rank)
        switch initialization {
        case .zero:
            let bound = 1 / Double(Swift.max(inputs, 1)).squareRoot()
            loraA = Parameter(
                Tensor(
                    uniform: [rank, inputs], low: -bound, high: bound, dtype: weight.dtype, device: weight.device,
                    generator: generator))
            loraB = Parameter(Tensor(zeros: [outputs, rank], dtype: weight.dtype, device: weight.device))
        case .principal:
            let (a, b) = Self.principalFactors(weight.value.detached(), rank, scale)
            loraA = Parameter(a)
            loraB = Parameter(b)
            weight.value = weight.value.detached() - matmul(b, a) * scale
        }
    }

    // √s · vᵀ and u · √s of the leading singular values, over √scale each, in the type of the weight.
    private static func principalFactors(_ weight: Tensor, _ rank: Int, _ scale: Double) -> (a: Tensor, b: Tensor) {
        guard let (u, s, vh) = try? LinearAlgebra.truncatedSVD(weight.to(.float32), rank: rank) else {
            fail("attachLoRA", "a weight \(weight.shape) has no singular value decomposition: it holds NaN or infinity")
        }
        let root = sqrt(s / scale)
        let a = root.reshaped([rank, 1]) * vh, b = u * root.reshaped([1, rank])
        return (a.to(weight.dtype), b.to(weight.dtype))
    }

    /// The layer's output with the update: `[..., inputs]` gives `[..., outputs]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let update = linear(linear(dropout(x), loraA.value), loraB.value)
        let base = linear(x, weight.value, bias?.value)
        return base + update.to(base.dtype) * scale
    }

    /// What the update adds to the weight: `[outputs, inputs]`.
    public var update: Tensor { withoutGrad { matmul(loraB.value.detached(), loraA.value.detached()) * scale } }
}

extension Module {
    /// Freezes the module, and gives every ``Linear`` layer inside that `picks` chooses by name a trainable ``LowRankAdapter`` of its own.
    ///
    /// ```swift
    /// model.attachLoRA(rank: 8, where: { $0.hasSuffix("attention.qkv") })
    /// let optimizer = AdamW(model.parameters.filter(\.requiresGrad), learningRate: 1e-4)
    /// ```
    ///
    /// Traps if a layer has an adapter or a quantised form already, or `rank` is not in 1 ... its smaller size.
    /// - Parameters:
    ///   - alpha: the update is multiplied by alpha / rank; 2 · rank if nil.
    ///   - dropout: of the adapters' inputs, in training.
    /// - Returns: the number of adapters.
    @discardableResult
    public func attachLoRA(
        rank: Int, alpha: Double? = nil, dropout: Double = 0, initialization: LoRAInitialization = .zero,
        generator: RandomGenerator = .default, where picks: (String) -> Bool = { _ in true }
    ) -> Int {
        let layers = namedModules.compactMap { name, module in (module as? Linear).map { (name, $0) } }.filter { picks($0.0) }
        freeze()
        for (name, layer) in layers {
            if layer.replacement != nil { fail("attachLoRA", "\(name) has an adapter or a quantised form already") }
            if rank < 1 || rank > Swift.min(layer.weight.shape[0], layer.weight.shape[1]) {
                fail("attachLoRA", "rank \(rank) for \(name) of shape \(layer.weight.shape)")
            }
            layer.replacement = LowRankAdapter(
                layer, rank: rank, alpha: alpha ?? Double(2 * rank), dropout: dropout, initialization: initialization,
                generator: generator)
        }
        return layers.count
    }

    /// The adapters inside with the names of their layers.
    public var adapters: [(name: String, adapter: LowRankAdapter)] {
        namedModules.compactMap { name, module in
            ((module as? Linear)?.replacement as? LowRankAdapter).map { (name, $0) }
        }
    }

    /// Adds every adapter's update to its layer's weight and takes the adapter away: the same function, at the speed of the plain layers. Weights
    /// stay frozen.
    public func mergeLoRA() {
        for (_, adapter) in adapters {
            adapter.weight.value = adapter.weight.value.detached() + adapter.update.to(adapter.weight.dtype)
        }
        detachLoRA()
    }

    /// Takes the adapters away, and with them what they learned.
    public func detachLoRA() {
        for (_, module) in namedModules {
            if let layer = module as? Linear, layer.replacement is LowRankAdapter { layer.replacement = nil }
        }
    }
}
