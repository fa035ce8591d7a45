/// How texts are split before byte-pair encoding, by the name in `tokenizer.ggml.pre` (llama.cpp's table; MIT licence).
struct GGUFSplit {
    /// One after the other; each cuts the pieces of the one before, and what lies between matches stays a piece.
    let patterns: [String]
    /// Whether pieces are written in the alphabet of bytes; otherwise blanks become ▁.
    let isByteLevel: Bool
    let ignoresMerges: Bool
    let addsBeginning: Bool

    /// Throws for a name that is not known: almost the right split gives wrong ids.
    init(_ name: String) throws {
        guard let patterns = Self.patterns(name) else {
            throw TokenizerError("the pre-tokenizer \(name.debugDescription.prefix(60)) is not known here")
        }
        self.patterns = patterns
        isByteLevel = !["gemma4", "granite-embed-multi-311m", "sarvam-moe"].contains(name)
        ignoresMerges = [
            "falcon-h1", "falcon3", "glm4", "glm5", "granite-embed-multi-97m", "jina-v5-nano", "lfm2", "llama-bpe", "llama-v3",
            "llama3", "midm-2.0", "minicpm5", "pixtral", "tekken", "youtu",
        ].contains(name)
        addsBeginning = [
            "chameleon", "falcon-h1", "falcon3", "jina-v5-nano", "lfm2", "llama-bpe", "llama-v3", "llama3", "midm-2.0", "pixtral",
            "tekken",
        ].contains(name)
    }

    private static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#
    private static let contractions = #"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"#
    private static let blanks = #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private static func patterns(_ name: String) -> [String]? {
        switch name {
        case "", "default":
            return [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, #"[0-9][0-9][0-9]"#]
        case "minicpm5":
            return [#"\p{N}{1,3}"#, #"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*\#(blanks)"#]
        case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "dbrx",
            "smaug-bpe", "chatglm-bpe", "glm4", "glm5":
            return [#"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*\#(blanks)"#]
        case "deepseek-llm":
            return [
                #"[\r\n]"#,
                #"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"#,
                #"\s?[!-/:-~！-／：-～‘-‟　-。]+"#, #"\s+$"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}+"#,
            ]
        case "deepseek-coder":
            return [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}"#]
        case "deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm":
            return [
                #"\p{N}{1,3}"#, #"[一-龥぀-ゟ゠-ヿ]+"#,
                ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*\##(blanks)"##,
            ]
        case "spark2_5":
            return [
                #"\p{N}{1,3}"#, #"[一-龥぀-ゟ゠-ヿ]+"#,
                ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##,
                #"\p{N}"#,
            ]
        case "youtu":
            return [
                #"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"#,
                #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+\#(contractions)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*\#(contractions)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*\#(blanks)"#,
            ]
        case "falcon":
            return [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, #"[0-9][0-9][0-9]"#]
        case "mpt", "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
            "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "olmo", "jais", "exaone4", "trillion", "granite-docling":
            return [gpt2]
        case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2":
            return [#"\p{N}"#, gpt2]
        case "jais-2":
            return [
                #"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"#
            ]
        case "gemma4", "granite-embed-multi-311m", "sarvam-moe":
            return [#"[^\n]+|[\n]+"#]
        case "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "megrez", "hunyuan", "grok-2", "solar-open":
            return [#"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*\#(blanks)"#]
        case "qwen35":
            return [#"\#(contractions)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*\#(blanks)"#]
        case "poro-chat", "bloom", "gpt3-finnish":
            return [#" ?[^(\s|.,!?…。，、।۔،)]+"#]
        case "viking":
            return [#" ?[^(\s|.,!?…。，、।۔،)]+"#, #"\p{N}"#]
        case "tekken":
            return [
                #"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*\#(blanks)"#
            ]
        case "exaone-moe":
            return [
                #"\#(contractions)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]
        case "chameleon":
            return [
                #"<sentinel:[0-9]+>"#, #"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"#, #"([\t\n]|    |  )"#, #"\p{N}"#,
                #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
            ]
        case "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2":
            return [
                #"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+\#(contractions)?|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*\#(contractions)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*\#(blanks)"#
            ]
        case "granite-embed-multi-97m":
            return [
                #"[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))*((?=[\p{L}\p{M}])([^A-Z]))+\#(contractions)?|[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))+((?=[\p{L}\p{M}])([^A-Z]))*\#(contractions)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*\#(blanks)"#
            ]
        case "tiny_aya", "cohere2moe":
            return [
                #"\d{1,3}(?=(?:\d{3})*\b)"#,
                #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+\#(contractions)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*\#(contractions)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*\#(blanks)"#,
            ]
        case "bailingmoe", "bailingmoe2", "llada-moe":
            return [
                #"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]
        case "seed-coder":
            return [#"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+\#(blanks)"#]
        case "ufakzeka":
            return [#"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*\#(blanks)"#]
        case "laguna":
            return [#"[^\n]+|[\n]+"#, #"\#(contractions)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*\#(blanks)"#]
        default: return nil
        }
    }
}
