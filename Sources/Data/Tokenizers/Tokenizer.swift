/// Turns text into token ids and back.
///
/// ``Tokenizers/load(_:)`` reads those of published models.
public protocol Tokenizer: Sendable {
    /// The ids of a text. With `addSpecialTokens`, the tokens that the model expects around a text (`[CLS]` …) are added where the
    /// tokenizer has such. Throws ``TokenizerError`` on text that it cannot represent.
    func encode(_ text: String, addSpecialTokens: Bool) throws -> [Int]

    /// The text of ids, without special tokens if `skipSpecialTokens`. Bytes that are not UTF-8 become U+FFFD. Throws
    /// ``TokenizerError`` on an id that no tokenizer could have given.
    func decode(_ tokens: [Int], skipSpecialTokens: Bool) throws -> String

    /// One more than the largest id.
    var vocabularySize: Int { get }

    /// A token as the vocabulary spells it (`Ġthe`, `##ing`, `▁a`); nil if no token has this id.
    func token(_ id: Int) -> String?

    /// The id of a token as the vocabulary spells it, compared by Unicode scalars; nil if there is none.
    func id(of token: String) -> Int?

    /// The ids with a meaning of their own.
    var specialTokens: SpecialTokens { get }
}

extension Tokenizer {
    /// The ids of a text, with the special tokens that the model expects around it.
    public func encode(_ text: String) throws -> [Int] { try encode(text, addSpecialTokens: true) }

    /// The text of ids, without special tokens.
    public func decode(_ tokens: [Int]) throws -> String { try decode(tokens, skipSpecialTokens: true) }
}

/// The ids of tokens with a meaning of their own; nil where a tokenizer has none.
public struct SpecialTokens: Sendable, Equatable {
    /// `bos_token`: begins a text.
    public var beginningOfText: Int?
    /// `eos_token`: ends a text; generation stops at it.
    public var endOfText: Int?
    /// `pad_token`: fills a batch up.
    public var padding: Int?
    /// `unk_token`: stands for what the vocabulary lacks.
    public var unknown: Int?
    /// `mask_token`: what masked language models fill in.
    public var mask: Int?
    /// `cls_token`: whose output stands for the whole text.
    public var classification: Int?
    /// `sep_token`: between and after texts.
    public var separator: Int?

    /// None of them.
    public init() {}
}

/// The text of tokens that come one at a time, as in generation: a character is given out as soon as its last byte is there, never
/// in halves.
///
/// The text of all calls together is `decode` of all tokens. A call decodes only the tokens since the last piece of text.
public struct StreamingDecoder: Sendable {
    private let tokenizer: any Tokenizer
    private let skipSpecialTokens: Bool
    /// Tokens whose text is needed to see where the new one starts.
    private var window: [Int] = []
    /// Bytes of the window's text that were given out, and tokens since then.
    private var given = 0, waiting = 0

    /// A decoder at the start of a text.
    public init(_ tokenizer: any Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
    }

    /// The text that the token completes; empty as long as a character is not whole.
    public mutating func append(_ token: Int) throws -> String {
        window.append(token)
        let text = Array(try tokenizer.decode(window, skipSpecialTokens: skipSpecialTokens).utf8)
        // The last bytes of a character are still to come: at most three, in as many tokens.
        var stable = text.count
        if waiting < 4 {
            for _ in 0..<3 where stable >= 3 && text[(stable - 3)..<stable].elementsEqual([0xEF, 0xBF, 0xBD]) { stable -= 3 }
        }
        let isOpen = stable < text.count
        guard stable > given else {
            waiting = isOpen ? waiting + 1 : 0
            return ""
        }
        let new = String(decoding: text[given..<stable], as: UTF8.self)
        given = stable
        waiting = isOpen ? 1 : 0
        if !isOpen { try shorten(token) }
        return new
    }

    /// The next token needs the last alone, unless that begins in the middle of a character.
    private mutating func shorten(_ token: Int) throws {
        let alone = try tokenizer.decode([token], skipSpecialTokens: skipSpecialTokens)
        if alone.isEmpty || alone.unicodeScalars.first == "\u{FFFD}" { return }
        window = [token]
        given = alone.utf8.count
    }

    /// What is left at the end: U+FFFD for bytes of an unfinished character, otherwise nothing.
    public mutating func finish() throws -> String {
        let text = window.isEmpty ? [] : Array(try tokenizer.decode(window, skipSpecialTokens: skipSpecialTokens).utf8)
        defer { (window, given, waiting) = ([], 0, 0) }
        return text.count > given ? String(decoding: text[given...], as: UTF8.self) : ""
    }
}
