import ConformanceSuite
import Tapestry
import TestSupport
import Testing

@Suite struct KVCacheTests {
    private let generator = RandomGenerator(seed: 8)
    private func model() -> GPT {
        let model = GPT(.init(vocabulary: 50, context: 40, width: 24, layers: 3, heads: 4), generator: generator)
        // Larger weights than at the start, so that positions matter.
        for parameter in model.parameters where parameter.shape.count == 2 { parameter.value = parameter.value * 4 }
        model.eval()
        return model
    }

    /// Prompt and tokens by any split give the logits of the whole sequence.
    @Test(arguments: [[37], [1, 1, 1, 30], [20, 1, 1, 1, 7], [5, 12, 2, 1]], [nil, 37])
    func logits(_ parts: [Int], _ capacity: Int?) {
        let model = model(), ids = Tensor(integers: 0..<50, shape: [2, parts.reduce(0, +)], generator: generator)
        let whole = withoutGrad { model(ids) }
        var cache = model.makeCache(capacity: capacity), start = 0
        for part in parts {
            let piece = ids.narrowed(axis: 1, start: start, length: part),
                expected = whole.narrowed(axis: 1, start: start, length: part)
            var twin = cache
            let last = model(piece, cache: &twin, lastOnly: true)
            let logits = model(piece, cache: &cache)
            #expect(mismatch(logits, expected, Tolerance(relative: 1e-5, absolute: 1e-5)) == nil)
            #expect(mismatch(last[0..., 0], expected[0..., part - 1], Tolerance(relative: 1e-5, absolute: 1e-5)) == nil)
            start += part
            #expect(cache.length == start && twin.length == start)
        }
    }

    /// Appending writes in place, until the room is used up or another value shares it.
    @Test func inPlaceAndByValue() {
        func some(_ n: Int) -> Tensor { Tensor(normal: [1, 2, n, 3], generator: generator) }
        var cache = KVCache(layers: 1)
        let first = some(10)
        cache.layers[0].append(first, first)
        let capacity = cache.layers[0].capacity
        #expect(capacity == 32)
        let address = cache.layers[0].keys!.raw.pointer
        cache.layers[0].append(some(1), some(1))
        #expect(cache.layers[0].keys!.raw.pointer == address)
        var copy = cache
        let a = some(1), b = some(1)
        cache.layers[0].append(a, a)
        copy.layers[0].append(b, b)
        #expect(mismatch(cache.layers[0].keys![0..., 0..., 11], a.squeezed(2), .exact) == nil)
        #expect(mismatch(copy.layers[0].keys![0..., 0..., 11], b.squeezed(2), .exact) == nil)
        #expect(mismatch(cache.layers[0].values![0..., 0..., ..<10], first, .exact) == nil)
        cache.layers[0].append(some(21), some(21))
        #expect(cache.length == 33 && cache.layers[0].capacity == 64)
        #expect(mismatch(cache.layers[0].keys![0..., 0..., ..<10], first, .exact) == nil)
        cache.truncate(to: 4)
        #expect(mismatch(cache.layers[0].keys!, first[0..., 0..., ..<4], .exact) == nil)
    }

    @Test func generation() {
        let model = model(), prompt = [3, 1, 4]
        var slow = prompt
        withoutGrad {
            for _ in 0..<45 {
                let window = Array(slow.suffix(40))
                slow.append(model(Tensor(window, shape: [1, window.count]))[0, -1].argmax().item(Int.self))
            }
        }
        #expect(model.generate(prompt, count: 45, temperature: 0) == slow)
        let drawn = model.generate(prompt, count: 20, temperature: 0.9, topK: 5, generator: RandomGenerator(seed: 3))
        #expect(drawn == model.generate(prompt, count: 20, temperature: 0.9, topK: 5, generator: RandomGenerator(seed: 3)))
        #expect(drawn.count == 23)
    }
}
