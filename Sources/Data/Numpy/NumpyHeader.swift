import CoreTensor

/// Why a `.npy` or `.npz` file was refused.
public struct NumpyError: Error, CustomStringConvertible, Equatable {
    /// What was wrong.
    public let reason: String
    /// The file, where one is known.
    public internal(set) var path: String?
    /// The path and the reason as a whole sentence.
    public var description: String { (path.map { "\($0): " } ?? "") + "not a readable NumPy file: \(reason)" }
    init(_ reason: String, path: String? = nil) {
        self.reason = reason
        self.path = path
    }
}

/// The header of an `.npy` array (format versions 1 to 3), checked against the bytes that are there.
struct NumpyHeader {
    /// The kinds of elements that can be read.
    enum Kind: Equatable {
        case plain(DType)
        /// Integers that tensors lack: widened, `isSigned`, bytes.
        case integer(isSigned: Bool, byteCount: Int)

        var byteCount: Int {
            switch self {
            case .plain(let dtype): dtype.byteCount
            case .integer(_, let count): count
            }
        }
    }

    let kind: Kind
    let isBigEndian: Bool
    let isFortran: Bool
    let shape: [Int]
    let count: Int
    let dataStart: Int

    /// Reads the header at the beginning of an array of `total` bytes, of which at least the header must be in `bytes`.
    init(_ bytes: UnsafeRawBufferPointer, total: Int? = nil) throws {
        let total = total ?? bytes.count
        guard bytes.count >= 10, bytes.prefix(6).elementsEqual([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) else {
            throw NumpyError("it does not start with \\x93NUMPY")
        }
        let version = bytes[6]
        guard (1...3).contains(version), bytes[7] == 0 else {
            throw NumpyError("version \(version).\(bytes[7]) is not known here")
        }
        let start = version == 1 ? 10 : 12
        guard bytes.count >= start else { throw NumpyError("it ends in its header") }
        let length =
            version == 1
            ? Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self).littleEndian)
            : Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).littleEndian)
        guard length <= bytes.count - start else { throw NumpyError("a header of \(length) bytes in a file of \(bytes.count)") }
        if length > 1 << 20 { throw NumpyError("a header of \(length) bytes") }
        dataStart = start + length
        var reader = PythonLiteral(UnsafeRawBufferPointer(rebasing: bytes[start..<dataStart]))
        let fields = try reader.header()
        (kind, isBigEndian) = try Self.kind(fields.descr)
        isFortran = fields.fortran
        shape = fields.shape
        guard let count = checkedCount(shape) else { throw NumpyError("an overflowing shape \(shape)") }
        self.count = count
        let (size, overflow) = count.multipliedReportingOverflow(by: kind.byteCount)
        if overflow || size > total - dataStart {
            throw NumpyError("shape \(shape) needs \(overflow ? "too many" : "\(size)") bytes; there are \(total - dataStart)")
        }
    }

    private static func kind(_ descr: String) throws -> (Kind, Bool) {
        let text = Array(descr.utf8)
        guard text.count >= 3, let size = Int(String(decoding: text[2...], as: UTF8.self)) else {
            throw NumpyError("elements of the type \(descr.debugDescription.prefix(60))")
        }
        let isBig = text[0] == UInt8(ascii: ">")
        let kind: Kind?
        switch (text[1], size) {
        case (UInt8(ascii: "f"), 2): kind = .plain(.float16)
        case (UInt8(ascii: "f"), 4): kind = .plain(.float32)
        case (UInt8(ascii: "f"), 8): kind = .plain(.float64)
        case (UInt8(ascii: "i"), 1): kind = .plain(.int8)
        case (UInt8(ascii: "i"), 2): kind = .integer(isSigned: true, byteCount: 2)
        case (UInt8(ascii: "i"), 4): kind = .plain(.int32)
        case (UInt8(ascii: "i"), 8): kind = .plain(.int64)
        case (UInt8(ascii: "u"), 1): kind = .plain(.uint8)
        case (UInt8(ascii: "u"), 2), (UInt8(ascii: "u"), 4), (UInt8(ascii: "u"), 8):
            kind = .integer(isSigned: false, byteCount: size)
        case (UInt8(ascii: "b"), 1): kind = .plain(.bool)
        case (UInt8(ascii: "c"), 8): kind = .plain(.complex64)
        case (UInt8(ascii: "c"), 16): kind = .plain(.complex128)
        // bfloat16 of ml_dtypes is saved as two bytes without a meaning.
        default: kind = nil
        }
        guard let kind, [UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "|"), UInt8(ascii: "=")].contains(text[0]) else {
            throw NumpyError(
                text[1] == UInt8(ascii: "O")
                    ? "Python objects, which only running a pickle could make"
                    : "elements of the type \(descr.debugDescription.prefix(60))")
        }
        return (kind, isBig)
    }
}

/// The literal of Python that a header is: a dictionary with exactly three names.
private struct PythonLiteral {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 9, 10, 13].contains(bytes[position]) { position += 1 }
    }

    private mutating func next(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        if !next(character) { throw NumpyError("expected \(character) at byte \(position) of the header") }
    }

    private mutating func word(_ word: String) -> Bool {
        skipSpace()
        let end = position + word.utf8.count
        guard end <= bytes.count, bytes[position..<end].elementsEqual(word.utf8) else { return false }
        position = end
        return true
    }

    /// A string without escapes, in either kind of quotes.
    private mutating func string() throws -> String {
        skipSpace()
        guard position < bytes.count, case let quote = bytes[position], quote == 0x22 || quote == 0x27 else {
            if position < bytes.count, bytes[position] == UInt8(ascii: "[") { throw NumpyError("elements of a structured type") }
            throw NumpyError("expected a string at byte \(position) of the header")
        }
        let start = position + 1
        position += 1
        while position < bytes.count, bytes[position] != quote, bytes[position] != 0x5C { position += 1 }
        guard position < bytes.count, bytes[position] == quote,
            let text = String(validating: bytes[start..<position], as: UTF8.self)
        else { throw NumpyError("a string at byte \(start) of the header has no end") }
        position += 1
        return text
    }

    private mutating func shape() throws -> [Int] {
        try expect("(")
        var sizes: [Int] = []
        while !next(")") {
            if sizes.count >= 64 { throw NumpyError("more than 64 dimensions") }
            skipSpace()
            let start = position
            var value = 0
            while position < bytes.count, case let digit = bytes[position], (0x30...0x39).contains(digit) {
                let (tens, over) = value.multipliedReportingOverflow(by: 10)
                let (sum, more) = tens.addingReportingOverflow(Int(digit - 0x30))
                if over || more { throw NumpyError("a size that is too large") }
                value = sum
                position += 1
            }
            if position == start { throw NumpyError("expected a size at byte \(start) of the header") }
            // Python 2's long integers.
            _ = word("L")
            sizes.append(value)
            if next(",") { continue }
            // (3) is a number, not a tuple.
            if sizes.count == 1 { throw NumpyError("the shape is no tuple") }
            try expect(")")
            break
        }
        return sizes
    }

    mutating func header() throws -> (descr: String, fortran: Bool, shape: [Int]) {
        var descr: String?
        var fortran: Bool?
        var sizes: [Int]?
        try expect("{")
        while !next("}") {
            let key = try string()
            try expect(":")
            switch key {
            case "descr" where descr == nil: descr = try string()
            case "fortran_order" where fortran == nil:
                if word("True") {
                    fortran = true
                } else if word("False") {
                    fortran = false
                } else {
                    throw NumpyError("fortran_order is neither True nor False")
                }
            case "shape" where sizes == nil: sizes = try shape()
            default: throw NumpyError("the header has \(key.debugDescription.prefix(60)), or has it twice")
            }
            if next(",") { continue }
            try expect("}")
            break
        }
        skipSpace()
        if position != bytes.count { throw NumpyError("something follows the header's dictionary") }
        guard let descr, let fortran, let sizes else { throw NumpyError("the header lacks descr, fortran_order or shape") }
        return (descr, fortran, sizes)
    }
}
