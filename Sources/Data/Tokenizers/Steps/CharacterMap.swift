import Foundation

/// SentencePiece's compiled table of replacements (`precompiled_charsmap`): a double-array trie (Darts) from character sequences to
/// offsets in a list of replacements, each ended by a NUL.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// The bytes of the table: the trie's length, the trie, the replacements.
    init(_ bytes: [UInt8]) throws {
        let broken = TokenizerError("the normalizer's precompiled_charsmap is broken")
        guard bytes.count >= 4 else { throw broken }
        let length = bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt32.self).littleEndian) }
        guard length % 4 == 0, length <= bytes.count - 4 else { throw broken }
        units = bytes.withUnsafeBytes { raw in
            (0..<(length / 4)).map { raw.loadUnaligned(fromByteOffset: 4 + 4 * $0, as: UInt32.self).littleEndian }
        }
        replacements = Array(bytes[(4 + length)...])
        guard String(validating: replacements, as: UTF8.self) != nil else { throw broken }
    }

    /// The table as `tokenizer.json` has it.
    init(base64 text: String) throws {
        guard let data = Data(base64Encoded: text) else { throw TokenizerError("precompiled_charsmap is not base64") }
        try self.init(Array(data))
    }

    /// The replacement of the shortest prefix of `bytes` that has one.
    private func replacement(_ bytes: UnsafeRawBufferPointer) -> ArraySlice<UInt8>? {
        var node = 0
        guard !units.isEmpty else { return nil }
        var unit = units[0]
        node ^= Self.offset(unit)
        for byte in bytes {
            if byte == 0 { return nil }
            node ^= Int(byte)
            guard units.indices.contains(node) else { return nil }
            unit = units[node]
            if unit & (1 << 31 | 0xFF) != UInt32(byte) { return nil }
            node ^= Self.offset(unit)
            guard units.indices.contains(node) else { return nil }
            if unit >> 8 & 1 == 1 {
                let start = Int(units[node] & 0x7FFF_FFFF)
                guard start <= replacements.count else { return nil }
                return replacements[start...].prefix { $0 != 0 }
            }
        }
        return nil
    }

    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & (1 << 9)) >> 6)) }

    /// The longest match at each place is replaced, as SentencePiece does it.
    func applyLongest(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        text.withUnsafeBytes { bytes in
            var i = 0
            while i < bytes.count {
                if let (length, replacement) = longest(UnsafeRawBufferPointer(rebasing: bytes[i...])) {
                    result += replacement
                    i += length
                } else {
                    let length = UTF8Scalar.length(bytes[i])
                    result += bytes[i..<(i + length)]
                    i += length
                }
            }
        }
        return result
    }

    private func longest(_ bytes: UnsafeRawBufferPointer) -> (Int, ArraySlice<UInt8>)? {
        guard !units.isEmpty else { return nil }
        var node = Self.offset(units[0])
        var found: (Int, ArraySlice<UInt8>)?
        for (i, byte) in bytes.enumerated() {
            if byte == 0 { break }
            node ^= Int(byte)
            guard units.indices.contains(node) else { break }
            let unit = units[node]
            if unit & (1 << 31 | 0xFF) != UInt32(byte) { break }
            node ^= Self.offset(unit)
            guard units.indices.contains(node) else { break }
            // Only whole characters are replaced.
            if unit >> 8 & 1 == 1, i + 1 == bytes.count || bytes[i + 1] & 0xC0 != 0x80 {
                let start = Int(units[node] & 0x7FFF_FFFF)
                guard start <= replacements.count else { break }
                found = (i + 1, replacements[start...].prefix { $0 != 0 })
            }
        }
        return found
    }

    /// Hugging Face's way: a grapheme cluster below six bytes is replaced as a whole, otherwise each of its scalars.
    func apply(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for character in String(decoding: text, as: UTF8.self) {
            let utf8 = Array(character.utf8)
            utf8.withUnsafeBytes { bytes in
                if bytes.count < 6, let whole = replacement(bytes) {
                    result += whole
                    return
                }
                UTF8Scalar.forEach(bytes) { _, range in
                    let scalar = UnsafeRawBufferPointer(rebasing: bytes[range])
                    if let one = replacement(scalar) { result += one } else { result += scalar }
                }
            }
        }
        return result
    }
}
