import ConformanceSuite
import Tapestry
import Testing

@Suite struct GroupedQueryAttentionTests {
    private let generator = RandomGenerator(seed: 72)
    private let close = Tolerance(relative: 1e-5, absolute: 1e-5)

    private func layer(_ change: (inout AttentionOptions) -> Void = { _ in }) -> GroupedQueryAttention {
        var options = AttentionOptions(model: 12, heads: 4, kvHeads: 2, headDim: 6)
        change(&options)
        return GroupedQueryAttention(options, weights: .normal(deviation: 0.5, generator: generator))
    }

    /// Fewer heads of keys give what as many heads give, each repeated.
    @Test func groupsAreRepeatedHeads() {
        let few = layer()
        let many = layer { $0.kvHeads = 4 }
        many.query.weight.value = few.query.weight.value
        many.output.weight.value = few.output.weight.value
        func repeated(_ weight: Tensor) -> Tensor {
            weight.unflattened(0, into: [2, 6]).repeatInterleaved(2, axis: 0).flattened(through: 1)
        }
        many.key.weight.value = repeated(few.key.weight.value)
        many.value.weight.value = repeated(few.value.weight.value)
        let x = Tensor(normal: [2, 7, 12], generator: generator)
        #expect(mismatch(few(x), many(x), close) == nil)
        #expect(few.key.weight.count * 2 == many.key.weight.count)
    }

    /// Weights on request give the same output, and rows that sum to 1, whatever else is asked for.
    @Test(arguments: 0..<6) func weightsOnRequest(_ variant: Int) {
        let layer = layer {
            switch variant {
            case 1: $0.window = 3
            case 2: $0.softCap = 0.7
            case 3: $0.usesALiBi = true
            case 4: ($0.headNormEps, $0.hasInputBias, $0.hasOutputBias) = (1e-6, true, true)
            case 5: $0.isCausal = false
            default: break
            }
        }
        let x = Tensor(normal: [2, 7, 12], generator: generator)
        let rotation = RotaryEmbedding(dim: 4).rotation(of: 0..<7)
        let mask = AttentionMask.padding(Tensor([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], shape: [2, 7]))
        let (output, weights) = layer.withWeights(x, rotation: rotation, mask: mask)
        #expect(mismatch(layer(x, rotation: rotation, mask: mask), output, close) == nil)
        #expect(weights.shape == [2, 4, 7, 7])
        let sums = weights.sum(-1)
        if variant != 1 { #expect(sums.isClose(to: Tensor(ones: [2, 4, 7]), rtol: 1e-5, atol: 1e-5)) }
        if variant == 1 {
            // Windows of 3: with the last three keys hidden, the last query sees none.
            #expect(abs(weights[0, 0, 6, 0..<4]).max().item(Float.self) == 0)
            #expect(sums[1, 0].scalars(Float.self).last! == 0 && output.isFinite.all().item(Bool.self))
        }
        if variant != 5 { #expect(weights[0, 0, 2, 3].item(Float.self) == 0) }
        #expect(weights[1, 3, 6, 5].item(Float.self) == 0)
    }

    /// A query that sees nothing gives 0, and 0 as its gradient, by boolean masks and by added ones.
    @Test(arguments: [true, false]) func hiddenRows(_ isBoolean: Bool) {
        let layer = layer { $0.isCausal = false }
        let x = Tensor(normal: [1, 4, 12], generator: generator).asLeaf()
        let seen = Tensor([true, true, false, true], shape: [1, 1, 4, 1])
        let mask = isBoolean ? seen : which(seen, Tensor(zeros: [1, 1, 4, 1]), -Double.infinity)
        let y = layer(x, memory: Tensor(normal: [1, 4, 12], generator: generator), mask: mask)
        #expect(abs(y[0, 2]).max().item(Float.self) == 0 && abs(y[0, 1]).max().item(Float.self) > 0)
        y.sum().backward()
        #expect(abs(x.grad![0, 2]).max().item(Float.self) == 0 && abs(x.grad![0, 1]).max().item(Float.self) > 0)
        #expect(x.grad!.isFinite.all().item(Bool.self))
    }

    /// A NaN in a key that is hidden stays there.
    @Test func hiddenNaN() {
        let layer = layer { $0.isCausal = false }
        var memory = Tensor(normal: [1, 5, 12], generator: generator)
        let x = Tensor(normal: [1, 3, 12], generator: generator)
        let mask = AttentionMask.padding(Tensor([true, true, true, true, false], shape: [1, 5]))
        let clean = layer(x, memory: memory, mask: mask)
        memory[0, 4] = Tensor(repeating: 1e3, shape: [12])
        #expect(mismatch(layer(x, memory: memory, mask: mask), clean, close) == nil)
    }

    /// Keys and values of a memory made once give what they give made each time, for a memory of another width.
    @Test func crossAttention() {
        let layer = layer { ($0.memory, $0.isCausal) = (5, false) }
        let memory = Tensor(normal: [2, 9, 5], generator: generator), x = Tensor(normal: [2, 3, 12], generator: generator)
        let once = layer.keysValues(of: memory)
        #expect(once.keys.shape == [2, 2, 9, 6])
        #expect(mismatch(layer(x, to: once), layer(x, memory: memory), close) == nil)
    }

    /// Position by position through a cache gives what the whole sequence gives; with a window the cache stays small.
    @Test(arguments: [nil, 1, 3, 8] as [Int?]) func cached(_ window: Int?) {
        let layer = layer { $0.window = window }
        let length = 150
        let x = Tensor(normal: [2, length, 12], generator: generator), rotary = RotaryEmbedding(dim: 6)
        withoutGrad {
            let whole = layer(x, rotation: rotary.rotation(of: 0..<length))
            var cache = KVCache(windows: [window]), start = 0
            for part in [40, 1, 1, 5] + Array(repeating: 1, count: 103) {
                let y = layer(
                    x.narrowed(axis: 1, start: start, length: part), rotation: rotary.rotation(of: start..<start + part),
                    cache: &cache.layers[0])
                #expect(mismatch(y, whole.narrowed(axis: 1, start: start, length: part), close) == nil, "position \(start)")
                start += part
            }
            #expect(cache.length == length)
            if let window { #expect(cache.layers[0].capacity <= 2 * (window + KVCache.slack)) }
        }
    }

    /// A cache with a window can go back a little, and then goes on as if it had not been further.
    @Test func truncatedWindow() {
        let layer = layer { $0.window = 4 }
        let x = Tensor(normal: [1, 120, 12], generator: generator)
        withoutGrad {
            var cache = KVCache(windows: [4])
            func step(_ from: Int, _ count: Int, _ cache: inout KVCache) -> Tensor {
                layer(x.narrowed(axis: 1, start: from, length: count), cache: &cache.layers[0])
            }
            for i in 0..<100 { _ = step(i, 1, &cache) }
            let expected = layer(x)
            #expect(cache.canTruncate(to: 90) && !cache.canTruncate(to: 10) && !cache.canTruncate(to: 101))
            cache.truncate(to: 90)
            #expect(mismatch(step(90, 5, &cache), expected.narrowed(axis: 1, start: 90, length: 5), close) == nil)
            var twin = cache
            #expect(mismatch(step(95, 1, &cache), step(95, 1, &twin), close) == nil)
        }
    }

    /// With 8 heads for keys instead of 64 a cache takes an eighth (Llama 2 70B: 4096 tokens in 1.34 GB).
    @Test func cacheSizes() {
        var many = DecoderConfiguration.llama70B
        #expect(ModelSize.cacheBytes(many, tokens: 4096) == 1_342_177_280)
        many.kvHeads = 64
        #expect(ModelSize.cacheBytes(many, tokens: 4096) == 8 * 1_342_177_280)
    }
}
