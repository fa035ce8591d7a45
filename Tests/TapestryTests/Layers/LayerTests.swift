import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

@Suite struct LayerTests {
    private let generator = RandomGenerator(seed: 31)

    @Test func sequential() {
        let model = Sequential(Linear(3, 5, generator: generator), Tanh(), Linear(5, 2, bias: false, generator: generator))
        #expect(model.namedParameters.map(\.name) == ["layers.0.weight", "layers.0.bias", "layers.2.weight"])
        #expect(model.parameterCount() == 3 * 5 + 5 + 10)
        let x = Tensor(normal: [4, 3], generator: generator)
        let p = model.parameters.map(\.value)
        #expect(model(x).isClose(to: tanh(x • p[0].T + p[1]) • p[2].T, rtol: 1e-5, atol: 1e-6))
    }

    final class Tied: Module {
        let first: Linear
        let second: Linear
        let extra: [Linear]
        let named: [String: Linear]
        let missing: Linear?
        let scale = Parameter(Tensor([1.0]))
        let seen = Buffer(Tensor([0.0]))
        override init() {
            first = Linear(4, 4)
            second = Linear(weight: first.weight)
            extra = [Linear(2, 2, bias: false), Linear(2, 1, bias: false)]
            named = ["b": Linear(1, 1, bias: false), "a": Linear(1, 1, bias: false)]
            missing = nil
            super.init()
        }
    }

    /// A shared parameter counts once, under its first name; collections and optionals are gone through.
    @Test func names() {
        let model = Tied()
        #expect(
            model.namedParameters.map(\.name) == [
                "first.weight", "first.bias", "extra.0.weight", "extra.1.weight", "named.a.weight", "named.b.weight", "scale",
            ])
        #expect(model.namedBuffers.map(\.name) == ["seen"])
        #expect(model.parameterCount() == 16 + 4 + 4 + 2 + 1 + 1 + 1)
        #expect(model.summary().contains("first.weight"))
        #expect(model.summary().contains("[4, 4]"))
    }

    @Test func trainingModes() {
        let model = Sequential(Dropout(0.5, generator: generator), Sequential(Dropout(0.5, generator: generator)))
        let x = Tensor(ones: [100])
        #expect(!model(x).isEqual(to: x))
        model.eval()
        #expect(model(x).isEqual(to: x))
        #expect(!(model.layers[1] as! Sequential).layers[0].isTraining)
        model.train()
        #expect(model.isTraining)
    }

    @Test func freezing() {
        let model = Sequential(Linear(2, 3, generator: generator), Linear(3, 1, generator: generator))
        model.freeze { $0.hasPrefix("layers.0") }
        let before = model.parameters.map { $0.value.scalars(Float.self) }
        let optimizer = SGD(model.parameters, learningRate: 1)
        model(Tensor(ones: [1, 2])).sum().backward()
        optimizer.step()
        let after = model.parameters.map { $0.value.scalars(Float.self) }
        #expect(after[0] == before[0] && after[1] == before[1])
        #expect(after[2] != before[2] && after[3] != before[3])
        #expect(model.parameterCount(trainableOnly: true) == 4)
        model.unfreeze()
        #expect(model.parameterCount(trainableOnly: true) == 13)
    }

    @Test func states() throws {
        let a = Sequential(Linear(2, 3, generator: generator)), b = Sequential(Linear(2, 3, generator: generator))
        try b.loadStateDict(a.stateDict)
        #expect(b.parameters[0].value.isEqual(to: a.parameters[0].value))
        let wrong = Sequential(Linear(3, 3, generator: generator), Linear(3, 3, generator: generator))
        let before = wrong.stateDict
        let error = #expect(throws: StateDictError.self) { try wrong.loadStateDict(a.stateDict) }
        #expect(error?.missing == ["layers.1.bias", "layers.1.weight"])
        #expect(error?.mismatched.count == 1)
        for (name, value) in before { #expect(wrong.stateDict[name]!.isEqual(to: value)) }
        var more = a.stateDict
        more["else"] = Tensor(1)
        #expect(throws: StateDictError.self) { try b.loadStateDict(more) }
        try b.loadStateDict(more, strict: false)
    }

    @Test func padding() {
        let layer = Embedding(4, 3, paddingIndex: 1, generator: generator)
        #expect(layer(Tensor([1])).scalars(Float.self) == [0, 0, 0])
        layer(Tensor([0, 1, 1, 2])).sum().backward()
        #expect(layer.weight.grad!.sum(1).scalars(Float.self) == [3, 0, 3, 0])
    }

    @Test func attentionIsCausal() {
        let layer = MultiHeadAttention(model: 8, heads: 2, generator: generator)
        var x = Tensor(normal: [1, 6, 8], generator: generator)
        let before = layer(x)
        x[0, 4...] = Tensor(9.0)
        let after = layer(x)
        #expect(mismatch(after[0, ..<4], before[0, ..<4]) == nil)
        #expect(mismatch(after[0, 4...], before[0, 4...]) != nil)
        let full = MultiHeadAttention(model: 8, heads: 2, isCausal: false, generator: generator)
        #expect(mismatch(full(x)[0, 0], full(Tensor(normal: [1, 6, 8], generator: generator))[0, 0]) != nil)
    }

    /// Tiled attention against softmax(q kᵀ / √d) v, at sizes around and beyond the tiles.
    @Test(arguments: [(64, 64, 1), (65, 65, 1), (200, 200, 2), (1, 130, 2), (130, 257, 1)], [false, true])
    func longAttention(_ size: (queries: Int, keys: Int, groups: Int), _ causal: Bool) {
        let kv = [2, 2, size.keys, 24]
        let q = Tensor(normal: [2, 2 * size.groups, size.queries, 24], dtype: .float64, generator: generator).asLeaf()
        let k = Tensor(normal: kv, dtype: .float64, generator: generator).asLeaf()
        let v = Tensor(normal: kv, dtype: .float64, generator: generator).asLeaf()
        let fused = scaledDotProductAttention(q, k, v, causal: causal)
        let mask = Tensor(ones: [size.queries, size.keys]).tril(diagonal: size.keys - size.queries).to(.bool)
        let everything = Tensor(ones: [size.queries, size.keys]).to(.bool)
        let composed = scaledDotProductAttention(q, k, v, mask: causal ? mask : everything)
        #expect(mismatch(fused, composed.detached(), Tolerance(relative: 1e-9, absolute: 1e-11)) == nil)
        let weights = Tensor(normal: fused.shape, dtype: .float64, generator: generator)
        let a = gradients(of: [fused], withRespectTo: [q, k, v], gradients: [weights])
        let b = gradients(of: [composed], withRespectTo: [q, k, v], gradients: [weights])
        for (one, other) in zip(a, b) { #expect(mismatch(one!, other!, Tolerance(relative: 1e-8, absolute: 1e-10)) == nil) }
    }

    @Test func blocksNormaliseWhereTheySay() {
        let x = Tensor(normal: [2, 5, 8], generator: generator) * 10
        let post = TransformerBlock(model: 8, heads: 2, norm: .post, generator: generator)(x)
        #expect(abs(post.mean(-1)).max().item(Double.self) < 1e-5)
        let pre = TransformerBlock(model: 8, heads: 2, norm: .pre, generator: generator)
        // The residual path is free of norms: with both projections 0 the block passes its input on.
        for name in ["attention.output", "feedForward.project"] {
            for (key, parameter) in pre.namedParameters where key.hasPrefix(name) {
                parameter.value = Tensor(zerosLike: parameter.value)
            }
        }
        #expect(pre(x).isEqual(to: x))
    }

    @Test func initialisers() {
        let shape = [400, 300]
        let deviation = { (x: Tensor) in x.standardDeviation().item(Double.self) }
        #expect(Swift.abs(deviation(Initializers.xavierNormal(shape, generator: generator)) - (2.0 / 700).squareRoot()) < 5e-4)
        #expect(Swift.abs(deviation(Initializers.xavierUniform(shape, generator: generator)) - (2.0 / 700).squareRoot()) < 5e-4)
        #expect(Swift.abs(deviation(Initializers.heNormal(shape, generator: generator)) - (2.0 / 300).squareRoot()) < 8e-4)
        #expect(Swift.abs(deviation(Initializers.heUniform(shape, generator: generator)) - (2.0 / 300).squareRoot()) < 8e-4)
        let truncated = Initializers.truncatedNormal(shape, standardDeviation: 0.5, generator: generator)
        #expect(abs(truncated).max().item(Double.self) <= 1.0)
        // √(1 - 4 φ(2) / (2 Φ(2) - 1)) = 0.8796 of the untruncated deviation
        #expect(Swift.abs(deviation(truncated) - 0.5 * 0.8796) < 3e-3)
        for shape in [[7, 5], [5, 7], [6, 2, 3]] {
            let q = Initializers.orthogonal(shape, dtype: .float64, generator: generator).reshaped(shape[0], -1)
            let product = shape[0] > q.shape[1] ? q.T • q : q • q.T
            #expect(product.isClose(to: Tensor(eye: product.shape[0], dtype: .float64), atol: 1e-12))
        }
    }
}
