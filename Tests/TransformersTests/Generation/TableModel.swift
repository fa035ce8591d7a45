import Tapestry

/// A "model" whose next token depends on the last one alone, by a table of probabilities: generation can be checked against the table.
final class TableModel: Module, CausalLanguageModel {
    let table: Tensor
    let context: Int
    /// Positions computed, over all calls.
    private(set) var positions = 0

    var vocabulary: Int { table.shape[1] }
    var device: Device { .cpu }

    /// `probabilities [vocabulary, vocabulary]`: rows by the last token.
    init(_ probabilities: Tensor, context: Int = .max) {
        table = log(probabilities)
        self.context = context
    }

    convenience init(vocabulary: Int, seed: UInt64, sharpness: Double = 2, context: Int = .max) {
        let logits =
            Tensor(normal: [vocabulary, vocabulary], dtype: .float64, generator: RandomGenerator(seed: seed)) * sharpness
        self.init(softmax(logits), context: context)
    }

    func callAsFunction(_ ids: Tensor) -> Tensor {
        positions += ids.count
        return embedding(ids, table)
    }

    func callAsFunction(_ ids: Tensor, cache: inout KVCache, lastOnly: Bool) -> Tensor {
        let position = Tensor(zeros: [ids.shape[0], 1, ids.shape[1], 1])
        cache.layers[0].append(position, position)
        let all = self(ids)
        return lastOnly ? all.narrowed(axis: 1, start: ids.shape[1] - 1, length: 1) : all
    }

    func makeCache(capacity: Int?) -> KVCache { KVCache(layers: 1, capacity: capacity) }
}
