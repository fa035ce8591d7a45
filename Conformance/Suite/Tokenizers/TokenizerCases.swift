import Foundation
import Tapestry

/// Texts with the ids that other systems give them, in a golden folder's `tokenizers`.
///
/// | file | what |
/// |---|---|
/// | `gpt2_bpe_cases.json` | GPT-2's vocabulary: `gpt2/vocab.json` with `merges.txt`, and each `.gguf` beside them |
/// | `bert_wordpiece_cases.json` | BERT's: `bert/vocab.txt`, or the folder that `TAPESTRY_MINILM` names |
/// | `llama_cpp_cases.json` | by name of `ggml-vocab-NAME.gguf`, anywhere below |
/// | `hf_cases.json` | by name of `hf/NAME.json`, a `tokenizer.json` |
public enum TokenizerCases {
    /// One text: the case's name, and what became of it.
    public typealias Result = (name: String, outcome: ConformanceSuite.Outcome)

    /// Runs everything that a golden folder has.
    public static func run(in folder: URL) throws -> [Result] {
        let root = folder.appendingPathComponent("tokenizers")
        var results: [Result] = []
        if let cases = try cases(root, "gpt2_bpe_cases") {
            let vocabulary = root.appendingPathComponent("gpt2")
            results += run("gpt2", vocabulary.appendingPathComponent("vocab.json").path, cases)
            for file in ggufFiles(vocabulary) { results += run("gpt2 gguf", file.path, cases) }
        }
        if let cases = try cases(root, "bert_wordpiece_cases") {
            let named = ProcessInfo.processInfo.environment["TAPESTRY_MINILM"]
            let bundled = root.appendingPathComponent("bert/vocab.txt").path
            results += run(
                "bert", FileManager.default.fileExists(atPath: bundled) ? bundled : named ?? bundled, cases, special: true)
        }
        if let groups = try json(root, "llama_cpp_cases")?["cases"] as? [String: [[String: Any]]] {
            let files = ggufFiles(root)
            for (name, cases) in groups.sorted(by: { $0.key < $1.key }) {
                let file = files.first { $0.lastPathComponent == "ggml-vocab-\(name).gguf" }
                results += run("llama.cpp \(name)", file?.path ?? "ggml-vocab-\(name).gguf", cases)
            }
        }
        if let groups = try json(root, "hf_cases")?["cases"] as? [String: [[String: Any]]] {
            for (name, cases) in groups.sorted(by: { $0.key < $1.key }) {
                results += run("hf \(name)", root.appendingPathComponent("hf/\(name).json").path, cases, special: true)
            }
        }
        return results
    }

    private static func json(_ root: URL, _ name: String) throws -> [String: Any]? {
        let url = root.appendingPathComponent("\(name).json")
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        return try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
    }

    private static func cases(_ root: URL, _ name: String) throws -> [[String: Any]]? {
        try json(root, name)?["cases"] as? [[String: Any]]
    }

    private static func ggufFiles(_ folder: URL) -> [URL] {
        let all = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL } ?? []
        return all.filter { $0.pathExtension == "gguf" }.sorted { $0.path < $1.path }
    }

    private static func run(_ name: String, _ path: String, _ cases: [[String: Any]], special: Bool = false) -> [Result] {
        func all(_ outcome: ConformanceSuite.Outcome) -> [Result] { cases.indices.map { ("tokenizers/\(name)/\($0)", outcome) } }
        guard FileManager.default.fileExists(atPath: path) else {
            return all(.unsupported("a vocabulary that is not among the goldens"))
        }
        let tokenizer: PretrainedTokenizer
        do { tokenizer = try Tokenizers.load(path) } catch { return all(.failed("threw \(error)")) }
        return cases.enumerated().map { i, item in
            ("tokenizers/\(name)/\(i)", outcome(item, tokenizer, special))
        }
    }

    private static func outcome(_ item: [String: Any], _ tokenizer: PretrainedTokenizer, _ special: Bool)
        -> ConformanceSuite.Outcome
    {
        guard let text = item["text"] as? String, let expected = item["ids"] as? [Int] else { return .failed("no text or ids") }
        do {
            let ids = try tokenizer.encode(text, addSpecialTokens: special)
            if ids != expected { return .failed("\(text.debugDescription) gives \(ids), expected \(expected)") }
            if let decoded = item["decoded"] as? String, case let ours = try tokenizer.decode(ids),
                !ours.utf8.elementsEqual(decoded.utf8)
            {
                return .failed("\(ids) give \(ours.debugDescription), expected \(decoded.debugDescription)")
            }
            // In pieces, the same text.
            var stream = StreamingDecoder(tokenizer)
            var pieces = ""
            for id in ids { pieces += try stream.append(id) }
            pieces += try stream.finish()
            let whole = try tokenizer.decode(ids)
            return pieces.utf8.elementsEqual(whole.utf8) ? .passed : .failed("in pieces, \(pieces.debugDescription)")
        } catch { return .failed("threw \(error)") }
    }
}
