/// The alphabet of byte-level tokenizers (GPT-2): every byte as a visible character, so that vocabularies are text. Printable
/// Latin-1 stands for itself, the rest are the scalars from U+0100 on.
enum ByteAlphabet {
    /// The scalar of every byte.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte -> UInt32 in
            let stands = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            if stands { return UInt32(byte) }
            defer { next += 1 }
            return next
        }
    }()

    /// UTF-8 of every byte's character: first and second byte, 0 if there is none.
    private static let utf8: [(UInt8, UInt8)] = scalars.map { value in
        value < 0x80 ? (UInt8(value), 0) : (UInt8(0xC0 | value >> 6), UInt8(0x80 | value & 0x3F))
    }

    /// The byte by scalar; 256 where there is none. All scalars are below 0x144.
    private static let bytes: [UInt16] = {
        var bytes = [UInt16](repeating: 256, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = UInt16(byte) }
        return bytes
    }()

    /// Adds the characters of bytes.
    static func encode(_ source: UnsafeRawBufferPointer, into text: inout [UInt8]) {
        utf8.withUnsafeBufferPointer { utf8 in
            for byte in source {
                let (first, second) = utf8[Int(byte)]
                text.append(first)
                if second != 0 { text.append(second) }
            }
        }
    }

    /// Adds the bytes that a text of this alphabet stands for; answers false, with nothing added, if it has another character.
    static func decode(_ text: UnsafeRawBufferPointer, into result: inout [UInt8]) -> Bool {
        let count = result.count
        var i = 0
        while i < text.count {
            let (value, length) = UTF8Scalar.at(text, i)
            guard value < 0x144, bytes[Int(value)] < 256 else {
                result.removeLast(result.count - count)
                return false
            }
            result.append(UInt8(bytes[Int(value)]))
            i += length
        }
        return true
    }
}
