import CoreTensor

/// Why a CSV file could not be read.
public struct CSVError: Error, CustomStringConvertible, Equatable {
    /// The file, as it was named.
    public let path: String
    /// The line of the file where the row begins, from 1; nil if it is about the whole file.
    public let line: Int?
    /// What was wrong.
    public let reason: String
    /// "path, line 7: reason".
    public var description: String { "\(path)\(line.map { ", line \($0)" } ?? ""): \(reason)" }
    init(_ path: String, _ line: Int?, _ reason: String) { (self.path, self.line, self.reason) = (path, line, reason) }
}

/// How a CSV file is written (RFC 4180 unless told otherwise).
public struct CSVOptions: Sendable {
    /// Between two fields.
    public var delimiter: UInt8 = UInt8(ascii: ",")
    /// Whether the first row has the columns' names.
    public var hasHeader = true
    /// Fields that stand for a missing value, after spaces around them are dropped; quoted fields are never missing.
    public var missing: [String] = ["", "NA", "N/A", "NaN", "nan", "null", "?"]
    /// Rows longer than this are refused, so that a file without line ends is not taken into memory.
    public var maxRowBytes = 1 << 20
    /// More columns than this are refused.
    public var maxColumns = 1 << 16
    /// Types of columns by name, where they are not to be found out.
    public var types: [String: CSVColumnType] = [:]
    /// Comma, a header, and the usual words for missing values.
    public init() {}
}

/// What a column holds.
public enum CSVColumnType: String, Sendable, Codable {
    /// Whole numbers, int64.
    case integer
    /// Numbers, float64, NaN where missing.
    case number
    /// Text.
    case text
}

/// A column of a CSV table; nil where a value is missing.
public enum CSVColumn: Sendable, Equatable {
    /// Whole numbers.
    case integer([Int?])
    /// Numbers.
    case number([Double?])
    /// Text.
    case text([String?])

    /// Which kind it is.
    public var type: CSVColumnType {
        switch self {
        case .integer: .integer
        case .number: .number
        case .text: .text
        }
    }
    /// How many values are missing.
    public var missingCount: Int {
        switch self {
        case .integer(let values): values.count { $0 == nil }
        case .number(let values): values.count { $0 == nil }
        case .text(let values): values.count { $0 == nil }
        }
    }
}

/// A CSV file in memory, column by column.
///
/// Fields may be quoted, with `""` for a quote, and quoted fields may hold delimiters and line ends. Rows end with LF, CRLF or CR; a byte-order mark
/// and empty lines are skipped. A column is whole numbers if all its values are, else numbers, else text, unless ``CSVOptions/types`` says otherwise.
public struct CSVTable: Sendable {
    /// The file, as it was named.
    public let path: String
    /// Names of the columns, in order; `0`, `1` … without a header.
    public let names: [String]
    /// The columns, in order.
    public let columns: [CSVColumn]
    /// Rows without the header.
    public let rowCount: Int

    /// Reads a file. Throws ``FileError`` if it cannot be read and ``CSVError``, which names the line, if a row has another number of fields
    /// than the first, a quote is not closed, a field is no UTF-8 or not of its column's type, a row is too long or a name comes twice.
    public init(_ path: String, options: CSVOptions = CSVOptions()) throws {
        let file = try MappedFile(path)
        try self.init(bytes: file.bytes, path: path, options: options)
    }

    /// The same from text in memory, which errors call `path`.
    public init(text: String, path: String = "text", options: CSVOptions = CSVOptions()) throws {
        var text = text
        self = try text.withUTF8 { try CSVTable(bytes: UnsafeRawBufferPointer($0), path: path, options: options) }
    }

    init(bytes: UnsafeRawBufferPointer, path: String, options: CSVOptions) throws {
        self.path = path
        var reader = CSVRows(bytes, path, options)
        var names: [String] = [], builders: [CSVColumnBuilder] = [], rows = 0
        let missing = Set(options.missing.map { Array($0.utf8) })
        while let line = try reader.next() {
            if builders.isEmpty {
                names = options.hasHeader ? try reader.fields.indices.map(reader.text) : reader.fields.indices.map(String.init)
                // By bytes: names that look alike may be different.
                var seen = Set<[UInt8]>()
                for name in names where !seen.insert(Array(name.utf8)).inserted {
                    throw CSVError(path, line, "the column \(name) is there twice")
                }
                builders = names.map { name in
                    CSVColumnBuilder(wanted: options.types.first { $0.key.utf8.elementsEqual(name.utf8) }?.value)
                }
                if let unknown = options.types.keys.first(where: { key in !names.contains { $0.utf8.elementsEqual(key.utf8) } }) {
                    throw CSVError(path, nil, "there is no column \(unknown) to have a type")
                }
                if options.hasHeader { continue }
            }
            if reader.fields.count != builders.count {
                throw CSVError(path, line, "\(reader.fields.count) fields in a table of \(builders.count) columns")
            }
            for column in builders.indices {
                let field = reader.fields[column]
                let isMissing = !field.isQuoted && missing.contains(reader.trimmed(column))
                if isMissing {
                    builders[column].appendMissing()
                } else if let problem = try builders[column].append(reader.text(column), isQuoted: field.isQuoted) {
                    throw CSVError(path, line, "column \(names[column]): \(problem)")
                }
            }
            rows += 1
        }
        if builders.isEmpty { throw CSVError(path, nil, "the file has no rows") }
        self.names = names
        columns = builders.map(\.column)
        rowCount = rows
    }

    /// The column of a name, compared by bytes; nil if there is none.
    public subscript(name: String) -> CSVColumn? {
        names.firstIndex { $0.utf8.elementsEqual(name.utf8) }.map { columns[$0] }
    }

    /// Columns side by side, `[rows, columns]`; all columns but text unless named. Missing numbers are NaN.
    ///
    /// Throws ``CSVError`` if a name is not there, a column is text, or a value is missing and `dtype` is no float.
    public func tensor(_ wanted: [String]? = nil, dtype: DType = .float32) throws -> Tensor {
        let chosen = try wanted.map { try $0.map { try find($0) } } ?? columns.indices.filter { columns[$0].type != .text }
        let series = try chosen.map { try numbers($0, dtype) }
        return Tensor(
            (0..<rowCount).flatMap { row in series.map { $0[row] } }, shape: [rowCount, chosen.count], dtype: .float64
        ).to(dtype)
    }

    /// A column of class numbers, `[rows]` int64. Throws ``CSVError`` naming the first row whose label is missing, no whole number or not in
    /// `0 ..< classes`.
    public func labels(_ name: String, classes: Int) throws -> Tensor {
        let values = try numbers(try find(name), .float64)
        for (row, value) in values.enumerated() where !(value >= 0 && value < Double(classes) && value == value.rounded()) {
            throw CSVError(path, nil, "row \(row): the label \(value) in column \(name) is not in 0 ..< \(classes)")
        }
        return Tensor(values.map { Int($0) }, shape: [rowCount])
    }

    private func find(_ name: String) throws -> Int {
        guard let index = names.firstIndex(where: { $0.utf8.elementsEqual(name.utf8) }) else {
            throw CSVError(path, nil, "there is no column \(name); there are \(names.prefix(20).joined(separator: ", "))")
        }
        return index
    }

    private func numbers(_ column: Int, _ dtype: DType) throws -> [Double] {
        let values: [Double?]
        switch columns[column] {
        case .integer(let whole): values = whole.map { $0.map(Double.init) }
        case .number(let numbers): values = numbers
        case .text: throw CSVError(path, nil, "column \(names[column]) is text")
        }
        if !dtype.isFloatingPoint, let row = values.firstIndex(where: { $0.map { !$0.isFinite } ?? true }) {
            throw CSVError(path, nil, "row \(row) has no value in column \(names[column]), which \(dtype) cannot say")
        }
        return values.map { $0 ?? .nan }
    }
}
