import CZlib

/// Decompression by zlib, with a bound on what may come out.
enum Inflate {
    /// What the compressed bytes are wrapped in.
    enum Wrapping {
        /// Nothing, as in zip files.
        case raw
        /// gzip's header and checksum.
        case gzip
    }

    struct Failure: Error { let reason: String }

    /// The content of a compressed run of bytes, or of its beginning. Memory grows with what really comes out, never beyond `limit`: what
    /// is longer is an error, or cut off if only a prefix is wanted.
    static func bytes(_ source: UnsafeRawBufferPointer, _ wrapping: Wrapping, limit: Int, isPrefix: Bool = false) throws
        -> [UInt8]
    {
        var stream = z_stream()
        let windowBits: Int32 = wrapping == .raw ? -15 : 31
        guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw Failure(reason: "zlib does not start")
        }
        defer { inflateEnd(&stream) }
        var result: [UInt8] = []
        // Deflate makes at most 1032 bytes of one.
        result.reserveCapacity(min(limit, source.count * 4, 1 << 24))
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        var position = 0
        while true {
            if stream.avail_in == 0 {
                let count = min(source.count - position, 1 << 30)
                stream.next_in = UnsafeMutableRawPointer(mutating: source.baseAddress.map { $0 + position })?.assumingMemoryBound(
                    to: UInt8.self)
                stream.avail_in = UInt32(count)
                position += count
            }
            let (status, made) = piece.withUnsafeMutableBufferPointer { piece -> (Int32, Int) in
                stream.next_out = piece.baseAddress
                stream.avail_out = UInt32(piece.count)
                let status = inflate(&stream, Z_NO_FLUSH)
                return (status, piece.count - Int(stream.avail_out))
            }
            if isPrefix, made >= limit - result.count { return result + piece[..<(limit - result.count)] }
            if made > limit - result.count { throw Failure(reason: "more than \(limit) bytes come out") }
            result += piece[..<made]
            switch status {
            case Z_STREAM_END:
                // A gzip file may have several members.
                let rest = Int(stream.avail_in) + source.count - position
                guard wrapping == .gzip, rest > 0 else { return result }
                if inflateReset(&stream) != Z_OK { throw Failure(reason: "zlib does not go on") }
            case Z_OK, Z_BUF_ERROR:
                if made == 0 && stream.avail_in == 0 && position == source.count {
                    throw Failure(reason: "the compressed data are cut off")
                }
            default:
                throw Failure(reason: stream.msg.map { String(cString: $0) } ?? "the compressed data are damaged")
            }
        }
    }

    /// CRC-32, as in zip and gzip files.
    static func crc32(_ bytes: UnsafeRawBufferPointer, _ start: UInt32 = 0) -> UInt32 {
        var crc = UInt(start)
        var position = 0
        while position < bytes.count {
            let count = min(bytes.count - position, 1 << 30)
            crc = CZlib.crc32(crc, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + position, UInt32(count))
            position += count
        }
        return UInt32(crc)
    }
}

/// The content of a gzip file (`.gz`), at most `limit` bytes. Throws ``FileError`` if it cannot be read, is damaged or holds more.
public func readGzip(_ path: String, limit: Int = 1 << 32) throws -> [UInt8] {
    let file = try MappedFile(path)
    return try withExtendedLifetime(file) {
        do { return try Inflate.bytes(file.bytes, .gzip, limit: limit) } catch let error as Inflate.Failure {
            throw FileError(path, "no readable gzip file: \(error.reason)")
        }
    }
}
