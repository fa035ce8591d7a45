import ArgumentParser
import Foundation
import Tapestry

/// A tokenizer on a text, on one thread.
struct MeasureTokenizer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Times encoding and decoding of a text.",
        discussion: "One JSON object on standard output. checkpoint_peers.py prints the same of Hugging Face's tokenizers.")

    @Argument(help: "tokenizer.json or another of the formats that Tokenizers.load opens, or a folder with one.")
    var tokenizer: String
    @Option(help: "The text: a file in UTF-8.")
    var text: String
    @Option(help: "Samples.")
    var repeats = 5

    struct Report: Encodable {
        let megabytes: Double
        let tokens: Int
        /// Medians, in 10⁶ bytes of text a second, one core.
        let encodeMegabytesPerSecond, decodeMegabytesPerSecond: Double
    }

    func validate() throws {
        if repeats < 1 { throw ValidationError("--repeats is \(repeats); it must be at least 1") }
    }

    func run() throws {
        let tokenizer = try Tokenizers.load(tokenizer)
        let text = try readText(text), size = Double(text.utf8.count) / 1e6
        var encodings: [Double] = [], decodings: [Double] = [], count = 0
        for _ in 0...repeats {
            let began = Date()
            let ids = try tokenizer.encode(text)
            let encoded = Date()
            _ = try tokenizer.decode(ids)
            encodings.append(encoded.timeIntervalSince(began))
            decodings.append(Date().timeIntervalSince(encoded))
            count = ids.count
        }
        // The first of each warms up.
        try show(
            Report(
                megabytes: size, tokens: count, encodeMegabytesPerSecond: size / middle(Array(encodings.dropFirst())),
                decodeMegabytesPerSecond: size / middle(Array(decodings.dropFirst()))))
    }
}
