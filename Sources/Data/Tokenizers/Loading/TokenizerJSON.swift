/// Reads the parts of a `tokenizer.json` (Hugging Face's `tokenizers`, format 1.0). What is unknown is refused: ids that are almost
/// right are worse than none.
struct TokenizerJSON {
    private let root: JSONValue

    init(_ root: JSONValue) throws {
        guard root.object != nil, root["model"]?.object != nil else { throw TokenizerError("a tokenizer.json without a model") }
        self.root = root
    }

    func tokenizer(_ special: (PretrainedTokenizer.Lookup) -> SpecialTokens) throws -> PretrainedTokenizer {
        let model = try model(root["model"]!)
        let added = try addedTokens(model.table)
        let lookup = PretrainedTokenizer.Lookup(added: added, table: model.table)
        return try PretrainedTokenizer(
            normalizer: try part("normalizer", normalizer), preTokenizer: try part("pre_tokenizer", preTokenizer), model: model,
            postProcessor: try part("post_processor", postProcessor) ?? .init(), decoder: try part("decoder", decoder),
            addedTokens: added, specialTokens: special(lookup))
    }

    private func part<T>(_ name: String, _ read: (JSONValue) throws -> T?) throws -> T? {
        guard let value = root[name], !value.isNull else { return nil }
        return try read(value)
    }

    // MARK: Model

    private func model(_ json: JSONValue) throws -> TokenModel {
        switch json["type"]?.string ?? Self.guess(json) {
        case "BPE":
            let prefix = json["continuing_subword_prefix"]?.string ?? "", suffix = json["end_of_word_suffix"]?.string ?? ""
            return .bytePair(
                try BytePairModel(
                    vocabulary: vocabulary(json), merges: merges(json), unknown: json["unk_token"]?.string,
                    fusesUnknown: json["fuse_unk"]?.bool ?? false, byteFallback: json["byte_fallback"]?.bool ?? false,
                    ignoresMerges: json["ignore_merges"]?.bool ?? false, continuingPrefix: prefix, wordSuffix: suffix))
        case "WordPiece":
            let longest = json["max_input_chars_per_word"]?.integer ?? 100
            if longest < 0 { throw TokenizerError("max_input_chars_per_word is \(longest)") }
            return .wordPiece(
                try WordPieceModel(
                    vocabulary: vocabulary(json), unknown: json["unk_token"]?.string ?? "[UNK]",
                    continuingPrefix: json["continuing_subword_prefix"]?.string ?? "##", longestWord: longest))
        case "WordLevel":
            let table = try TokenTable(vocabulary(json))
            return .wordLevel(WordLevelModel(table: table, unknown: json["unk_token"]?.string.flatMap { table.id($0) }))
        case "Unigram":
            guard let list = json["vocab"]?.array else { throw TokenizerError("a Unigram model without vocab") }
            let pieces = try list.map { entry -> (String, Double) in
                guard let pair = entry.array, pair.count == 2, let token = pair[0].string, let score = pair[1].double else {
                    throw TokenizerError("an entry of the Unigram vocab is no pair of text and score")
                }
                return (token, score)
            }
            return .unigram(
                try UnigramModel(
                    pieces: pieces, unknown: json["unk_id"]?.integer, byteFallback: json["byte_fallback"]?.bool ?? false))
        case let type: throw TokenizerError("a model of the unknown type \((type ?? "none").prefix(40))")
        }
    }

    /// Old files do not say what they are.
    private static func guess(_ json: JSONValue) -> String? {
        if json["merges"] != nil { return "BPE" }
        if json["vocab"]?.array != nil { return "Unigram" }
        return json["max_input_chars_per_word"] != nil ? "WordPiece" : nil
    }

    private func vocabulary(_ json: JSONValue) throws -> [(token: String, id: Int)] {
        guard let members = json["vocab"]?.object?.members else { throw TokenizerError("a model without vocab") }
        return try members.map { token, value in
            guard let id = value.integer else {
                throw TokenizerError("\(token.debugDescription.prefix(80)) has an id that is no whole number")
            }
            return (token, id)
        }
    }

    private func merges(_ json: JSONValue) throws -> [(String, String)] {
        try (json["merges"]?.array ?? []).map { entry in
            if let text = entry.string { return try Self.merge(text) }
            guard let pair = entry.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string else {
                throw TokenizerError("a merge is no pair of tokens")
            }
            return (left, right)
        }
    }

    /// "left right".
    static func merge(_ text: String) throws -> (String, String) {
        let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 2, let left = String(parts[0]), let right = String(parts[1]) else {
            throw TokenizerError("the merge \(text.debugDescription.prefix(80)) is no pair of tokens")
        }
        return (left, right)
    }

    // MARK: Added tokens

    private func addedTokens(_ table: TokenTable) throws -> [AddedToken] {
        var result: [AddedToken] = []
        for entry in root["added_tokens"]?.array ?? [] {
            guard let content = entry["content"]?.string, let id = entry["id"]?.integer else {
                throw TokenizerError("an added token without content or id")
            }
            if result.contains(where: { $0.content.utf8.elementsEqual(content.utf8) }) { continue }
            let known = table.id(content)
            if known == nil, table.token(id) != nil || result.contains(where: { $0.id == id }) {
                throw TokenizerError("the added token \(content.debugDescription.prefix(80)) has the id \(id) of another")
            }
            let isSpecial = entry["special"]?.bool ?? false
            result.append(
                AddedToken(
                    id: known ?? id, content: content, isSingleWord: entry["single_word"]?.bool ?? false,
                    stripsLeft: entry["lstrip"]?.bool ?? false, stripsRight: entry["rstrip"]?.bool ?? false,
                    isNormalized: entry["normalized"]?.bool ?? !isSpecial, isSpecial: isSpecial))
        }
        return result
    }

    // MARK: Steps

    private func normalizer(_ json: JSONValue) throws -> Normalizer {
        switch json["type"]?.string {
        case "NFC": return .form(.nfc)
        case "NFD": return .form(.nfd)
        case "NFKC": return .form(.nfkc)
        case "NFKD": return .form(.nfkd)
        case "Lowercase": return .lowercase
        case "StripAccents": return .stripAccents
        case "BertNormalizer":
            let lowercases = json["lowercase"]?.bool ?? true
            return .bert(
                cleansText: json["clean_text"]?.bool ?? true, separatesHan: json["handle_chinese_chars"]?.bool ?? true,
                stripsAccents: json["strip_accents"]?.bool ?? lowercases, lowercases: lowercases)
        case "Replace": return .replace(try pattern(json["pattern"]), with: Array((json["content"]?.string ?? "").utf8))
        case "Prepend": return .prepend(Array((json["prepend"]?.string ?? "").utf8))
        case "Strip": return .strip(left: json["strip_left"]?.bool ?? true, right: json["strip_right"]?.bool ?? true)
        case "Precompiled":
            guard let map = json["precompiled_charsmap"]?.string else {
                throw TokenizerError("a Precompiled normalizer without its map")
            }
            return map.isEmpty ? .sequence([]) : .characterMap(try CharacterMap(base64: map), longest: false)
        case "ByteLevel": return .byteLevel
        case "Nmt": return .nmt
        case "Sequence": return .sequence(try (json["normalizers"]?.array ?? []).map(normalizer))
        case let type: throw TokenizerError("a normalizer of the unknown type \((type ?? "none").prefix(40))")
        }
    }

    private func pattern(_ json: JSONValue?) throws -> Pattern {
        if let text = json?["String"]?.string ?? json?.string { return try Pattern(literal: text) }
        guard let text = json?["Regex"]?.string else { throw TokenizerError("a step without its pattern") }
        return try Pattern(text)
    }

    private func preTokenizer(_ json: JSONValue) throws -> PreTokenizer {
        switch json["type"]?.string {
        case "ByteLevel":
            return .byteLevel(
                addsPrefixSpace: json["add_prefix_space"]?.bool ?? true,
                splits: json["use_regex"]?.bool ?? true ? try Pattern(PreTokenizer.gpt2) : nil)
        case "BertPreTokenizer": return .bert
        case "Whitespace": return .split(try Pattern(#"\w+|[^\w\s]+"#), .removed, invert: true)
        case "WhitespaceSplit": return .whitespaceSplit
        case "Split":
            return .split(
                try pattern(json["pattern"]), try SplitBehavior(json["behavior"]?.string), invert: json["invert"]?.bool ?? false)
        case "CharDelimiterSplit":
            return .split(try Pattern(literal: json["delimiter"]?.string ?? " "), .removed, invert: false)
        case "Digits": return .digits(individual: json["individual_digits"]?.bool ?? false)
        case "Punctuation": return .punctuation(try SplitBehavior(json["behavior"]?.string ?? "Isolated"))
        case "Metaspace":
            return .metaspace(
                replacement: try replacement(json), prepend: try prependScheme(json), splits: json["split"]?.bool ?? true)
        case "FixedLength":
            let length = json["length"]?.integer ?? 5
            if length < 1 { throw TokenizerError("a FixedLength pre-tokenizer of length \(length)") }
            return .fixedLength(length)
        case "Sequence": return .sequence(try (json["pretokenizers"]?.array ?? []).map(preTokenizer))
        case let type: throw TokenizerError("a pre-tokenizer of the unknown type \((type ?? "none").prefix(40))")
        }
    }

    private func replacement(_ json: JSONValue) throws -> [UInt8] {
        let text = json["replacement"]?.string ?? "\u{2581}"
        if text.unicodeScalars.count != 1 { throw TokenizerError("a Metaspace step whose replacement is not one character") }
        return Array(text.utf8)
    }

    private func prependScheme(_ json: JSONValue) throws -> PreTokenizer.PrependScheme {
        switch json["prepend_scheme"]?.string {
        case "always": .always
        case "never": .never
        case "first": .first
        case nil: json["add_prefix_space"]?.bool ?? true ? .always : .never
        case let name?: throw TokenizerError("a Metaspace step with the unknown prepend_scheme \(name.prefix(40))")
        }
    }

    private func decoder(_ json: JSONValue) throws -> TokenDecoder {
        func bytes(_ name: String, _ standard: String) -> [UInt8] { Array((json[name]?.string ?? standard).utf8) }
        switch json["type"]?.string {
        case "ByteLevel": return .byteLevel
        case "WordPiece": return .wordPiece(prefix: bytes("prefix", "##"), cleansUp: json["cleanup"]?.bool ?? true)
        case "Metaspace": return .metaspace(replacement: try replacement(json), dropsFirst: try prependScheme(json) != .never)
        case "BPEDecoder": return .suffix(bytes("suffix", "</w>"))
        case "ByteFallback": return .byteFallback
        case "Fuse": return .fuse
        case "Strip":
            return .strip(
                content: bytes("content", " "), start: max(json["start"]?.integer ?? 0, 0),
                stop: max(json["stop"]?.integer ?? 0, 0))
        case "Replace": return .replace(try pattern(json["pattern"]), with: bytes("content", ""))
        case "CTC":
            return .ctc(
                padding: bytes("pad_token", "<pad>"), delimiter: bytes("word_delimiter_token", "|"),
                cleansUp: json["cleanup"]?.bool ?? true)
        case "Sequence": return .sequence(try (json["decoders"]?.array ?? []).map(decoder))
        case let type: throw TokenizerError("a decoder of the unknown type \((type ?? "none").prefix(40))")
        }
    }

    private func postProcessor(_ json: JSONValue) throws -> PostProcessor {
        func token(_ name: String) throws -> Int {
            guard let pair = json[name]?.array, pair.count == 2, let id = pair[1].integer, id >= 0 else {
                throw TokenizerError("a post-processor without its token \(name)")
            }
            return id
        }
        switch json["type"]?.string {
        case "ByteLevel": return .init()
        case "BertProcessing":
            let cls = try token("cls"), sep = try token("sep")
            return PostProcessor(
                single: [.special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep], type: 0)],
                pair: [
                    .special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep], type: 0), .second(type: 1),
                    .special(ids: [sep], type: 1),
                ])
        case "RobertaProcessing":
            let cls = try token("cls"), sep = try token("sep")
            return PostProcessor(
                single: [.special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep], type: 0)],
                pair: [
                    .special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep, sep], type: 0), .second(type: 0),
                    .special(ids: [sep], type: 0),
                ])
        case "TemplateProcessing":
            return PostProcessor(
                single: try template(json["single"], json["special_tokens"]),
                pair: try template(json["pair"], json["special_tokens"]))
        case "Sequence":
            return try (json["processors"]?.array ?? []).map(postProcessor).reduce(PostProcessor()) { $0.inside($1) }
        case let type: throw TokenizerError("a post-processor of the unknown type \((type ?? "none").prefix(40))")
        }
    }

    private func template(_ json: JSONValue?, _ special: JSONValue?) throws -> [PostProcessor.Piece] {
        guard let pieces = json?.array else { throw TokenizerError("a TemplateProcessing without its template") }
        return try pieces.map { piece in
            if let sequence = piece["Sequence"] {
                let type = sequence["type_id"]?.integer ?? 0
                switch sequence["id"]?.string {
                case "A": return .first(type: type)
                case "B": return .second(type: type)
                default: throw TokenizerError("a template with an unknown sequence")
                }
            }
            guard let token = piece["SpecialToken"], let name = token["id"]?.string,
                let ids = special?[name]?["ids"]?.array?.map(\.integer), !ids.contains(nil), !ids.contains(where: { $0! < 0 })
            else { throw TokenizerError("a template with a token that has no ids") }
            return .special(ids: ids.map { $0! }, type: token["type_id"]?.integer ?? 0)
        }
    }
}

extension PretrainedTokenizer {
    /// Ids by the tokens' spelling, while a tokenizer is put together.
    struct Lookup {
        let added: [AddedToken]
        let table: TokenTable

        func id(_ token: String?) -> Int? {
            guard let token else { return nil }
            return added.first { $0.content.utf8.elementsEqual(token.utf8) }?.id ?? table.id(token)
        }

        func first(_ tokens: [String]) -> Int? { tokens.lazy.compactMap { id($0) }.first }
    }
}
