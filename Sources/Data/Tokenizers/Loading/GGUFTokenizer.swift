/// Tokenizers in the metadata of GGUF files, as llama.cpp reads them: `gpt2` (byte-pair encoding with the split that
/// `tokenizer.ggml.pre` names), `llama` (SentencePiece's merges by score), `t5` (unigram) and `bert` (WordPiece).
enum GGUFTokenizer {
    /// The kinds of tokens, by their numbers in the file.
    private enum Kind: Int { case normal = 1, unknown, control, userDefined, unused, byte }

    static func read(_ file: GGUFFile) throws -> PretrainedTokenizer {
        do { return try Reader(file).tokenizer() } catch let error as GGUFError { throw TokenizerError(error.reason) }
    }

    private struct Reader {
        let file: GGUFFile
        let tokens: [String]
        let kinds: [Int]

        init(_ file: GGUFFile) throws {
            self.file = file
            guard let tokens = try file.strings("tokenizer.ggml.tokens"), !tokens.isEmpty else {
                throw TokenizerError("the file has no tokenizer")
            }
            self.tokens = tokens
            kinds = try file.numbers("tokenizer.ggml.token_type").map { $0.map { Int($0) } } ?? tokens.map { _ in 1 }
            if kinds.count != tokens.count { throw TokenizerError("\(kinds.count) token types for \(tokens.count) tokens") }
        }

        func flag(_ key: String) throws -> Bool? { try file.metadata("tokenizer.ggml.\(key)")?.bool }

        func id(_ key: String) throws -> Int? {
            guard let id = try file.metadata("tokenizer.ggml.\(key)_token_id")?.integer else { return nil }
            // Converters write -1 and the like for none.
            return tokens.indices.contains(id) ? id : nil
        }

        func special() throws -> SpecialTokens {
            var special = SpecialTokens()
            special.beginningOfText = try id("bos")
            special.endOfText = try id("eos")
            special.padding = try id("padding")
            special.unknown = try id("unknown")
            special.mask = try id("mask")
            special.classification = try id("cls")
            special.separator = try id("seperator") ?? id("separator")
            return special
        }

        /// Tokens that are found in a text before anything else.
        func added() -> [AddedToken] {
            var result: [AddedToken] = []
            for (id, kind) in kinds.enumerated() where !tokens[id].isEmpty {
                if kind == Kind.control.rawValue || kind == Kind.userDefined.rawValue {
                    result.append(AddedToken(id: id, content: tokens[id], isSpecial: kind == Kind.control.rawValue))
                }
            }
            return result
        }

        func tokenizer() throws -> PretrainedTokenizer {
            var tokenizer: PretrainedTokenizer
            switch try file.metadata("tokenizer.ggml.model")?.string {
            case "gpt2": tokenizer = try bytePair()
            case "gemma4": tokenizer = try bytePair(pre: "gemma4")
            case "llama": tokenizer = try sentencePiece(usesMerges: true)
            case "t5": tokenizer = try sentencePiece(usesMerges: false)
            case "bert": tokenizer = try wordPiece()
            case let model: throw TokenizerError("the tokenizer model \((model ?? "none").prefix(40)) is not known here")
            }
            tokenizer.chatTemplate = try file.metadata("tokenizer.chat_template")?.string
            return tokenizer
        }

        /// Special tokens around a text, as the flags say.
        func around(_ special: SpecialTokens, begins: Bool, ends: Bool) throws -> PostProcessor {
            var piece: [PostProcessor.Piece] = [.first(type: 0)]
            if try flag("add_bos_token") ?? begins, let id = special.beginningOfText {
                piece.insert(.special(ids: [id], type: 0), at: 0)
            }
            if try flag("add_eos_token") ?? ends, let id = special.endOfText { piece.append(.special(ids: [id], type: 0)) }
            return PostProcessor(single: piece, pair: piece + [.second(type: 0)])
        }

        func bytePair(pre name: String? = nil) throws -> PretrainedTokenizer {
            let name = try name ?? file.metadata("tokenizer.ggml.pre")?.string ?? "default"
            let split = try GGUFSplit(name)
            guard let merges = try file.strings("tokenizer.ggml.merges") else { throw TokenizerError("the file has no merges") }
            var pairs: [(String, String)] = []
            for merge in merges {
                // The first blank after the first character: a token may begin with one.
                let utf8 = Array(merge.utf8)
                guard let blank = utf8.dropFirst().firstIndex(of: 0x20) else {
                    throw TokenizerError("the merge \(merge.debugDescription.prefix(80)) is no pair")
                }
                pairs.append(
                    (String(decoding: utf8[..<blank], as: UTF8.self), String(decoding: utf8[(blank + 1)...], as: UTF8.self)))
            }
            let model = try BytePairModel(
                vocabulary: tokens.enumerated().map { ($1, $0) }, merges: pairs, byteFallback: !split.isByteLevel,
                ignoresMerges: split.ignoresMerges,
                allowsCopies: true)
            let special = try special()
            let patterns = try split.patterns.map { PreTokenizer.split(try Pattern($0), .isolated, invert: false) }
            let mark = Array("\u{2581}".utf8)
            return try PretrainedTokenizer(
                normalizer: split.isByteLevel ? nil : .replace(Pattern(literal: " "), with: mark),
                preTokenizer: .sequence(patterns + (split.isByteLevel ? [.byteLevel(addsPrefixSpace: false, splits: nil)] : [])),
                model: .bytePair(model), postProcessor: around(special, begins: split.addsBeginning, ends: false),
                decoder: split.isByteLevel
                    ? .byteLevel : .sequence([.replace(try Pattern(literal: "\u{2581}"), with: [0x20]), .byteFallback, .fuse]),
                addedTokens: added(), specialTokens: special)
        }

        func sentencePiece(usesMerges: Bool) throws -> PretrainedTokenizer {
            guard let scores = try file.numbers("tokenizer.ggml.scores"), scores.count == tokens.count else {
                throw TokenizerError("the file has no score for each token")
            }
            let pieces = try tokens.indices.map { id -> SentencePieceFile.Piece in
                guard let kind = SentencePieceFile.Kind(rawValue: kinds[id]) else {
                    throw TokenizerError("the token type \(kinds[id]) is unknown")
                }
                if kind == .byte, Array(tokens[id].utf8).withUnsafeBytes({ ByteTokens.byte($0) }) == nil {
                    throw TokenizerError("the byte token \(tokens[id].debugDescription.prefix(40)) names no byte")
                }
                return SentencePieceFile.Piece(text: tokens[id], score: Float(scores[id]), kind: kind)
            }
            let special = try special()
            var options = SentencePieceFile.Options()
            options.addsPrefix = try flag("add_space_prefix") ?? true
            options.collapsesSpaces = try flag("remove_extra_whitespaces") ?? false
            if case .array(_, let bytes)? = try file.metadata("tokenizer.ggml.precompiled_charsmap") {
                options.characterMap = bytes.map { UInt8(truncatingIfNeeded: $0.integer ?? 0) }
            }
            if try flag("add_bos_token") ?? usesMerges, let id = special.beginningOfText { options.before = [id] }
            if try flag("add_eos_token") ?? !usesMerges, let id = special.endOfText { options.after = [id] }
            return try SentencePieceFile.tokenizer(pieces, usesMerges: usesMerges, options) { _ in special }
        }

        func wordPiece() throws -> PretrainedTokenizer {
            // The converter marks beginnings of words (▁) where BERT's own list marks what continues them (##).
            let mark = Array("\u{2581}".utf8)
            let plain = tokens.contains { $0.utf8.starts(with: mark) }
            let spelled = tokens.enumerated().map { id, token -> (token: String, id: Int) in
                if !plain || kinds[id] == Kind.control.rawValue || kinds[id] == Kind.unknown.rawValue { return (token, id) }
                if token.utf8.starts(with: mark) { return (String(decoding: token.utf8.dropFirst(3), as: UTF8.self), id) }
                return (token.utf8.first == UInt8(ascii: "[") && token.utf8.last == UInt8(ascii: "]") ? token : "##" + token, id)
            }
            var special = try special()
            let model = try WordPieceModel(vocabulary: spelled, longestWord: .max)
            func find(_ token: String) -> Int? { model.table.id(token) }
            special.classification = special.classification ?? special.beginningOfText ?? find("[CLS]")
            special.separator = special.separator ?? special.endOfText ?? find("[SEP]")
            special.padding = special.padding ?? find("[PAD]")
            special.mask = special.mask ?? find("[MASK]")
            var processor = PostProcessor()
            if let cls = special.classification, let sep = special.separator {
                processor.single = [.special(ids: [cls], type: 0), .first(type: 0), .special(ids: [sep], type: 0)]
                processor.pair = processor.single + [.second(type: 1), .special(ids: [sep], type: 1)]
            }
            return try PretrainedTokenizer(
                normalizer: .bert(cleansText: true, separatesHan: true, stripsAccents: true, lowercases: true),
                preTokenizer: .bert,
                model: .wordPiece(model), postProcessor: processor, decoder: .wordPiece(prefix: Array("##".utf8), cleansUp: true),
                addedTokens: added(), specialTokens: special)
        }
    }
}
