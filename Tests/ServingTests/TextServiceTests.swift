import Foundation
import Tapestry
import Testing

@Suite struct TextServiceTests {
    private static let tokenizer = CharacterTokenizer("abcdefghij .")

    private static func model() -> GPT {
        let model = GPT(
            .init(vocabulary: tokenizer.vocabularySize, context: 200, width: 16, layers: 2, heads: 2),
            generator: RandomGenerator(seed: 2))
        for parameter in model.parameters where parameter.shape.count == 2 { parameter.value = parameter.value * 6 }
        return model
    }
    // The model is made here and never leaves the actor.
    private static func service(limits: ServiceLimits = ServiceLimits()) -> TextService {
        TextService(model(), tokenizer, limits: limits)
    }
    private static func options(_ index: Int) -> GenerationOptions {
        GenerationOptions(maximumTokens: 20 + index, temperature: 0.9, seed: UInt64(index))
    }

    /// Requests at the same time give what each gives alone.
    @Test func concurrentRequests() async throws {
        let service = Self.service()
        let together = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for index in 0..<24 {
                group.addTask {
                    var text = ""
                    for try await piece in service.generate(
                        "abc. " + String(repeating: "d", count: index % 5), options: Self.options(index))
                    {
                        text += piece
                    }
                    return (index, text)
                }
            }
            var texts = [String](repeating: "", count: 24)
            for try await (index, text) in group { texts[index] = text }
            return texts
        }
        let alone = Self.model()
        for index in 0..<24 {
            var text = try TextGenerator(
                alone, Self.tokenizer, prompt: "abc. " + String(repeating: "d", count: index % 5), options: Self.options(index))
            #expect(try text.rest() == together[index], "request \(index)")
            #expect(together[index].count == 20 + index)
        }
        #expect(await service.requestCount == 0)
    }

    /// A reader that leaves its loop, or whose task is cancelled, is forgotten; others go on.
    @Test func leavingAndCancelling() async throws {
        let service = Self.service()
        for try await _ in service.generate("ab", options: Self.options(100)) { break }
        let task = Task {
            var count = 0
            for try await _ in service.generate("cd", options: GenerationOptions(maximumTokens: 190)) {
                count += 1
                try await Task.sleep(for: .milliseconds(2))
            }
            return count
        }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        var text = ""
        for try await piece in service.generate("ef", options: Self.options(3)) { text += piece }
        #expect(text.count == 23)
        // The end of a request is told to the actor by a task of its own.
        for _ in 0..<200 where await service.requestCount > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(await service.requestCount == 0)
    }

    /// Requests that cannot be served throw, each its own reason; the service goes on.
    @Test func badRequests() async throws {
        let service = Self.service(
            limits: ServiceLimits(concurrentRequests: 2, textBytes: 1000, promptTokens: 150, newTokens: 10))
        func collect(_ prompt: String, _ options: GenerationOptions = GenerationOptions()) async throws -> String {
            var text = ""
            for try await piece in service.generate(prompt, options: options) { text += piece }
            return text
        }
        await #expect(throws: GenerationError.self) { try await collect("") }
        await #expect(throws: TokenizerError.self) { try await collect("zebra") }
        await #expect(throws: ServiceError.tooLong(bytes: 1001, limit: 1000)) {
            try await collect(String(repeating: "a", count: 1001))
        }
        await #expect(throws: ServiceError.tooManyTokens(151, limit: 150)) {
            try await collect(String(repeating: "a", count: 151))
        }
        for options in [
            GenerationOptions(temperature: -1), GenerationOptions(temperature: .nan), GenerationOptions(topK: 0),
            GenerationOptions(topP: 2),
            GenerationOptions(maximumTokens: -5), GenerationOptions(repetitionPenalty: 0),
        ] {
            await #expect(throws: GenerationError.self) { try await collect("ab", options) }
        }
        // More than fit at a time.
        var first = service.generate("a").makeAsyncIterator(), second = service.generate("b").makeAsyncIterator()
        _ = try await first.next()
        _ = try await second.next()
        await #expect(throws: ServiceError.busy(running: 2)) { try await collect("c") }
        #expect(try await first.next() != nil)
        // Longer than allowed is cut.
        while try await second.next() != nil {}
        #expect(try await collect("ab").count == 10)
    }

    /// A stop string ends the text before it, however tokens cut it.
    @Test func stopStrings() async throws {
        var whole = try TextGenerator(Self.model(), Self.tokenizer, prompt: "abc", options: .greedy(maximumTokens: 30))
        let text = try whole.rest(), stop = String(text.dropFirst(10).prefix(4))
        var options = GenerationOptions.greedy(maximumTokens: 30)
        options.stopStrings = [stop]
        var stopped = try TextGenerator(Self.model(), Self.tokenizer, prompt: "abc", options: options)
        #expect(try stopped.rest() == String(text[..<text.range(of: stop)!.lowerBound]))
        #expect(stopped.finishReason == .stop && whole.finishReason == .length)
    }
}
