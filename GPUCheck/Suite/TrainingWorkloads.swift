import Tapestry

extension DeviceWorkloads {
    /// Training steps of GPT-2 (124 million parameters): mixed precision, AdamW, no dropout; eager, and captured in a graph. Counts 6 flops
    /// per matrix parameter and token, and attention's half square 3.5 times.
    static func training(_ size: Size) -> [DeviceWorkload] {
        let configuration: GPT.Configuration =
            size == .tiny
            ? .init(vocabulary: 20, context: 8, width: 16, layers: 1, heads: 2)
            : .init(vocabulary: 50257, context: 1024, width: 768, layers: 12, heads: 12)
        let (batch, length) = size == .tiny ? (2, 8) : (16, 1024)
        return [false, true].map { isCaptured in
            DeviceWorkload("train_gpt2_124m\(isCaptured ? "_graph" : "")", "bf16") { device in
                let c = configuration
                let model = GPT(c, generator: RandomGenerator(seed: 1)).to(device)
                let optimizer = AdamW(model.parameters, learningRate: 1e-4, weightDecay: 0.1)
                let generator = RandomGenerator(seed: 2)
                let inputs = (0..<2).map { _ in
                    Tensor(integers: 0..<c.vocabulary, shape: [batch, length], generator: generator).to(device)
                }
                func step(_ batch: [Tensor]) -> [Tensor] {
                    let loss = autocast { model.loss(batch[0], batch[1]) }
                    optimizer.zeroGrad()
                    loss.backward()
                    optimizer.step()
                    return [loss]
                }
                let matrices = Double(c.layers * 12 * c.width * c.width + c.vocabulary * c.width)
                let square = Double(c.layers * 4 * length * length * c.width) / 2 * Double(batch), tokens = Double(batch * length)
                var call: () throws -> Void = { _ = step(inputs) }
                if isCaptured {
                    for _ in 0..<2 { _ = step(inputs) }
                    let graph = try CUDA.Graph.capture(inputs, step)
                    call = { try graph.replay(inputs) }
                }
                return DeviceWork(
                    shape: "L\(c.layers) H\(c.heads) d\(c.width) V\(c.vocabulary) B\(batch) T\(length)",
                    flops: 6 * matrices * tokens + 3.5 * square, items: ("tokens", tokens), call: call)
            }
        }
    }
}
