extension PretrainedTokenizer {
    /// Writes a byte-level BPE tokenizer as `tokenizer.json`, which Hugging Face's library reads; an earlier file stays until this one
    /// is complete. Throws ``TokenizerError`` for tokenizers of other kinds, whose files there are already.
    public func save(_ path: String) throws {
        guard case .bytePair(let model) = self.model, case .byteLevel(let addsPrefixSpace, _?)? = preTokenizer,
            case .byteLevel? = decoder,
            normalizer == nil
        else { throw TokenizerError("only byte-level BPE tokenizers can be written") }
        var json = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
        json += addedTokens.map { token in
            "{\"id\":\(token.id),\"content\":\(jsonQuoted(token.content)),\"single_word\":\(token.isSingleWord),\"lstrip\":\(token.stripsLeft),"
                + "\"rstrip\":\(token.stripsRight),\"normalized\":\(token.isNormalized),\"special\":\(token.isSpecial)}"
        }.joined(separator: ",")
        let step = "{\"type\":\"ByteLevel\",\"add_prefix_space\":\(addsPrefixSpace),\"trim_offsets\":true,\"use_regex\":true}"
        json += "],\"normalizer\":null,\"pre_tokenizer\":\(step),\"post_processor\":null,\"decoder\":\(step),"
        json +=
            "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
        json += "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":\(model.ignoresMerges),\"vocab\":{"
        json += model.table.all.sorted { $0.id < $1.id }.map { "\(jsonQuoted($0.token)):\($0.id)" }.joined(separator: ",")
        json += "},\"merges\":["
        json += model.merges.map { merge in
            "[\(jsonQuoted(model.table.token(Int(merge.left))!)),\(jsonQuoted(model.table.token(Int(merge.right))!))]"
        }.joined(separator: ",")
        json += "]}}"
        var file = try AtomicFile(path)
        try Array(json.utf8).withUnsafeBytes { try file.write($0) }
        try file.commit()
    }
}
