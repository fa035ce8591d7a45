import Tapestry

/// The workloads of other files in fewer bits: products and training in bfloat16, inference in bfloat16, int8 and int4.
extension Workloads {
    static let lowPrecision: [Workload] =
        products(.bfloat16, "bf16") + gpts(autocast: true)
        + Precision.allCases.flatMap { precision in
            [
                decode(precision), prefill(precision),
                bert("bert_base_b32_t128", precision, layers: 12, width: 768, heads: 12),
                bert("bert_minilm_b32_t128", precision, layers: 6, width: 384, heads: 12),
            ]
        }

    /// What weights are kept in, and activations computed in.
    private enum Precision: String, CaseIterable {
        case bf16, int8, int4

        var dtype: DType { self == .bf16 ? .bfloat16 : .float32 }
        /// Bytes per weight.
        var weightBytes: Double { self == .bf16 ? 2 : self == .int8 ? 1 : 0.5625 }

        func apply(_ model: Module) {
            switch self {
            case .bf16: break
            case .int8: model.quantize(.int8Dynamic, releasingWeights: true)
            case .int4: model.quantize(.int4(), releasingWeights: true)
            }
        }
    }

    /// GPT-2's 124 million parameters with a cache of keys and values, float32; the head is a layer of its own.
    private final class Decoder: Module {
        static let width = 768, heads = 12, layers = 12, vocabulary = 50257, context = 1024
        let tokens: Embedding, positions: Embedding
        let blocks: [TransformerBlock]
        let finalNorm: LayerNorm
        let head: Linear
        private var keys: [Tensor] = [], values: [Tensor] = []

        init(_ precision: Precision) {
            let d = Self.width, dtype = precision.dtype
            tokens = Embedding(Self.vocabulary, d, dtype: dtype)
            positions = Embedding(Self.context, d, dtype: dtype)
            blocks = (0..<Self.layers).map { _ in TransformerBlock(model: d, heads: Self.heads, dtype: dtype) }
            finalNorm = LayerNorm(d, dtype: dtype)
            head = Linear(d, Self.vocabulary, bias: false, dtype: dtype)
            super.init()
            freeze()
            precision.apply(self)
            let shape = [1, Self.heads, Self.context, d / Self.heads]
            keys = blocks.map { _ in Tensor(zeros: shape) }
            values = blocks.map { _ in Tensor(zeros: shape) }
        }

        /// Logits after the last of `ids [1, length]`, whose first is at `position`.
        func callAsFunction(_ ids: Tensor, at position: Int) -> Tensor {
            let length = ids.shape[1], d = Self.width, end = position + length
            var x = tokens(ids) + positions.weight.value[position..<end]
            for (i, block) in blocks.enumerated() {
                let parts = block.attention.qkv(block.attentionNorm(x)).to(.float32).reshaped([
                    1, length, 3, Self.heads, d / Self.heads,
                ])
                .permuted(2, 0, 3, 1, 4)
                keys[i][0..., 0..., position..<end] = parts[1]
                values[i][0..., 0..., position..<end] = parts[2]
                let mixed = scaledDotProductAttention(
                    parts[0], keys[i][0..., 0..., ..<end], values[i][0..., 0..., ..<end], causal: length > 1)
                x = x + block.attention.output(mixed.permuted(0, 2, 1, 3).reshaped([1, length, d]).to(x.dtype))
                x = x + block.feedForward(block.feedForwardNorm(x))
            }
            return head(finalNorm(x[0..., (length - 1)..<length]))
        }

        static let matrixCount = Double(12 * layers * width * width + vocabulary * width)
    }

    private static func decode(_ precision: Precision) -> Workload {
        Workload("infer", "gpt2_decode", dtype: precision.rawValue) {
            let prompt = 32, count = 64
            let model = Decoder(precision)
            let first = model(Tensor(integers: 0..<Decoder.vocabulary, shape: [1, prompt]), at: 0).argmax(axis: -1)
            return Timed(
                shape: "prompt \(prompt) gen \(count) batch 1 KV cache",
                bytes: precision.weightBytes * Decoder.matrixCount * Double(count),
                items: ("tokens", Double(count))
            ) {
                var token = first
                for i in 0..<count { token = model(token, at: prompt + i).argmax(axis: -1) }
                use(token)
            }
        }
    }

    private static func prefill(_ precision: Precision) -> Workload {
        Workload("infer", "gpt2_prefill512", dtype: precision.rawValue) {
            let length = 512
            let model = Decoder(precision)
            let ids = Tensor(integers: 0..<Decoder.vocabulary, shape: [1, length])
            let d = Double(Decoder.width), t = Double(length)
            return Timed(
                shape: "T \(length) batch 1, logits for last position only",
                flops: 2 * 144 * d * d * t + 12 * 4 * t * t * d / 2 + 2 * Double(Decoder.vocabulary) * d, items: ("tokens", t)
            ) { use(model(ids, at: 0)) }
        }
    }

    private static func bert(_ name: String, _ precision: Precision, layers: Int, width: Int, heads: Int) -> Workload {
        final class Model: Module {
            let tokens: Embedding, positions: Embedding
            let norm: LayerNorm
            let blocks: [TransformerBlock]

            init(_ precision: Precision, layers: Int, width: Int, heads: Int) {
                tokens = Embedding(30522, width, dtype: precision.dtype)
                positions = Embedding(512, width, dtype: precision.dtype)
                norm = LayerNorm(width, dtype: precision.dtype)
                blocks = (0..<layers).map { _ in
                    TransformerBlock(
                        model: width, heads: heads, norm: .post, isCausal: false, approximation: .none, dtype: precision.dtype)
                }
                super.init()
                freeze()
                precision.apply(self)
            }

            func callAsFunction(_ ids: Tensor) -> Tensor {
                var x = norm(tokens(ids) + positions.weight.value[..<ids.shape[1]])
                for block in blocks { x = block(x) }
                return x.mean(1)
            }
        }
        return Workload("infer", name, dtype: precision.rawValue) {
            let batch = 32, length = 128
            let model = Model(precision, layers: layers, width: width, heads: heads)
            let ids = Tensor(integers: 0..<30522, shape: [batch, length])
            let l = Double(layers), d = Double(width), t = Double(length), n = Double(batch) * t
            return Timed(
                shape: "L\(layers) d\(width) H\(heads) ff\(4 * width) (\(batch),\(length)), mean pool",
                flops: 2 * l * 12 * d * d * n + l * 4 * t * t * d * Double(batch), items: ("tokens", n)
            ) { use(model(ids)) }
        }
    }
}
