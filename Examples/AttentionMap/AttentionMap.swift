// Draws which token attends to which: a heat map of one head, or of all heads of a layer, as SVG.
import ArgumentParser
import Foundation
import Tapestry

@main
struct AttentionMap: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "AttentionMap",
        abstract: "Draws the attention of a published model as SVG.",
        discussion: "Scripts/fetch-minilm fetches a model (90 MB); GPT-2, Llama and their like work as well.")

    @Argument(help: "The text that is read.")
    var text = "The animal did not cross the street because it was too tired."
    @Option(help: "Folder of the model.")
    var model = "Models/all-MiniLM-L6-v2"
    @Option(help: "Layer, from 0; negative ones count from the last.")
    var layer = -1
    @Option(help: "Head, from 0. Default: a map of each.")
    var head: Int?
    @Option(help: "File to write.")
    var out = "attention.svg"

    func run() throws {
        if !FileManager.default.fileExists(atPath: "\(model)/config.json") {
            throw ValidationError("there is no model in \(model); Scripts/fetch-minilm fetches one")
        }
        let tokenizer = try Tokenizers.load(model), loaded = try Models.load(model)
        let ids = try tokenizer.encode(text)
        let input = Tensor(ids, shape: [1, ids.count])
        let weights: [Tensor] = try withoutGrad {
            switch loaded {
            case let bert as BERT: recordingAttention { bert(input) }.weights
            case let bert as BERTMaskedLM: recordingAttention { bert(input) }.weights
            case let causal as any CausalLanguageModel: recordingAttention { causal(input) }.weights
            default: throw ValidationError("\(model) holds a \(type(of: loaded)), which reads no text")
            }
        }
        let index = layer < 0 ? weights.count + layer : layer
        guard weights.indices.contains(index) else { throw ValidationError("--layer \(layer) of \(weights.count)") }
        let heads = weights[index].shape[1]
        if let head, !(0..<heads).contains(head) { throw ValidationError("--head \(head) of \(heads)") }
        let labels = ids.map { tokenizer.token($0) ?? "\($0)" }
        let maps = (head.map { [$0] } ?? Array(0..<heads)).map { h in
            HeatMap(title: "layer \(index), head \(h)", labels: labels, values: weights[index][0, h].scalars(Double.self))
        }
        try HeatMap.svg(maps).write(toFile: out, atomically: true, encoding: .utf8)
        print("\(weights.count) layers of \(heads) heads; wrote \(out)")
        // The strongest look of each token, for terminals.
        let mean = weights[index][0].mean(0)
        for (row, target) in mean.argmax(axis: 1).scalars(Int.self).enumerated() {
            print("  \(labels[row].padding(toLength: 14, withPad: " ", startingAt: 0)) → \(labels[target])")
        }
    }
}

/// A square of shades: rows look at columns.
struct HeatMap {
    let title: String
    let labels: [String]
    /// Row by row, 0 ... 1.
    let values: [Double]

    /// Maps side by side, four to a row.
    static func svg(_ maps: [HeatMap]) -> String {
        let count = maps.first?.labels.count ?? 0, cell = max(min(360 / Double(max(count, 1)), 28), 4)
        let margin = 90.0, side = margin + cell * Double(count) + 20, columns = min(maps.count, 4)
        let rows = (maps.count + columns - 1) / max(columns, 1)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(side * Double(columns))\" height=\"\((side + 20) * Double(rows))\" "
                + "font-family=\"sans-serif\" font-size=\"\(min(cell, 11))\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        ]
        for (index, map) in maps.enumerated() {
            let left = side * Double(index % columns), top = (side + 20) * Double(index / columns) + 20
            lines.append("<g transform=\"translate(\(left) \(top))\">")
            lines.append("<text x=\"\(margin)\" y=\"-6\" font-size=\"12\">\(escaped(map.title))</text>")
            for (i, label) in map.labels.enumerated() {
                let place = margin + cell * (Double(i) + 0.75)
                lines.append("<text x=\"\(margin - 4)\" y=\"\(place)\" text-anchor=\"end\">\(escaped(label))</text>")
                lines.append(
                    "<text transform=\"translate(\(place) \(margin - 4)) rotate(-60)\">\(escaped(label))</text>")
                for j in map.labels.indices {
                    let value = min(max(map.values[i * count + j], 0), 1), shade = Int((255 * (1 - value.squareRoot())).rounded())
                    lines.append(
                        "<rect x=\"\(margin + cell * Double(j))\" y=\"\(margin + cell * Double(i))\" width=\"\(cell)\" height=\"\(cell)\" "
                            + "fill=\"rgb(\(shade),\(shade),255)\"><title>\(escaped(map.labels[i])) → \(escaped(map.labels[j])): "
                            + String(format: "%.3f", map.values[i * count + j]) + "</title></rect>")
                }
            }
            lines.append("</g>")
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
    }
}
