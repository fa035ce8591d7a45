/// What is done to a text before it is split: the `normalizer` of a `tokenizer.json`.
indirect enum Normalizer: Sendable {
    case form(UnicodeForm)
    case lowercase
    case stripAccents
    case bert(cleansText: Bool, separatesHan: Bool, stripsAccents: Bool, lowercases: Bool)
    case replace(Pattern, with: [UInt8])
    case prepend([UInt8])
    case strip(left: Bool, right: Bool)
    case characterMap(CharacterMap, longest: Bool)
    case byteLevel
    /// White space at the ends and runs of it become one blank: SentencePiece's `remove_extra_whitespaces`.
    case collapseSpaces
    case nmt
    case sequence([Normalizer])

    /// The normalised text, UTF-8.
    func apply(_ text: [UInt8]) throws -> [UInt8] {
        switch self {
        case .form(let form): return form.apply(text)
        case .lowercase: return Self.lowercased(text)
        case .stripAccents:
            let marks = ScalarTable.categories(named: "M")!
            return Self.map(text) { value, result in
                if ScalarTable.category(value) & marks == 0 { UTF8Scalar.append(value, to: &result) }
            }
        case .bert(let cleansText, let separatesHan, let stripsAccents, let lowercases):
            var text = text
            if cleansText { text = Self.cleaned(text) }
            if separatesHan { text = Self.separatingHan(text) }
            if stripsAccents {
                let marks = ScalarTable.categories(named: "Mn")!
                text = Self.map(UnicodeForm.nfd.apply(text)) { value, result in
                    if ScalarTable.category(value) & marks == 0 { UTF8Scalar.append(value, to: &result) }
                }
            }
            return lowercases ? Self.lowercased(text) : text
        case .replace(let pattern, let replacement):
            var result: [UInt8] = []
            try text.withUnsafeBytes { bytes in
                var position = 0
                try pattern.forEachMatch(bytes) { match in
                    result += bytes[position..<match.lowerBound]
                    result += replacement
                    position = match.upperBound
                }
                result += bytes[position...]
            }
            return result
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .strip(let left, let right):
            return text.withUnsafeBytes { bytes in
                var start = 0, end = bytes.count
                while left, start < end, case let (value, length) = UTF8Scalar.at(bytes, start), ScalarTable.isWhitespace(value) {
                    start += length
                }
                while right, end > start, case let before = UTF8Scalar.before(bytes, end),
                    ScalarTable.isWhitespace(UTF8Scalar.at(bytes, before).value)
                { end = before }
                return Array(bytes[start..<end])
            }
        case .characterMap(let map, let longest): return longest ? map.applyLongest(text) : map.apply(text)
        case .byteLevel:
            var result: [UInt8] = []
            text.withUnsafeBytes { ByteAlphabet.encode($0, into: &result) }
            return result
        case .collapseSpaces:
            var result: [UInt8] = []
            var pending = false
            for byte in text {
                if byte == 0x20 {
                    pending = !result.isEmpty
                } else {
                    if pending { result.append(0x20) }
                    pending = false
                    result.append(byte)
                }
            }
            return result
        case .nmt:
            return Self.map(text) { value, result in
                switch value {
                case 1...8, 0xB, 0xE...0x1F, 0x7F, 0x8F, 0x9F: break
                case 9, 0xA, 0xC, 0xD, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: result.append(0x20)
                default: UTF8Scalar.append(value, to: &result)
                }
            }
        case .sequence(let steps): return try steps.reduce(text) { try $1.apply($0) }
        }
    }

    private static func map(_ text: [UInt8], _ body: (UInt32, inout [UInt8]) -> Void) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        text.withUnsafeBytes { UTF8Scalar.forEach($0) { value, _ in body(value, &result) } }
        return result
    }

    /// Scalar by scalar, without regard to what stands around it.
    private static func lowercased(_ text: [UInt8]) -> [UInt8] {
        map(text) { value, result in
            if value < 0x80 {
                result.append(value &- 0x41 < 26 ? UInt8(value + 0x20) : UInt8(value))
            } else if let scalar = Unicode.Scalar(value) {
                result += scalar.properties.lowercaseMapping.utf8
            }
        }
    }

    /// BERT: no control characters, and every white space a blank.
    private static func cleaned(_ text: [UInt8]) -> [UInt8] {
        let controls =
            ScalarTable.categories(named: "Cc")! | ScalarTable.categories(named: "Cf")! | ScalarTable.categories(named: "Co")!
        return map(text) { value, result in
            if ScalarTable.isWhitespace(value)
                && (value < 0x80 ? value == 0x20 || value == 9 || value == 10 || value == 13 : value != 0x85)
            {
                result.append(0x20)
            } else if value == 0 || value == 0xFFFD || ScalarTable.category(value) & controls != 0 {
                return
            } else {
                UTF8Scalar.append(value, to: &result)
            }
        }
    }

    /// BERT: blanks around every Han character.
    private static func separatingHan(_ text: [UInt8]) -> [UInt8] {
        map(text) { value, result in
            switch value {
            case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
                0xF900...0xFAFF, 0x2F800...0x2FA1F:
                result.append(0x20)
                UTF8Scalar.append(value, to: &result)
                result.append(0x20)
            default: UTF8Scalar.append(value, to: &result)
            }
        }
    }
}
