import Tapestry

extension Workloads {
    /// One step over tensors of GPT-2's sizes (124 million parameters).
    private static func sweep(_ name: String, states: Double, _ make: @escaping ([Parameter]) -> Optimizer) -> Workload {
        Workload("optim", name) {
            let d = 768
            var shapes = [[50257, d], [1024, d]]
            for _ in 0..<12 {
                shapes += [[d], [d], [3 * d, d], [3 * d], [d, d], [d], [d], [d], [4 * d, d], [4 * d], [d, 4 * d], [d]]
            }
            shapes += [[d], [d]]
            let parameters = shapes.map { Parameter(Tensor(normal: $0, standardDeviation: 0.02).to(device)) }
            for parameter in parameters { parameter.grad = Tensor(normal: parameter.shape, standardDeviation: 0.01).to(device) }
            let optimizer = make(parameters)
            let count = parameters.reduce(0) { $0 + $1.count }
            return Timed(
                shape: "\(parameters.count) tensors, \(count) parameters", bytes: 4 * Double(count) * (3 + 2 * states)
            ) { optimizer.step() }
        }
    }

    /// One step is one sweep, whichever of PyTorch's three ways it is compared with.
    static let optimizers: [Workload] = ["fused", "foreach", "loop"].flatMap { variant in
        [
            sweep("optim_sgdm_\(variant)", states: 1) { SGD($0, learningRate: 1e-3, momentum: 0.9) },
            sweep("optim_adam_\(variant)", states: 2) { Adam($0, learningRate: 1e-3) },
            sweep("optim_adamw_\(variant)", states: 2) { AdamW($0, learningRate: 1e-3, weightDecay: 0.01) },
        ]
    }

    /// A training step of a GPT with tied embeddings, no dropout, AdamW. Counts 6 flops per matrix parameter and token, and
    /// attention's half square 3.5 times.
    static func gpt(
        _ name: String, _ configuration: @autoclosure @escaping () -> GPT.Configuration, batch: Int, length: Int,
        autocast mixed: Bool = false
    ) -> Workload {
        Workload("e2e", name, dtype: mixed ? "bf16" : "f32") {
            let c = configuration()
            let model = GPT(c).to(device)
            let optimizer = AdamW(model.parameters, learningRate: 1e-4, weightDecay: 0.1)
            let ids = Tensor(integers: 0..<c.vocabulary, shape: [batch, length]).to(device)
            let targets = Tensor(integers: 0..<c.vocabulary, shape: [batch, length]).to(device)
            let matrices = Double(c.layers * 12 * c.width * c.width + c.vocabulary * c.width)
            let square = Double(c.layers * 4 * length * length * c.width) / 2 * Double(batch)
            let tokens = Double(batch * length)
            return Timed(
                shape: "L\(c.layers) H\(c.heads) d\(c.width) V\(c.vocabulary) B\(batch) T\(length)",
                flops: 6 * matrices * tokens + 3.5 * square, items: ("tokens", tokens)
            ) {
                autocast(enabled: mixed) { model.loss(ids, targets) }.backward()
                optimizer.step()
                optimizer.zeroGrad()
            }
        }
    }

    /// A training step of a language model over characters: embedding, two LSTM layers, linear head, AdamW.
    private static let lstm = Workload("e2e", "train_lstm") {
        final class Model: Module {
            let embedding = Embedding(65, 512)
            let lstm = LSTM(512, 512, layers: 2, batchFirst: true)
            let head = Linear(512, 65)
        }
        let model = Model().to(device)
        let optimizer = AdamW(model.parameters, learningRate: 1e-3, weightDecay: 0.01)
        let ids = Tensor(integers: 0..<65, shape: [16, 128]).to(device)
        let targets = Tensor(integers: 0..<65, shape: [16, 128]).to(device)
        let tokens = 16.0 * 128, matrices = 2.0 * 8 * 512 * 512 + 512 * 65
        return Timed(
            shape: "2 layers of 512, vocabulary 65, batch 16, length 128", flops: 6 * matrices * tokens, items: ("tokens", tokens)
        ) {
            crossEntropy(model.head(model.lstm(model.embedding(ids)).output), targets).backward()
            optimizer.step()
            optimizer.zeroGrad()
        }
    }

    static let models: [Workload] =
        [
            lstm,
            Workload("e2e", "train_mlp784") {
                let model = Sequential(Linear(784, 512), ReLU(), Linear(512, 256), ReLU(), Linear(256, 10)).to(device)
                let optimizer = SGD(model.parameters, learningRate: 0.01)
                let x = normal(128, 784), y = Tensor(integers: 0..<10, shape: [128]).to(device)
                let n = 784 * 512 + 512 * 256 + 256 * 10
                return Timed(
                    shape: "784-512-256-10 batch 128", flops: Double(6 * n * 128 - 2 * 784 * 512 * 128), items: ("images", 128),
                    inner: 10
                ) {
                    optimizer.zeroGrad()
                    crossEntropy(model(x), y).backward()
                    optimizer.step()
                }
            },
        ] + gpts(autocast: false)

    static func gpts(autocast mixed: Bool) -> [Workload] {
        func large(_ batch: Int, _ length: Int) -> Workload {
            gpt(
                "train_gpt2_124m_b\(batch)_t\(length)",
                .init(vocabulary: 50257, context: 1024, width: 768, layers: 12, heads: 12), batch: batch, length: length,
                autocast: mixed)
        }
        return [
            gpt(
                "train_nanogpt_char", .init(vocabulary: 65, context: 256, width: 384, layers: 6, heads: 6, bias: false),
                batch: 12,
                length: 256, autocast: mixed),
            large(4, 64), large(1, 512),
        ]
    }
}
