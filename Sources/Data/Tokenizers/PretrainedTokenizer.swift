/// A tokenizer of a published model, put together as Hugging Face's library does it: added tokens are found, the text between them is
/// normalised and cut into words, a model turns words into tokens, and what the model expects around a text is added.
///
/// Made by ``Tokenizers/load(_:)``. Ids equal those of Hugging Face's `tokenizers` for the same file.
public struct PretrainedTokenizer: Tokenizer {
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let model: TokenModel
    let postProcessor: PostProcessor
    let decoder: TokenDecoder?
    let addedTokens: [AddedToken]
    private let addedByID: [Int: AddedToken]
    private let plain: AddedTokens
    private let normalized: AddedTokens
    public let specialTokens: SpecialTokens
    public let vocabularySize: Int
    /// The text by which conversations are laid out for the model (Jinja), if one came with the files.
    public internal(set) var chatTemplate: String?
    /// Whether special tokens that a text spells are read as plain text: for text of users, who must not end a turn by writing `</s>`.
    /// False by default, as elsewhere.
    public var readsSpecialTokensAsText = false

    init(
        normalizer: Normalizer? = nil, preTokenizer: PreTokenizer? = nil, model: TokenModel,
        postProcessor: PostProcessor = .init(),
        decoder: TokenDecoder? = nil, addedTokens: [AddedToken] = [], specialTokens: SpecialTokens = .init()
    ) throws {
        self.normalizer = normalizer
        self.preTokenizer = preTokenizer
        self.model = model
        self.postProcessor = postProcessor
        self.decoder = decoder
        self.addedTokens = addedTokens
        var special = specialTokens
        if special.unknown == nil { special.unknown = model.unknown }
        self.specialTokens = special
        var byID: [Int: AddedToken] = [:]
        var idEnd = model.table.idEnd
        for token in addedTokens {
            if token.content.isEmpty { throw TokenizerError("the added token \(token.id) is empty") }
            if token.id < 0 || token.id > Int(Int32.max) - 1 {
                throw TokenizerError("the added token \(token.content.debugDescription.prefix(80)) has the id \(token.id)")
            }
            byID[token.id] = token
            idEnd = max(idEnd, token.id + 1)
        }
        addedByID = byID
        vocabularySize = idEnd
        plain = AddedTokens(addedTokens.filter { !$0.isNormalized }) { Array($0.content.utf8) }
        normalized = try AddedTokens(addedTokens.filter(\.isNormalized)) {
            let content = Array($0.content.utf8)
            return try normalizer?.apply(content) ?? content
        }
    }

    public func encode(_ text: String, addSpecialTokens: Bool) throws -> [Int] {
        let ids = try plainIDs(text)
        return addSpecialTokens ? postProcessor.apply(ids).ids : ids
    }

    /// Two texts as one sequence, as sentence-pair models read them, and for each token which text it belongs to
    /// (`token_type_ids`: 0 or 1).
    public func encode(_ first: String, _ second: String) throws -> (ids: [Int], types: [Int]) {
        postProcessor.apply(try plainIDs(first), try plainIDs(second))
    }

    /// The tokens of `text` without special tokens around it; `mark` is left out of what is no added token.
    func plainIDs(_ text: String, without mark: [UInt8]? = nil) throws -> [Int] {
        var ids: [Int] = []
        var scratch = EncodingScratch()
        var text = text
        try text.withUTF8 { utf8 in
            let bytes = UnsafeRawBufferPointer(utf8)
            if plain.isEmpty {
                try encodeSegment(Array(bytes), isFirst: true, mark, &ids, &scratch)
            } else {
                try plain.split(bytes, skippingSpecial: readsSpecialTokensAsText) { range, token in
                    if let token {
                        ids.append(token.id)
                    } else {
                        try encodeSegment(Array(bytes[range]), isFirst: range.lowerBound == 0, mark, &ids, &scratch)
                    }
                }
            }
        }
        return ids
    }

    private func encodeSegment(
        _ segment: [UInt8], isFirst: Bool, _ mark: [UInt8]?, _ ids: inout [Int], _ scratch: inout EncodingScratch
    ) throws {
        let text = try normalizer?.apply(segment) ?? segment
        if normalized.isEmpty {
            try encodeWords(text, isFirst: isFirst, mark, &ids, &scratch)
            return
        }
        try text.withUnsafeBytes { bytes in
            try normalized.split(bytes, skippingSpecial: readsSpecialTokensAsText) { range, token in
                if let token {
                    ids.append(token.id)
                } else {
                    try encodeWords(Array(bytes[range]), isFirst: isFirst && range.lowerBound == 0, mark, &ids, &scratch)
                }
            }
        }
    }

    private func encodeWords(
        _ text: [UInt8], isFirst: Bool, _ mark: [UInt8]?, _ ids: inout [Int], _ scratch: inout EncodingScratch
    ) throws {
        var pieces = TextPieces(mark.map { text.removing($0) } ?? text, isFirst: isFirst)
        try preTokenizer?.apply(&pieces)
        try scratch.encode(pieces, model, into: &ids)
    }

    /// The text of ids. Ids that have no token (the rows by which models fill their vocabulary up) give no text; negative ones throw.
    public func decode(_ tokens: [Int], skipSpecialTokens: Bool) throws -> String {
        var pieces: [[UInt8]] = []
        pieces.reserveCapacity(tokens.count)
        for id in tokens {
            if id < 0 { throw TokenizerError("there is no token \(id)") }
            if let added = addedByID[id] {
                if !(added.isSpecial && skipSpecialTokens) { pieces.append(Array(added.content.utf8)) }
            } else if let bytes = model.table.bytes(id) {
                pieces.append(Array(bytes))
            }
        }
        if let decoder {
            return String(decoding: Array(try decoder.apply(pieces).joined()), as: UTF8.self)
        }
        return String(decoding: Array(pieces.joined(separator: [0x20])), as: UTF8.self)
    }

    public func token(_ id: Int) -> String? { addedByID[id]?.content ?? model.table.token(id) }

    public func id(of token: String) -> Int? {
        addedTokens.first { $0.content.utf8.elementsEqual(token.utf8) }?.id ?? model.table.id(token)
    }
}
