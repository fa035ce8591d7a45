import ConformanceSuite
import Tapestry
import Testing

/// Token by token through a cache gives the logits of the whole sequence.
@Suite struct CachedDecodingTests {
    private let close = Tolerance(relative: 1e-5, absolute: 1e-5)

    private func check(_ model: any CausalLanguageModel, _ ids: Tensor, parts: [Int], capacity: Int? = nil) {
        withoutGrad {
            let whole = model(ids)
            var cache = model.makeCache(capacity: capacity), start = 0
            for part in parts {
                let piece = ids.narrowed(axis: 1, start: start, length: part)
                var twin = cache
                let expected = whole.narrowed(axis: 1, start: start, length: part)
                #expect(mismatch(model(piece, cache: &cache, lastOnly: false), expected, close) == nil, "position \(start)")
                let last = model(piece, cache: &twin, lastOnly: true)
                #expect(mismatch(last, expected.narrowed(axis: 1, start: part - 1, length: 1), close) == nil)
                start += part
            }
            #expect(cache.length == start)
        }
    }

    @Test(arguments: ModelFixtures.decoders.map(\.name)) func decoders(_ name: String) {
        let model = ModelFixtures.decoder(name)
        check(model, ModelFixtures.ids([2, 120]), parts: [50] + Array(repeating: 1, count: 20) + [3, 40, 1, 6])
        check(model, ModelFixtures.ids([1, 12]), parts: [1, 1, 10], capacity: 12)
    }

    @Test func gpt() {
        for model in [
            ModelFixtures.gpt(), ModelFixtures.gpt { ($0.tiesHead, $0.activation) = (false, .relu) },
            ModelFixtures.gpt { $0.scalesAttention = false },
        ] {
            check(model, ModelFixtures.ids([3, 30]), parts: [20, 1, 1, 1, 4, 3])
        }
    }

    /// Of one source and of several, of which one is padded; and with several sequences for each source, as beams are.
    @Test func t5() {
        let model = ModelFixtures.t5 { ($0.isGated, $0.activation) = (true, .geluTanh) }
        let source = ModelFixtures.ids([2, 9]), padding = Tensor(Array(repeating: 1, count: 14) + [0, 0, 0, 0], shape: [2, 9])
        let decoder = model.decoder(for: source, paddingMask: padding)
        let targets = ModelFixtures.ids([2, 30], seed: 8, from: 0)
        check(decoder, targets, parts: [1, 1, 1, 20, 1, 6])
        withoutGrad {
            #expect(mismatch(decoder(targets), model(source, targets: targets, paddingMask: padding), close) == nil)
            // Padding changes nothing: the second source alone, without it.
            let short = model.decoder(for: source[1..<2, 0..<5]), one = decoder(targets)[1..<2]
            #expect(mismatch(short(targets[1..<2]), one, close) == nil)
            let beams = decoder(targets.repeatInterleaved(3, axis: 0))
            #expect(beams.shape == [6, 30, 31] && mismatch(beams[3..<4], one, close) == nil)
            #expect(mismatch(short(targets[1..<2].expanded(to: [4, 30]))[2..<3], one, close) == nil)
        }
        check(model.decoder(for: source[0..<1]), ModelFixtures.ids([4, 6], seed: 2), parts: [3, 1, 2])
        #expect(decoder.vocabulary == 31 && decoder.startToken == 0 && decoder.context == .max)
    }

    /// Prompts padded on the left go on as each by itself.
    @Test(arguments: ["llama", "mistral", "qwen3"]) func leftPadding(_ name: String) {
        let model = ModelFixtures.decoder(name), ids = ModelFixtures.ids([1, 25])
        withoutGrad {
            var alone = model.makeCache(), both = model.makeCache()
            let pads = 4
            let prompt = ids[0..., 0..<15]
            let other = ModelFixtures.ids([1, 15 + pads], seed: 9)
            let padded = concatenate([concatenate([Tensor(zeros: [1, pads], dtype: .int64), prompt], axis: 1), other])
            var mask = concatenate([Tensor(zeros: [1, pads]), Tensor(ones: [1, 15])], axis: 1)
            mask = concatenate([mask, Tensor(ones: [1, 15 + pads])])
            var a = model(prompt, cache: &alone, lastOnly: true),
                b = model(padded, cache: &both, lastOnly: true, paddingMask: mask)
            #expect(mismatch(b[0..<1], a, close) == nil)
            for i in 15..<25 {
                let token = ids[0..., i..<i + 1]
                mask = concatenate([mask, Tensor(ones: [2, 1])], axis: 1)
                a = model(token, cache: &alone, lastOnly: true)
                b = model(concatenate([token, token]), cache: &both, lastOnly: true, paddingMask: mask)
                #expect(mismatch(b[0..<1], a, close) == nil, "token \(i)")
            }
        }
    }

    /// Padding on the right leaves the logits of the tokens before it as they are.
    @Test func rightPadding() {
        let ids = ModelFixtures.ids([2, 10]), mask = Tensor(Array(repeating: 1, count: 17) + [0, 0, 0], shape: [2, 10])
        withoutGrad {
            let model = ModelFixtures.decoder("llama"), gpt = ModelFixtures.gpt()
            #expect(mismatch(model(ids, paddingMask: mask)[1, 0..<7], model(ids)[1, 0..<7], close) == nil)
            #expect(mismatch(gpt(ids, paddingMask: mask)[1, 0..<7], gpt(ids)[1, 0..<7], close) == nil)
        }
    }
}
