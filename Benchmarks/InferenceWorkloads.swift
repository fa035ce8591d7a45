import Tapestry

extension Workloads {
    /// GPT-2's 124 million parameters.
    private static func gpt2(_ precision: Precision) -> GPT {
        let model = GPT(.init(vocabulary: 50257, context: 1024, width: 768, layers: 12, heads: 12))
        precision.prepare(model)
        return model
    }
    /// The matrices that every token passes through.
    private static let gpt2Matrices = 12.0 * 12 * 768 * 768 + 50257 * 768

    /// 64 greedy tokens after a prompt of 32, whose own time is not counted: the cache goes back to it.
    private static func decode(_ name: String, _ precision: Precision) -> Workload {
        Workload("infer", name, dtype: precision.rawValue) {
            let prompt = 32, count = 64
            let model = gpt2(precision)
            var cache = model.makeCache(capacity: 1024)
            let first = model(Tensor(integers: 0..<50257, shape: [1, prompt]), cache: &cache, lastOnly: true).argmax(axis: -1)
            return Timed(
                shape: "prompt 32 gen 64 batch 1 KV cache", bytes: precision.weightBytes * Double(count) * gpt2Matrices,
                items: ("tokens", Double(count))
            ) {
                cache.truncate(to: prompt)
                var token = first
                for _ in 0..<count { token = model(token, cache: &cache, lastOnly: true).argmax(axis: -1) }
            }
        }
    }

    /// 512 tokens at once, logits of the last position only.
    private static func prefill(_ name: String, _ precision: Precision) -> Workload {
        Workload("infer", name, dtype: precision.rawValue) {
            let length = 512, tokens = Double(length)
            let model = gpt2(precision), ids = Tensor(integers: 0..<50257, shape: [1, length])
            var cache = model.makeCache(capacity: 1024)
            let matrices = 2 * 12 * 12 * 768.0 * 768 * tokens, square = 12 * 4 * tokens * tokens * 768 / 2
            return Timed(
                shape: "T 512 batch 1", flops: matrices + square + 2 * 50257 * 768, items: ("tokens", tokens)
            ) {
                cache.truncate(to: 0)
                use(model(ids, cache: &cache, lastOnly: true))
            }
        }
    }

    /// Sentence vectors of a BERT: embeddings, post-norm blocks, the mean over positions.
    private final class Encoder: Module {
        let tokens: Embedding
        let positions: Embedding
        let norm: LayerNorm
        let blocks: [TransformerBlock]

        init(layers: Int, width: Int, heads: Int, hidden: Int) {
            tokens = Embedding(30522, width)
            positions = Embedding(512, width)
            norm = LayerNorm(width)
            blocks = (0..<layers).map { _ in
                TransformerBlock(
                    model: width, heads: heads, hidden: hidden, norm: .post, isCausal: false, approximation: .none)
            }
        }

        func callAsFunction(_ ids: Tensor) -> Tensor {
            var x = norm(tokens(ids) + positions.weight.value.narrowed(axis: 0, start: 0, length: ids.shape[1]))
            for block in blocks { x = block(x) }
            return x.mean(1)
        }
    }

    private static func bert(_ name: String, _ precision: Precision, layers: Int, width: Int, heads: Int, hidden: Int) -> Workload
    {
        Workload("infer", name, dtype: precision.rawValue) {
            let batch = 32, length = 128, tokens = Double(batch * length)
            let model = Encoder(layers: layers, width: width, heads: heads, hidden: hidden)
            precision.prepare(model)
            let ids = Tensor(integers: 0..<30522, shape: [batch, length])
            let matrices = 2 * Double(layers * (4 * width * width + 2 * width * hidden)) * tokens
            let square = Double(layers * 4 * length * length * width * batch)
            return Timed(
                shape: "L\(layers) d\(width) H\(heads) ff\(hidden) (32,128)", flops: matrices + square,
                items: ("tokens", tokens)
            ) { withoutGrad { use(model(ids)) } }
        }
    }

    /// Everything in one precision.
    static func inference(_ precision: Precision) -> [Workload] {
        [
            decode("gpt2_decode", precision), prefill("gpt2_prefill512", precision),
            bert("bert_base_b32_t128", precision, layers: 12, width: 768, heads: 12, hidden: 3072),
            bert("bert_minilm_b32_t128", precision, layers: 6, width: 384, heads: 12, hidden: 1536),
        ]
    }

    static let inference: [Workload] = inference(.f32)
}
