/// A set of scalars in a pattern: `\p{L}`, `[^\s\d]` …
indirect enum ScalarClass: Sendable, Equatable {
    case range(UInt32, UInt32)
    /// Bits of ``ScalarTable/category(_:)``.
    case categories(UInt32)
    case whitespace
    case alphabetic
    case any
    case union([ScalarClass])
    case intersection([ScalarClass])
    case not(ScalarClass)

    func contains(_ value: UInt32) -> Bool {
        switch self {
        case .range(let low, let high): value >= low && value <= high
        case .categories(let bits): ScalarTable.category(value) & bits != 0
        case .whitespace: ScalarTable.isWhitespace(value)
        case .alphabetic: ScalarTable.isAlphabetic(value)
        case .any: true
        case .union(let parts): parts.contains { $0.contains(value) }
        case .intersection(let parts): parts.allSatisfy { $0.contains(value) }
        case .not(let part): !part.contains(value)
        }
    }

    /// `\w`: letters, marks, decimal numbers, connectors, joiners (Unicode's annex 18).
    static let word: ScalarClass = .union([
        .alphabetic,
        .categories(
            ScalarTable.categories(named: "M")! | ScalarTable.categories(named: "Nd")! | ScalarTable.categories(named: "Pc")!),
        .range(0x200C, 0x200D),
    ])
    static let digit: ScalarClass = .categories(ScalarTable.categories(named: "Nd")!)

    /// Properties by name, as in `\p{…}`.
    static func property(_ name: String) -> ScalarClass? {
        if let bits = ScalarTable.categories(named: name) { return .categories(bits) }
        return switch name {
        case "Alphabetic", "Alpha": .alphabetic
        case "White_Space", "Space", "space": .whitespace
        case "Any": .any
        case "Han", "Script=Han", "sc=Han": han
        case "Hiragana", "Script=Hiragana": .union([.range(0x3041, 0x3096), .range(0x309D, 0x309F), .range(0x1B001, 0x1B11F)])
        case "Katakana", "Script=Katakana":
            .union([
                .range(0x30A1, 0x30FA), .range(0x30FD, 0x30FF), .range(0x31F0, 0x31FF), .range(0xFF66, 0xFF6F),
                .range(0xFF71, 0xFF9D),
            ])
        case "Hangul", "Script=Hangul":
            .union([.range(0x1100, 0x11FF), .range(0x3131, 0x318E), .range(0xA960, 0xA97C), .range(0xAC00, 0xD7FB)])
        case "Cyrillic", "Script=Cyrillic":
            .union([
                .range(0x400, 0x484), .range(0x487, 0x52F), .range(0x1C80, 0x1C88), .range(0x2DE0, 0x2DFF),
                .range(0xA640, 0xA69F),
            ])
        case "Latin", "Script=Latin":
            .intersection([
                .alphabetic,
                .union([
                    .range(0x41, 0x24F), .range(0x250, 0x2AF), .range(0x1E00, 0x1EFF), .range(0x2C60, 0x2C7F),
                    .range(0xA722, 0xA7FF), .range(0xAB30, 0xAB64), .range(0xFB00, 0xFB06), .range(0xFF21, 0xFF5A),
                ]),
            ])
        case "Greek", "Script=Greek": .intersection([.alphabetic, .union([.range(0x370, 0x3FF), .range(0x1F00, 0x1FFF)])])
        default: nil
        }
    }

    private static let han: ScalarClass = .union([
        .range(0x2E80, 0x2E99), .range(0x2E9B, 0x2EF3), .range(0x2F00, 0x2FD5), .range(0x3005, 0x3005), .range(0x3007, 0x3007),
        .range(0x3021, 0x3029), .range(0x3038, 0x303B), .range(0x3400, 0x4DBF), .range(0x4E00, 0x9FFF), .range(0xF900, 0xFA6D),
        .range(0xFA70, 0xFAD9), .range(0x16FE2, 0x16FE3), .range(0x16FF0, 0x16FF1), .range(0x20000, 0x2A6DF),
        .range(0x2A700, 0x2EBE0), .range(0x2F800, 0x2FA1D), .range(0x30000, 0x323AF),
    ])

    /// The class without regard to case.
    var ignoringCase: ScalarClass {
        switch self {
        case .range(let low, let high) where high - low < 4096:
            var parts: [ScalarClass] = [self]
            for value in low...high { parts += Self.foldings(value).map { .range($0, $0) } }
            return parts.count == 1 ? self : .union(parts)
        case .union(let parts): return .union(parts.map(\.ignoringCase))
        case .not(let part): return .not(part.ignoringCase)
        default: return self
        }
    }

    /// The scalars that differ from one in case alone, if there is one of each.
    private static func foldings(_ value: UInt32) -> [UInt32] {
        // Two that fold to ASCII letters: long s and the Kelvin sign.
        var result: [UInt32] =
            switch value {
            case 0x53, 0x73: [0x17F]
            case 0x4B, 0x6B: [0x212A]
            default: []
            }
        guard let properties = Unicode.Scalar(value)?.properties else { return result }
        for mapping in [properties.lowercaseMapping, properties.uppercaseMapping] {
            let scalars = mapping.unicodeScalars
            if scalars.count == 1, scalars.first!.value != value { result.append(scalars.first!.value) }
        }
        return result
    }
}

extension ScalarClass {
    /// The answers for ASCII, found without the table that only other texts need: scalar v is bit v % 64 of word v / 64.
    var asciiMask: SIMD2<UInt64> {
        var mask = SIMD2<UInt64>()
        for value in 0..<128 where containsASCII(UInt32(value)) { mask[value / 64] |= 1 << UInt64(value % 64) }
        return mask
    }

    private func containsASCII(_ value: UInt32) -> Bool {
        switch self {
        case .categories(let bits): ScalarTable.bits(Unicode.Scalar(UInt8(value)).properties.generalCategory) & bits != 0
        case .union(let parts): parts.contains { $0.containsASCII(value) }
        case .intersection(let parts): parts.allSatisfy { $0.containsASCII(value) }
        case .not(let part): !part.containsASCII(value)
        default: contains(value)
        }
    }
}
