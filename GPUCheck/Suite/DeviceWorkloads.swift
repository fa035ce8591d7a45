import Tapestry

/// What is timed. Sizes are those of the peers' script, or so small that the emulator can do them.
public enum DeviceWorkloads {
    /// How large the work is.
    public enum Size: Sendable { case full, tiny }

    public static func all(_ size: Size) -> [DeviceWorkload] {
        products(size) + attention(size) + elementwise(size) + rows(size) + [adamW(size)] + launches(size) + training(size)
    }

    private static func random(_ shape: [Int], _ dtype: DType, _ device: Device, deviation: Double = 1) -> Tensor {
        Tensor(normal: shape, standardDeviation: deviation, device: device, generator: RandomGenerator(seed: 1)).to(dtype)
    }
    private static func name(_ dtype: DType) -> String {
        switch dtype {
        case .bfloat16: "bf16"
        case .float16: "f16"
        default: "f32"
        }
    }

    // MARK: Products

    static func products(_ size: Size) -> [DeviceWorkload] {
        let sizes: [(DType, [Int])] =
            size == .tiny
            ? [(.float32, [64]), (.bfloat16, [64])]
            : [(.float32, [1024, 4096]), (.bfloat16, [1024, 2048, 4096, 8192]), (.float16, [4096])]
        // As the library chooses, perhaps cuBLASLt, and by our own kernels.
        let squares = sizes.flatMap { dtype, sizes in
            sizes.flatMap { n in
                [false, true].map { ownKernels in
                    DeviceWorkload("gemm_\(n)\(ownKernels ? "_own" : "")", name(dtype)) { device in
                        let a = random([n, n], dtype, device), b = random([n, n], dtype, device)
                        return DeviceWork(shape: "\(n) × \(n) × \(n)", flops: 2 * Double(n) * Double(n) * Double(n)) {
                            let before = CUDA.usesCUBLASLt
                            if ownKernels { CUDA.usesCUBLASLt = false }
                            withoutGrad { _ = matmul(a, b) }
                            CUDA.usesCUBLASLt = before
                        }
                    }
                }
            }
        }
        let (rows, inputs, outputs) = size == .tiny ? (16, 32, 64) : (8192, 768, 3072)
        let gelu = DeviceWorkload("linear_gelu", "bf16") { device in
            let x = random([rows, inputs], .bfloat16, device), bias = random([outputs], .bfloat16, device)
            let weight = random([outputs, inputs], .bfloat16, device, deviation: 0.02)
            return DeviceWork(shape: "\(rows) × \(inputs) to \(outputs)", flops: 2 * Double(rows * inputs * outputs)) {
                withoutGrad { _ = linear(x, weight, bias, activation: .gelu) }
            }
        }
        return squares + [gelu]
    }

    // MARK: Attention; causal, so half of the square counts

    static func attention(_ size: Size) -> [DeviceWorkload] {
        let cases = size == .tiny ? [(1, 2, 32, 16)] : [(8, 12, 1024, 64), (1, 16, 4096, 128), (1, 16, 16384, 128)]
        return cases.flatMap { batch, heads, length, dim in
            [false, true].map { backward in
                DeviceWorkload("attention_\(backward ? "backward" : "forward")_d\(dim)_s\(length)", "bf16") { device in
                    let shape = [batch, heads, length, dim]
                    let forward = 4 * Double(batch * heads * dim) * Double(length) * Double(length) / 2
                    let q = random(shape, .bfloat16, device).asLeaf(), k = random(shape, .bfloat16, device).asLeaf(),
                        v = random(shape, .bfloat16, device).asLeaf()
                    func run() -> Tensor { scaledDotProductAttention(q, k, v, causal: true) }
                    if !backward { return DeviceWork(shape: "\(shape)", flops: forward) { withoutGrad { _ = run() } } }
                    let y = run(), g = random(shape, .bfloat16, device)
                    return DeviceWork(shape: "\(shape)", flops: 2.5 * forward) {
                        _ = gradients(of: [y], withRespectTo: [q, k, v], gradients: [g], retainGraph: true)
                    }
                }
            }
        }
    }

    // MARK: What memory bounds

    static func elementwise(_ size: Size) -> [DeviceWorkload] {
        let n = size == .tiny ? 1000 : 1 << 26
        func work(_ name: String, _ dtype: DType, reads: Int, _ f: @escaping @Sendable (Tensor, Tensor) -> Tensor)
            -> DeviceWorkload
        {
            DeviceWorkload(name, Self.name(dtype)) { device in
                let a = random([n], dtype, device), b = random([n], dtype, device)
                return DeviceWork(shape: "\(n)", bytes: Double((reads + 1) * n * dtype.byteCount)) { withoutGrad { _ = f(a, b) } }
            }
        }
        return [
            work("add", .float32, reads: 2) { $0 + $1 }, work("add", .bfloat16, reads: 2) { $0 + $1 },
            work("gelu", .float32, reads: 1) { a, _ in gelu(a) }, work("gelu", .bfloat16, reads: 1) { a, _ in gelu(a) },
            work("cast_to_bf16", .float32, reads: 1) { a, _ in a.to(.bfloat16) },
            DeviceWorkload("sum", "f32") { device in
                let a = random([n], .float32, device)
                return DeviceWork(shape: "\(n)", bytes: Double(4 * n)) { withoutGrad { _ = a.sum() } }
            },
        ]
    }

    static func rows(_ size: Size) -> [DeviceWorkload] {
        let (rows, columns) = size == .tiny ? (8, 40) : (16384, 4096), (tokens, classes) = size == .tiny ? (8, 50) : (8192, 50257)
        func work(_ name: String, _ dtype: DType, _ f: @escaping @Sendable (Tensor, Tensor) -> Tensor) -> [DeviceWorkload] {
            [false, true].map { backward in
                DeviceWorkload("\(name)_\(backward ? "backward" : "forward")", Self.name(dtype)) { device in
                    let x = random([rows, columns], dtype, device).asLeaf(), w = random([columns], dtype, device)
                    // Forward reads one and writes one; backward reads two and writes one.
                    let bytes = Double((backward ? 3 : 2) * rows * columns * dtype.byteCount), shape = "\(rows) × \(columns)"
                    if !backward { return DeviceWork(shape: shape, bytes: bytes) { withoutGrad { _ = f(x, w) } } }
                    let y = f(x, w), g = random([rows, columns], y.dtype, device)
                    return DeviceWork(shape: shape, bytes: bytes) {
                        _ = gradients(of: [y], withRespectTo: [x], gradients: [g], retainGraph: true)
                    }
                }
            }
        }
        let loss = DeviceWorkload("cross_entropy_forward", "f32") { device in
            let x = random([tokens, classes], .float32, device)
            let labels = Tensor(integers: 0..<classes, shape: [tokens], generator: RandomGenerator(seed: 2)).to(device)
            return DeviceWork(shape: "\(tokens) × \(classes)", bytes: 4 * Double(tokens * classes)) {
                withoutGrad { _ = crossEntropy(x, labels) }
            }
        }
        return work("softmax", .float32) { x, _ in softmax(x) } + work("softmax", .bfloat16) { x, _ in softmax(x) }
            + work("layer_norm", .bfloat16) { layerNorm($0, weight: $1, bias: $1) }
            + work("rms_norm", .bfloat16) { rmsNorm($0, weight: $1) } + [loss]
    }

    // MARK: Optimizer

    /// The shapes of GPT-2's parameters (124 million).
    private static func gptShapes(_ size: Size) -> [[Int]] {
        let d = size == .tiny ? 16 : 768, vocabulary = size == .tiny ? 100 : 50257, layers = size == .tiny ? 1 : 12
        var shapes = [[vocabulary, d], [1024, d]]
        for _ in 0..<layers {
            shapes += [[d], [d], [3 * d, d], [3 * d], [d, d], [d], [d], [d], [4 * d, d], [4 * d], [d, 4 * d], [d]]
        }
        return shapes + [[d], [d]]
    }

    static func adamW(_ size: Size) -> DeviceWorkload {
        DeviceWorkload("adamw_124m", "f32") { device in
            let parameters = gptShapes(size).map { Parameter(random($0, .float32, device, deviation: 0.02)) }
            for parameter in parameters { parameter.grad = random(parameter.shape, .float32, device, deviation: 0.01) }
            let optimizer = AdamW(parameters, learningRate: 1e-3, weightDecay: 0.01)
            let count = parameters.reduce(0) { $0 + $1.count }
            return DeviceWork(shape: "\(parameters.count) tensors, \(count) parameters", bytes: 4 * Double(count) * 7) {
                optimizer.step()
            }
        }
    }

    // MARK: Small operations: the host's time, alone and in a graph

    static func launches(_ size: Size) -> [DeviceWorkload] {
        let count = size == .tiny ? 10 : 1000
        @Sendable func chain(_ x: Tensor) -> Tensor {
            var y = x
            for _ in 0..<count { y = y + x }
            return y
        }
        return [
            DeviceWorkload("op_add_chain", "f32") { device in
                let x = random([4], .float32, device)
                return DeviceWork(shape: "\(count) additions of 4", items: ("operations", Double(count))) {
                    withoutGrad { _ = chain(x) }
                }
            },
            DeviceWorkload("op_add_chain_graph", "f32") { device in
                let x = random([4], .float32, device)
                let graph = try CUDA.Graph.capture(on: device) { _ in withoutGrad { [chain(x)] } }
                return DeviceWork(shape: "\(count) additions of 4", items: ("operations", Double(count))) { try graph.replay() }
            },
        ]
    }
}
