/// Splits the bytes of a CSV file into rows and fields, one row at a time.
struct CSVRows {
    struct Field {
        /// Where the field's bytes are: in the file, or in `unquoted` if quotes had to be taken out of it.
        var range: Range<Int>
        var isQuoted: Bool
        var isCopied: Bool
    }

    private let bytes: UnsafeRawBufferPointer
    private let path: String
    private let options: CSVOptions
    private var place = 0
    private var line = 1
    /// The fields of the current row.
    private(set) var fields: [Field] = []
    private var unquoted: [UInt8] = []

    private static let quote = UInt8(ascii: "\""), lf = UInt8(ascii: "\n"), cr = UInt8(ascii: "\r")

    init(_ bytes: UnsafeRawBufferPointer, _ path: String, _ options: CSVOptions) {
        (self.bytes, self.path, self.options) = (bytes, path, options)
        place = textStart(bytes)
    }

    /// Reads the next row that is not empty; its line, nil at the end.
    mutating func next() throws -> Int? {
        while place < bytes.count && isLineEnd(bytes[place]) { skipLineEnd() }
        if place >= bytes.count { return nil }
        let first = line, start = place
        fields.removeAll(keepingCapacity: true)
        unquoted.removeAll(keepingCapacity: true)
        while true {
            if place < bytes.count && bytes[place] == Self.quote {
                try quotedField(first, start)
            } else {
                try plainField(first, start)
            }
            if fields.count > options.maxColumns {
                throw CSVError(path, first, "more than \(options.maxColumns) fields in a row")
            }
            if place >= bytes.count { return first }
            if bytes[place] == options.delimiter {
                place += 1
                continue
            }
            skipLineEnd()
            return first
        }
    }

    private mutating func plainField(_ first: Int, _ rowStart: Int) throws {
        let start = place
        while place < bytes.count {
            let byte = bytes[place]
            if byte == options.delimiter || isLineEnd(byte) { break }
            if byte == Self.quote { throw CSVError(path, first, "a quote in the middle of field \(fields.count + 1)") }
            place += 1
            if place - rowStart > options.maxRowBytes { throw tooLong(first) }
        }
        fields.append(Field(range: start..<place, isQuoted: false, isCopied: false))
    }

    private mutating func quotedField(_ first: Int, _ rowStart: Int) throws {
        place += 1
        let start = unquoted.count
        while true {
            if place >= bytes.count { throw CSVError(path, first, "the quote of field \(fields.count + 1) is not closed") }
            if place - rowStart > options.maxRowBytes { throw tooLong(first) }
            let byte = bytes[place]
            place += 1
            if byte == Self.quote {
                if place < bytes.count && bytes[place] == Self.quote { place += 1 } else { break }
            } else if byte == Self.lf || (byte == Self.cr && !(place < bytes.count && bytes[place] == Self.lf)) {
                line += 1
            }
            unquoted.append(byte)
        }
        if place < bytes.count && bytes[place] != options.delimiter && !isLineEnd(bytes[place]) {
            throw CSVError(path, first, "text after the closing quote of field \(fields.count + 1)")
        }
        fields.append(Field(range: start..<unquoted.count, isQuoted: true, isCopied: true))
    }

    private func tooLong(_ first: Int) -> CSVError {
        CSVError(path, first, "the row is longer than \(options.maxRowBytes) bytes")
    }

    private func isLineEnd(_ byte: UInt8) -> Bool { byte == Self.lf || byte == Self.cr }

    private mutating func skipLineEnd() {
        if bytes[place] == Self.cr && place + 1 < bytes.count && bytes[place + 1] == Self.lf { place += 1 }
        place += 1
        line += 1
    }

    /// A field of the current row as text. Throws if it is no UTF-8.
    func text(_ index: Int) throws -> String {
        let field = fields[index]
        let text =
            field.isCopied
            ? String(validating: unquoted[field.range], as: UTF8.self) : String(validating: bytes[field.range], as: UTF8.self)
        guard let text else { throw CSVError(path, line, "field \(index + 1) is no UTF-8") }
        return text
    }

    /// A field's bytes without spaces and tabs around them.
    func trimmed(_ index: Int) -> [UInt8] {
        let field = fields[index]
        var slice = field.isCopied ? unquoted[field.range] : ArraySlice(bytes[field.range])
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        while let byte = slice.first, isBlank(byte) { slice.removeFirst() }
        while let byte = slice.last, isBlank(byte) { slice.removeLast() }
        return Array(slice)
    }
}

/// Collects a column: as whole numbers, then, from the first that is none, as numbers, then as text.
struct CSVColumnBuilder {
    private let wanted: CSVColumnType?
    private(set) var column: CSVColumn
    /// The text of all values as long as the type is being found out, for turning back.
    private var texts: [String?] = []

    init(wanted: CSVColumnType?) {
        self.wanted = wanted
        column =
            switch wanted ?? .integer {
            case .integer: .integer([])
            case .number: .number([])
            case .text: .text([])
            }
    }

    mutating func appendMissing() {
        append(integer: nil, number: nil, text: nil)
        if wanted == nil && column.type != .text { texts.append(nil) }
    }

    /// Adds a value. Answers what is wrong with it for the type that was asked for.
    mutating func append(_ text: String, isQuoted: Bool) throws -> String? {
        let plain = text.utf8.drop { $0 == 0x20 || $0 == 0x09 }
        let core = String(Substring(plain).reversedTrim())
        // A number in quotes is a number, as spreadsheets write them.
        let integer = column.type == .integer ? Int(core) : nil
        let number = column.type == .text ? nil : integer.map(Double.init) ?? Self.number(core)
        if let wanted {
            if wanted == .integer && integer == nil { return "\"\(text.prefix(40))\" is no whole number" }
            if wanted == .number && number == nil { return "\"\(text.prefix(40))\" is no number" }
        } else {
            if column.type != .text { texts.append(text) }
            if column.type == .integer && integer == nil { widen(number != nil) }
            if column.type == .number && number == nil { becomeText() }
            // Turning into text has taken this value over.
            if column.type == .text && !texts.isEmpty {
                texts = []
                return nil
            }
        }
        append(integer: integer, number: number, text: text)
        return nil
    }

    /// A number as Swift reads it, without the hexadecimal forms; NaN and infinity by their names.
    private static func number(_ text: String) -> Double? {
        if text.utf8.contains(where: { $0 == UInt8(ascii: "x") || $0 == UInt8(ascii: "X") }) { return nil }
        return Double(text)
    }

    private mutating func widen(_ toNumbers: Bool) {
        guard case .integer(let values) = column else { return }
        if toNumbers { column = .number(values.map { $0.map(Double.init) }) } else { becomeText() }
    }

    private mutating func becomeText() { column = .text(texts) }

    private mutating func append(integer: Int?, number: Double?, text: String?) {
        switch column {
        case .integer(var values):
            column = .text([])  // lets go of the array, so that it grows in place
            values.append(integer)
            column = .integer(values)
        case .number(var values):
            column = .text([])
            values.append(number)
            column = .number(values)
        case .text(var values):
            column = .integer([])
            values.append(text)
            column = .text(values)
        }
    }
}

extension Substring {
    /// Without blanks at the end.
    fileprivate func reversedTrim() -> Substring {
        var utf8 = self.utf8
        while let last = utf8.last, last == 0x20 || last == 0x09 { utf8.removeLast() }
        return Substring(utf8)
    }
}
