import Tapestry
import Testing

@Suite(.serialized) struct GradientCheckpointingTests {
    private static let f = ModelFixtures.self
    private static let ids = f.ids([2, 8]), next = f.ids([2, 8], seed: 4)
    private static let mask = Tensor([Bool](repeating: true, count: 13) + [false, false, false], shape: [2, 8])

    /// A model of a family, and a loss of it.
    private static func family(_ name: String) -> (Module, () -> Tensor) {
        switch name {
        case "gpt2":
            let model = f.gpt { $0.dropout = 0.2 }
            return (model, { crossEntropy(model(ids, paddingMask: mask), next) })
        case "bert":
            var c = f.bertConfiguration
            c.dropout = 0.2
            let model = BERTMaskedLM(c, weights: f.weights(1))
            return (model, { model.loss(ids, labels: next, paddingMask: mask) })
        case "vit":
            let model = ViT(f.vitConfiguration, weights: f.weights(3))
            let images = Tensor(normal: [3, 3, 8, 8], generator: RandomGenerator(seed: 1))
            return (model, { crossEntropy(model(images), Tensor([4, 0, 1])) })
        case "t5":
            let model = f.t5 { $0.dropout = 0.2 }
            return (model, { model.loss(ids, labels: next, paddingMask: mask) })
        default:
            let model = f.decoder(name)
            return (model, { model.loss(ids, next, paddingMask: mask) })
        }
    }

    /// The same loss and gradients with dropout, under padding, in training mode; by hidden states as well.
    @Test(arguments: ["gpt2", "gemma2", "bert", "vit", "t5"]) func sameGradients(_ name: String) {
        let (model, loss) = Self.family(name)
        model.train()
        func run() -> (Tensor, [Tensor]) {
            manualSeed(5)
            let value = loss()
            value.backward()
            defer { model.zeroGrad() }
            return (value.detached(), model.parameters.map { $0.grad! })
        }
        let plain = run()
        model.setGradientCheckpointing(true)
        let lean = run()
        #expect(lean.0.isEqual(to: plain.0))
        for (a, b) in zip(lean.1, plain.1) { #expect(a.isClose(to: b, rtol: 1e-4, atol: 1e-6)) }
        model.setGradientCheckpointing(false)
        #expect(run().0.isEqual(to: plain.0))
    }

    /// What a step holds until its backward pass grows by less than half per block: the inputs of blocks, not what is within.
    @Test func holdsLess() {
        func held(_ layers: Int, _ recomputes: Bool) -> Int {
            let model = GPT(.init(vocabulary: 31, context: 64, width: 32, layers: layers, heads: 2), weights: Self.f.weights(6))
            model.train()
            model.setGradientCheckpointing(recomputes)
            let ids = Self.f.ids([8, 64])
            let before = MemoryStatistics.current.bytesInUse
            let loss = model.loss(ids, ids)
            defer { withExtendedLifetime(loss) {} }
            return MemoryStatistics.current.bytesInUse - before
        }
        let plain = held(6, false) - held(2, false), lean = held(6, true) - held(2, true)
        #expect(lean * 5 < plain, "\(lean) bytes for four more blocks, \(plain) without recomputation")
    }

    /// The factors learn although nothing that goes into a block needs a gradient.
    @Test func withAdapters() {
        let model = Self.f.gpt()
        model.attachLoRA(rank: 2) { $0.hasSuffix("qkv") }
        func gradients() -> [Tensor] {
            model.loss(Self.ids, Self.next).backward()
            defer { model.zeroGrad() }
            return model.parameters.filter(\.requiresGrad).map { $0.grad! }
        }
        let plain = gradients()
        model.setGradientCheckpointing(true)
        #expect(!plain.isEmpty)
        for (a, b) in zip(gradients(), plain) { #expect(a.isClose(to: b, rtol: 1e-4, atol: 1e-6)) }
    }
}
