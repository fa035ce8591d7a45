/// Reads the tokenizers of published models.
public enum Tokenizers {
    /// Reads a tokenizer from a model's folder or from one file.
    ///
    /// A folder is searched for `tokenizer.json` (Hugging Face's fast tokenizers), `vocab.json` with `merges.txt` (GPT-2), `vocab.txt`
    /// (BERT), `tokenizer.model` or `spiece.model` (SentencePiece), and a single `.gguf`, in this order; special tokens and the chat
    /// template are taken from `tokenizer_config.json` and `chat_template.jinja`, if they are there. A file is read as what its name
    /// ends in. Throws ``FileError`` for a file that cannot be read and ``TokenizerError`` for one that is no tokenizer.
    public static func load(_ path: String) throws -> PretrainedTokenizer {
        if TensorArchives.isFolder(path) {
            for name in ["tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model"]
            where TensorArchives.exists("\(path)/\(name)") { return try load("\(path)/\(name)") }
            let models = try TensorArchives.fileNames(in: path).filter { $0.hasSuffix(".gguf") }
            if models.count == 1 { return try load("\(path)/\(models[0])") }
            throw FileError(path, "no tokenizer in this folder (tokenizer.json, vocab.json, vocab.txt, tokenizer.model)")
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        do {
            let config = try TokenizerConfig(folder: folder)
            var tokenizer: PretrainedTokenizer
            if path.hasSuffix(".gguf") {
                tokenizer = try GGUFTokenizer.read(GGUFFile(path))
            } else if path.hasSuffix(".model") {
                tokenizer = try SentencePieceFile.read(path, config)
            } else if path.hasSuffix(".txt") {
                tokenizer = try wordPiece(path, config)
            } else {
                let root = try JSONValue(file: path)
                tokenizer =
                    root["model"]?.object == nil
                    ? try bytePair(root, merges: folder + "merges.txt", config)
                    : try TokenizerJSON(root).tokenizer(config.specialTokens)
            }
            if let template = config.chatTemplate { tokenizer.chatTemplate = template }
            return tokenizer
        } catch let error as JSONError {
            throw TokenizerError("\(path): not JSON: \(error)")
        } catch let error as TokenizerError {
            throw TokenizerError("\(path): \(error.description)")
        }
    }

    /// Reads a `tokenizer.json` from memory.
    public static func load(json bytes: UnsafeRawBufferPointer) throws -> PretrainedTokenizer {
        do { return try TokenizerJSON(JSONValue(bytes)).tokenizer(TokenizerConfig().specialTokens) } catch let error as JSONError
        {
            throw TokenizerError("not JSON: \(error)")
        }
    }

    /// GPT-2's two files.
    private static func bytePair(_ vocabulary: JSONValue, merges path: String, _ config: TokenizerConfig) throws
        -> PretrainedTokenizer
    {
        guard let members = vocabulary.object?.members else { throw TokenizerError("the vocabulary is no object") }
        let tokens = try members.map { token, value in
            guard let id = value.integer else {
                throw TokenizerError("\(token.debugDescription.prefix(80)) has an id that is no whole number")
            }
            return (token, id)
        }
        let merges = try lines(path).filter { !$0.isEmpty && !$0.utf8.starts(with: "#version".utf8) }.map(TokenizerJSON.merge)
        let model = TokenModel.bytePair(try BytePairModel(vocabulary: tokens, merges: merges))
        let prefix = config.addsPrefixSpace ?? false
        let added = ["<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"].compactMap { token in
            model.table.id(token).map { AddedToken(id: $0, content: token) }
        }
        return try PretrainedTokenizer(
            preTokenizer: .byteLevel(addsPrefixSpace: prefix, splits: Pattern(PreTokenizer.gpt2)), model: model,
            decoder: .byteLevel,
            addedTokens: added, specialTokens: config.specialTokens(.init(added: added, table: model.table)))
    }

    /// BERT's list of tokens, a line each.
    private static func wordPiece(_ path: String, _ config: TokenizerConfig) throws -> PretrainedTokenizer {
        var tokens = try lines(path)
        if tokens.last?.isEmpty == true { tokens.removeLast() }
        let model = TokenModel.wordPiece(try WordPieceModel(vocabulary: tokens.enumerated().map { ($1, $0) }))
        let added = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].compactMap { token in
            model.table.id(token).map { AddedToken(id: $0, content: token) }
        }
        let lookup = PretrainedTokenizer.Lookup(added: added, table: model.table)
        var processor = PostProcessor()
        if let cls = lookup.id("[CLS]"), let sep = lookup.id("[SEP]") {
            processor.single = [.special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep], type: 0)]
            processor.pair = processor.single + [.second(type: 1), .special(ids: [sep], type: 1)]
        }
        let lowercases = config.lowercases ?? true
        return try PretrainedTokenizer(
            normalizer: .bert(cleansText: true, separatesHan: true, stripsAccents: lowercases, lowercases: lowercases),
            preTokenizer: .bert, model: model, postProcessor: processor,
            decoder: .wordPiece(prefix: Array("##".utf8), cleansUp: true),
            addedTokens: added, specialTokens: config.specialTokens(lookup))
    }

    /// The lines of a text file: what lies between line feeds, without the carriage returns of other systems.
    private static func lines(_ path: String) throws -> [String] {
        try readText(path).utf8.split(separator: 10, omittingEmptySubsequences: false).map { line in
            let line = line.last == 13 ? line.dropLast() : line
            return String(decoding: line, as: UTF8.self)
        }
    }
}

/// What `tokenizer_config.json` and `special_tokens_map.json` say beside a tokenizer.
struct TokenizerConfig {
    private var names: [String: String] = [:]
    private(set) var chatTemplate: String?
    private(set) var lowercases: Bool?
    private(set) var addsPrefixSpace: Bool?

    /// Nothing said.
    init() {}

    /// Reads the files of a folder (its name with the slash), where they are.
    init(folder: String) throws {
        for name in ["special_tokens_map.json", "tokenizer_config.json"] where TensorArchives.exists(folder + name) {
            let json = try JSONValue(file: folder + name)
            for (key, value) in json.object?.members ?? [] where key.hasSuffix("_token") {
                if let token = value.string ?? value["content"]?.string { names[key] = token }
            }
            lowercases = json["do_lower_case"]?.bool ?? lowercases
            addsPrefixSpace = json["add_prefix_space"]?.bool ?? addsPrefixSpace
            chatTemplate = Self.template(json["chat_template"]) ?? chatTemplate
        }
        if TensorArchives.exists(folder + "chat_template.jinja") { chatTemplate = try readText(folder + "chat_template.jinja") }
    }

    /// One template, or the default of several with names.
    private static func template(_ json: JSONValue?) -> String? {
        if let text = json?.string { return text }
        let list = json?.array ?? []
        return (list.first { $0["name"]?.string == "default" } ?? list.first)?["template"]?.string
    }

    /// The ids of the special tokens: by the configuration, else by the names that are in use.
    func specialTokens(_ lookup: PretrainedTokenizer.Lookup) -> SpecialTokens {
        var special = SpecialTokens()
        special.beginningOfText =
            lookup.id(names["bos_token"]) ?? lookup.first(["<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>"])
        special.endOfText = lookup.id(names["eos_token"]) ?? lookup.first(["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"])
        special.padding = lookup.id(names["pad_token"]) ?? lookup.first(["<pad>", "[PAD]", "<|pad|>"])
        special.unknown = lookup.id(names["unk_token"])
        special.mask = lookup.id(names["mask_token"]) ?? lookup.first(["[MASK]", "<mask>"])
        special.classification = lookup.id(names["cls_token"]) ?? lookup.first(["[CLS]"])
        special.separator = lookup.id(names["sep_token"]) ?? lookup.first(["[SEP]"])
        return special
    }
}
