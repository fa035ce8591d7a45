/// What is asked of every scalar of a text, by a table: the categories of Unicode, white space, letters.
enum ScalarTable {
    /// Scalars below this have an entry; those above are private use or unassigned, but for a few.
    private static let end: UInt32 = 0x32400

    /// Category in the lower five bits, then White_Space, then Alphabetic.
    private nonisolated(unsafe) static let table: UnsafePointer<UInt8> = {
        let table = UnsafeMutablePointer<UInt8>.allocate(capacity: Int(end))
        for value in 0..<end { table[Int(value)] = entry(value) }
        return UnsafePointer(table)
    }()

    private static func entry(_ value: UInt32) -> UInt8 {
        guard let properties = Unicode.Scalar(value)?.properties else { return number(.surrogate) }
        return number(properties.generalCategory) | (properties.isWhitespace ? 0x20 : 0) | (properties.isAlphabetic ? 0x40 : 0)
    }

    @inline(__always) private static func flags(_ value: UInt32) -> UInt8 {
        value < end ? table[Int(value)] : entry(value)
    }

    /// The category as a bit, to be tested against a ``CategorySet``.
    @inline(__always) static func category(_ value: UInt32) -> UInt32 { 1 << UInt32(flags(value) & 0x1F) }
    @inline(__always) static func isWhitespace(_ value: UInt32) -> Bool {
        value < 0x80 ? value == 0x20 || (value >= 9 && value <= 13) : flags(value) & 0x20 != 0
    }
    @inline(__always) static func isAlphabetic(_ value: UInt32) -> Bool {
        value < 0x80 ? (value | 0x20) &- 0x61 < 26 : flags(value) & 0x40 != 0
    }

    /// All kinds of punctuation.
    static let punctuation = categories(named: "P")!

    /// Categories by their short names; a single letter stands for all of its kind.
    static func categories(named name: String) -> UInt32? {
        switch name {
        case "L", "Letter": bits(.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter)
        case "Lu", "Uppercase_Letter": bits(.uppercaseLetter)
        case "Ll", "Lowercase_Letter": bits(.lowercaseLetter)
        case "Lt", "Titlecase_Letter": bits(.titlecaseLetter)
        case "LC", "L&": bits(.uppercaseLetter, .lowercaseLetter, .titlecaseLetter)
        case "Lm", "Modifier_Letter": bits(.modifierLetter)
        case "Lo", "Other_Letter": bits(.otherLetter)
        case "M", "Mark": bits(.nonspacingMark, .spacingMark, .enclosingMark)
        case "Mn", "Nonspacing_Mark": bits(.nonspacingMark)
        case "Mc", "Spacing_Mark": bits(.spacingMark)
        case "Me", "Enclosing_Mark": bits(.enclosingMark)
        case "N", "Number": bits(.decimalNumber, .letterNumber, .otherNumber)
        case "Nd", "Decimal_Number": bits(.decimalNumber)
        case "Nl", "Letter_Number": bits(.letterNumber)
        case "No", "Other_Number": bits(.otherNumber)
        case "P", "Punctuation":
            bits(
                .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
                .finalPunctuation, .otherPunctuation)
        case "Pc": bits(.connectorPunctuation)
        case "Pd": bits(.dashPunctuation)
        case "Ps": bits(.openPunctuation)
        case "Pe": bits(.closePunctuation)
        case "Pi": bits(.initialPunctuation)
        case "Pf": bits(.finalPunctuation)
        case "Po": bits(.otherPunctuation)
        case "S", "Symbol": bits(.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol)
        case "Sm": bits(.mathSymbol)
        case "Sc": bits(.currencySymbol)
        case "Sk": bits(.modifierSymbol)
        case "So": bits(.otherSymbol)
        case "Z", "Separator": bits(.spaceSeparator, .lineSeparator, .paragraphSeparator)
        case "Zs": bits(.spaceSeparator)
        case "Zl": bits(.lineSeparator)
        case "Zp": bits(.paragraphSeparator)
        case "C", "Other": bits(.control, .format, .surrogate, .privateUse, .unassigned)
        case "Cc": bits(.control)
        case "Cf": bits(.format)
        case "Co": bits(.privateUse)
        case "Cn": bits(.unassigned)
        default: nil
        }
    }

    static func bits(_ categories: Unicode.GeneralCategory...) -> UInt32 {
        categories.reduce(0) { $0 | 1 << UInt32(number($1)) }
    }

    private static func number(_ category: Unicode.GeneralCategory) -> UInt8 {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        default: 29
        }
    }
}

/// Reading valid UTF-8 scalar by scalar.
enum UTF8Scalar {
    /// The scalar that starts at `i`, and its bytes.
    @inline(__always) static func at(_ bytes: UnsafeRawBufferPointer, _ i: Int) -> (value: UInt32, length: Int) {
        let first = UInt32(bytes[i])
        if first < 0x80 { return (first, 1) }
        if first < 0xE0 { return ((first & 0x1F) << 6 | next(bytes, i + 1), 2) }
        if first < 0xF0 { return ((first & 0xF) << 12 | next(bytes, i + 1) << 6 | next(bytes, i + 2), 3) }
        return ((first & 7) << 18 | next(bytes, i + 1) << 12 | next(bytes, i + 2) << 6 | next(bytes, i + 3), 4)
    }

    @inline(__always) private static func next(_ bytes: UnsafeRawBufferPointer, _ i: Int) -> UInt32 { UInt32(bytes[i] & 0x3F) }

    /// Bytes of the scalar with this first byte.
    @inline(__always) static func length(_ first: UInt8) -> Int {
        first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    /// Where the scalar before `i` starts.
    @inline(__always) static func before(_ bytes: UnsafeRawBufferPointer, _ i: Int) -> Int {
        var start = i - 1
        while bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    /// Adds a scalar's bytes.
    @inline(__always) static func append(_ value: UInt32, to bytes: inout [UInt8]) {
        if value < 0x80 {
            bytes.append(UInt8(value))
        } else if let scalar = Unicode.Scalar(value) {
            bytes.append(contentsOf: UTF8.encode(scalar)!)
        }
    }

    /// The scalars of a text with their bytes' ranges.
    static func forEach(_ bytes: UnsafeRawBufferPointer, _ body: (_ value: UInt32, _ range: Range<Int>) -> Void) {
        var i = 0
        while i < bytes.count {
            let (value, length) = at(bytes, i)
            body(value, i..<(i + length))
            i += length
        }
    }
}
