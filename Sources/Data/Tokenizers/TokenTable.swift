/// A hash of bytes, other in every process, so that no file can be made whose names all collide.
@inline(__always) func hashBytes(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash = hashSeed ^ UInt64(truncatingIfNeeded: bytes.count)
    var i = 0
    while i + 8 <= bytes.count {
        hash = mixed(hash ^ bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
        i += 8
    }
    var tail: UInt64 = 0
    while i < bytes.count {
        tail = tail << 8 | UInt64(bytes[i])
        i += 1
    }
    return mixed(hash ^ tail)
}

@inline(__always) private func mixed(_ x: UInt64) -> UInt64 {
    let product = x.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return product.high ^ product.low
}

private let hashSeed = UInt64.random(in: .min ... .max)

/// Tokens by their bytes and by id. Never by `String`, which calls canonically equivalent spellings equal.
final class TokenTable: @unchecked Sendable {
    /// All tokens' bytes, one after the other.
    private let blob: UnsafeMutableRawBufferPointer
    private let offsets: UnsafeMutableBufferPointer<Int32>
    private let ids: UnsafeMutableBufferPointer<Int32>
    /// Position in the list by id; -1 where no token has the id.
    private let positions: UnsafeMutableBufferPointer<Int32>
    /// Open addressing: position in the list, or -1.
    private let slots: UnsafeMutableBufferPointer<Int32>
    /// How many tokens there are.
    let count: Int
    /// Bytes of the longest token.
    let longest: Int
    /// One more than the largest id.
    var idEnd: Int { positions.count }

    /// Tokens with their ids. Throws on an id that comes twice, and on ids that are negative or far above the count; on a token that
    /// comes twice too, unless `allowsCopies`: then its last id counts, as in lists of pieces that training left such in.
    init(_ tokens: [(token: String, id: Int)], allowsCopies: Bool = false) throws {
        var total = 0, longest = 0, idEnd = 0
        for (token, id) in tokens {
            // A vocabulary has few gaps, and memory goes by the largest id.
            if id < 0 || id > 2 * tokens.count + 1_000_000 {
                throw TokenizerError("the vocabulary gives \(token.debugDescription.prefix(80)) the id \(id)")
            }
            total += token.utf8.count
            longest = max(longest, token.utf8.count)
            idEnd = max(idEnd, id + 1)
        }
        if total > Int(Int32.max) { throw TokenizerError("the vocabulary has \(total) bytes") }
        count = tokens.count
        self.longest = longest
        blob = .allocate(byteCount: max(total, 1), alignment: 8)
        offsets = .allocate(capacity: tokens.count + 1)
        ids = .allocate(capacity: max(tokens.count, 1))
        positions = .allocate(capacity: idEnd)
        var slotCount = 16
        while slotCount < tokens.count * 2 { slotCount *= 2 }
        slots = .allocate(capacity: slotCount)
        positions.initialize(repeating: -1)
        slots.initialize(repeating: -1)
        offsets[0] = 0
        for (position, (token, id)) in tokens.enumerated() {
            var token = token
            let start = Int(offsets[position])
            token.withUTF8 {
                if $0.count > 0 { (blob.baseAddress! + start).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            }
            offsets[position + 1] = Int32(start + token.utf8.count)
            ids[position] = Int32(id)
            if positions[id] >= 0 { throw TokenizerError("the vocabulary gives the id \(id) twice") }
            positions[id] = Int32(position)
            let slot = slot(of: bytes(at: position))
            if slots[slot] >= 0 && !allowsCopies {
                throw TokenizerError("the vocabulary has \(token.debugDescription.prefix(80)) twice")
            }
            slots[slot] = Int32(position)
        }
    }

    deinit {
        blob.deallocate()
        offsets.deallocate()
        ids.deallocate()
        positions.deallocate()
        slots.deallocate()
    }

    @inline(__always) private func bytes(at position: Int) -> UnsafeRawBufferPointer {
        let start = Int(offsets[position])
        return UnsafeRawBufferPointer(start: blob.baseAddress! + start, count: Int(offsets[position + 1]) - start)
    }

    /// Where the bytes are, or where they would be put.
    @inline(__always) private func slot(of bytes: UnsafeRawBufferPointer) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hashBytes(bytes)) & mask
        while true {
            let position = slots[slot]
            if position < 0 || equalBytes(self.bytes(at: Int(position)), bytes) { return slot }
            slot = (slot + 1) & mask
        }
    }

    /// The id of a token; -1 if there is none.
    @inline(__always) func id(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        let position = slots[slot(of: bytes)]
        return position < 0 ? -1 : ids[Int(position)]
    }

    /// The id of a token; nil if there is none.
    func id(_ token: String) -> Int? {
        var token = token
        let found = token.withUTF8 { self.id(UnsafeRawBufferPointer($0)) }
        return found < 0 ? nil : Int(found)
    }

    /// The bytes of the token with an id, valid as long as the table lives; nil if no token has it.
    func bytes(_ id: Int) -> UnsafeRawBufferPointer? {
        guard positions.indices.contains(id), positions[id] >= 0 else { return nil }
        return bytes(at: Int(positions[id]))
    }

    /// The token with an id.
    func token(_ id: Int) -> String? {
        guard let bytes: UnsafeRawBufferPointer = bytes(id) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Tokens and ids, in the order given.
    var all: [(token: String, id: Int)] {
        (0..<count).map { (String(decoding: bytes(at: $0), as: UTF8.self), Int(ids[$0])) }
    }
}

@inline(__always) func equalBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    if a.count != b.count { return false }
    for i in 0..<a.count where a[i] != b[i] { return false }
    return true
}
