import ConformanceSuite
import Tapestry
import Testing

@Suite struct FamilyTests {
    private let generator = RandomGenerator(seed: 31)

    private func learns(_ model: Module, _ loss: () -> Tensor, sourceLocation: SourceLocation = #_sourceLocation) {
        model.train()
        let optimizer = AdamW(model.parameters, learningRate: 1e-3)
        let before = loss()
        before.backward()
        #expect(model.parameters.allSatisfy { $0.grad != nil }, sourceLocation: sourceLocation)
        optimizer.step()
        optimizer.zeroGrad()
        #expect(loss().item(Float.self) < before.item(Float.self), sourceLocation: sourceLocation)
        let summary = model.summary()
        #expect(summary.contains("\(model.parameterCount()) parameters"), sourceLocation: sourceLocation)
    }

    /// A step of an optimizer lowers the loss, and every parameter has a gradient.
    @Test func oneStep() {
        let f = ModelFixtures.self, ids = f.ids([2, 8]), next = f.ids([2, 8], seed: 4)
        for (name, _) in f.decoders {
            let model = f.decoder(name)
            learns(model) { model.loss(ids, next) }
        }
        let gpt = f.gpt { $0.tiesHead = false }
        learns(gpt) { gpt.loss(ids, next) }
        let masked = BERTMaskedLM(f.bertConfiguration, weights: f.weights(1))
        let types = Tensor([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1], shape: [2, 8])
        learns(masked) { masked.loss(ids, labels: next, types: types) }
        let classifier = BERTClassifier(f.bertConfiguration, weights: f.weights(2))
        learns(classifier) { crossEntropy(classifier(ids, types: types), Tensor([0, 2])) }
        let vit = ViT(f.vitConfiguration, weights: f.weights(3)), images = Tensor(normal: [3, 3, 8, 8], generator: generator)
        learns(vit) { crossEntropy(vit(images), Tensor([4, 0, 1])) }
        for gated in [false, true] {
            let t5 = f.t5 { ($0.isGated, $0.activation) = (gated, gated ? .geluTanh : .relu) }
            let labels = Tensor([1, 2, 3, 4, 5, -100], shape: [2, 3])
            learns(t5) { t5.loss(ids, labels: labels) }
        }
    }

    /// The 224 × 224 pictures of ViT give 196 patches of 768 features: the pixels of each patch times the weight.
    @Test func patches() {
        let embedding = PatchEmbedding(channels: 3, width: 8, patch: 16, weights: .normal(generator: generator))
        let images = Tensor(normal: [1, 3, 224, 224], generator: generator)
        let x = embedding(images)
        #expect(x.shape == [1, 196, 8])
        // The 17th patch is the third of the second row.
        let pixels = images[0, 0..., 16..<32, 32..<48].reshaped([768])
        let expected = matmul(embedding.weight.value.reshaped([8, 768]), pixels)
        #expect(x[0, 16].isClose(to: expected, rtol: 1e-4, atol: 1e-4))
    }

    /// A sentence's vector has a norm of 1, and does not change with padding or with the rest of the batch.
    @Test func sentences() {
        var configuration = ModelFixtures.bertConfiguration
        configuration.hasPooler = false
        for pooling in [SentenceEmbedder.Pooling.mean, .first, .maximum] {
            let embedder = SentenceEmbedder(BERT(configuration, weights: ModelFixtures.weights(8)), pooling: pooling)
            embedder.eval()
            let ids = ModelFixtures.ids([3, 7])
            let mask = Tensor(Array(repeating: 1, count: 7) + [1, 1, 1, 1, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0], shape: [3, 7])
            withoutGrad {
                let vectors = embedder(ids, paddingMask: mask)
                #expect((vectors * vectors).sum(-1).isClose(to: Tensor(ones: [3]), rtol: 1e-5, atol: 1e-5))
                #expect(vectors[1].isClose(to: embedder(ids[1..<2, 0..<4])[0], rtol: 1e-4, atol: 1e-5))
            }
        }
    }

    /// Kinds of distances as in the original: near ones exact, far ones on a logarithmic scale, on edges too.
    @Test func distances() {
        let both = RelativePositionBias(buckets: 32, heads: 2, maximumDistance: 128, isBidirectional: true)
        let past = RelativePositionBias(buckets: 32, heads: 2, maximumDistance: 128, isBidirectional: false)
        #expect([0, -1, -7, -8, -16, -64, -127, -500].map(both.bucket) == [0, 1, 7, 8, 10, 14, 15, 15])
        #expect([1, 7, 8, 16, 128].map(both.bucket) == [17, 23, 24, 26, 31])
        #expect([5, 0, -15, -16, -32, -64, -128].map(past.bucket) == [0, 0, 15, 16, 21, 26, 31])
        let bias = past(queries: 3..<5, keys: 5)
        #expect(bias.shape == [1, 2, 2, 5])
        #expect(bias[0, 1, 0, 1].item(Float.self) == past.table.weight.value[2, 1].item(Float.self))
    }

    /// RoBERTa counts positions of tokens alone, from behind the padding token's number: padding on the left changes nothing.
    @Test func positionsOfRoBERTa() {
        var configuration = ModelFixtures.bertConfiguration
        (configuration.family, configuration.padToken) = (.roberta, 1)
        let model = BERT(configuration, weights: ModelFixtures.weights(10)), ids = ModelFixtures.ids([1, 6], from: 3)
        model.eval()
        let padded = concatenate([Tensor([1, 1, 1], shape: [1, 3]), ids], axis: 1)
        let mask = Tensor([0, 0, 0, 1, 1, 1, 1, 1, 1], shape: [1, 9])
        withoutGrad {
            let a = model(ids), b = model(padded, paddingMask: mask)
            #expect(b[0..., 3...].isClose(to: a, rtol: 1e-4, atol: 1e-5))
        }
        #expect(
            !BERT(ModelFixtures.bertConfiguration, weights: ModelFixtures.weights(10))(padded, paddingMask: mask)[0..., 3...]
                .isClose(to: model(ids), rtol: 1e-2, atol: 1e-2))
    }

    /// Labels move by one behind the start token; what does not count becomes padding.
    @Test func shiftedLabels() {
        let model = ModelFixtures.t5 { ($0.startToken, $0.padToken) = (3, 2) }
        #expect(model.shifted(Tensor([7, 8, 9, 5, -100, -100], shape: [2, 3])).scalars(Int.self) == [3, 7, 8, 3, 5, 2])
    }
}
