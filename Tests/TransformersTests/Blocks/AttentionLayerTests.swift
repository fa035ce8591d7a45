import Tapestry
import Testing

@Suite struct AttentionLayerTests {
    private let generator = RandomGenerator(seed: 61)

    /// With and without weights, causal by mask and by flag: the same numbers.
    @Test func pathsAgree() {
        let attention = MultiheadAttention(8, heads: 2, batchFirst: true, generator: generator)
        let x = Tensor(normal: [2, 5, 8], generator: generator)
        let a = attention(x, x, x, mask: Transformer.causalMask(5))
        let b = attention(x, x, x, isCausal: true, needsWeights: false)
        let c = attention(x, x, x, isCausal: true, averagesWeights: false)
        #expect(a.output.isClose(to: b.output, rtol: 1e-4, atol: 1e-5) && a.output.isClose(to: c.output, rtol: 1e-4, atol: 1e-5))
        #expect(a.weights!.shape == [2, 5, 5] && c.weights!.shape == [2, 2, 5, 5] && b.weights == nil)
        #expect(a.weights!.sum(-1).isClose(to: Tensor(ones: [2, 5])))
    }

    /// A query that sees nothing gives 0, not NaN, whichever mask says so.
    @Test func hiddenRowsAreZero() {
        let q = Tensor(normal: [1, 2, 3, 4], generator: generator)
        let none = Tensor([true, true, false], shape: [3, 1]).expanded(to: [3, 3])
        let added = which(none, Tensor(zeros: [3, 3]), -Double.infinity)
        for mask in [none, added] {
            let y = scaledDotProductAttention(q, q, q, mask: mask)
            #expect(abs(y[0, 0..., 2]).max().item(Float.self) == 0 && !y.isNaN.any().item(Bool.self))
        }
        let layer = TransformerEncoderLayer(
            TransformerOptions(model: 4, heads: 2, dropout: 0, batchFirst: true), generator: generator)
        let x = Tensor(normal: [1, 3, 4], generator: generator).asLeaf()
        let y = layer(x, keyPaddingMask: Tensor([true, true, true], shape: [1, 3]))
        y.sum().backward()
        #expect(!y.isNaN.any().item(Bool.self) && !x.grad!.isNaN.any().item(Bool.self))
    }

    @Test func leadingAxesBroadcast() {
        let q = Tensor(normal: [3, 4], generator: generator), k = Tensor(normal: [2, 3, 5, 4], generator: generator)
        let y = scaledDotProductAttention(q, k, k)
        #expect(y.shape == [2, 3, 3, 4])
        #expect(y[1, 2].isClose(to: scaledDotProductAttention(q, k[1, 2], k[1, 2]), rtol: 1e-4, atol: 1e-5))
    }

    @Test func embeddingOptions() {
        let table = Embedding(5, 3, maxNorm: 1, scaleGradByFrequency: true, generator: generator)
        table.weight.value = Tensor(ones: [5, 3])
        let ids = Tensor([1, 1, 3])
        table(ids).sum().backward()
        #expect(table.weight.grad!.isClose(to: Tensor([0.0, 1, 0, 1, 0], shape: [5, 1]).to(.float32).expanded(to: [5, 3])))
        let norms = (table.weight.value.detached() * table.weight.value.detached()).sum(-1)
        #expect(norms.isClose(to: Tensor([3.0, 1, 3, 1, 3]).to(.float32), rtol: 1e-4))
    }

    /// What is dropped, and that means and scales stay.
    @Test func dropouts() {
        let x = Tensor(ones: [50, 20, 6])
        let y = Dropout1d(0.3, generator: generator)(x)
        let channels = y.reshaped([1000, 6])
        #expect((channels.max(-1) .== channels.min(-1)).all().item(Bool.self))
        #expect(Swift.abs(y.mean().item(Double.self) - 1) < 0.1)
        let normal = Tensor(normal: [20000], generator: generator)
        let alpha = AlphaDropout(0.4, generator: generator)(normal)
        #expect(Swift.abs(alpha.mean().item(Double.self)) < 0.05 && Swift.abs(alpha.variance().item(Double.self) - 1) < 0.05)
        #expect(Dropout3d(0.5, generator: generator)(Tensor(ones: [4, 2, 2, 2])).shape == [4, 2, 2, 2])
        let layer = FeatureAlphaDropout(0.5, generator: generator)
        layer.eval()
        #expect(layer(x).isEqual(to: x))
    }
}
