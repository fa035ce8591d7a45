import CZlib

/// What is wrong with a gzip file, in a sentence.
struct GunzipError: Error { let reason: String }

/// The content of gzip data (RFC 1952), several members included. Throws ``GunzipError`` on data that is damaged or cut off, or gives more than
/// `limit` bytes: then nothing more is expanded. The checksums of all members are verified. With `prefix`, stops as soon as there are that many bytes.
func gunzipped(_ bytes: UnsafeRawBufferPointer, limit: Int, prefix: Int = .max) throws -> [UInt8] {
    var stream = z_stream()
    // 15 bits of window, gzip's header and trailer.
    if inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) != Z_OK {
        throw GunzipError(reason: "zlib cannot start")
    }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = [], done = 0
    let chunk = 1 << 18
    var buffer = [UInt8](repeating: 0, count: chunk)
    while true {
        let available = min(bytes.count - done, 1 << 30)
        stream.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + done)
        stream.avail_in = UInt32(available)
        let code = buffer.withUnsafeMutableBufferPointer { place in
            stream.next_out = place.baseAddress!
            stream.avail_out = UInt32(chunk)
            return inflate(&stream, Z_NO_FLUSH)
        }
        let produced = chunk - Int(stream.avail_out)
        done += available - Int(stream.avail_in)
        if output.count + produced > limit { throw GunzipError(reason: "the content is longer than the \(limit) bytes expected") }
        output += buffer[..<produced]
        if output.count >= prefix { return output }
        switch code {
        case Z_STREAM_END:
            if done == bytes.count { return output }
            // Another member, or rubbish, which inflate refuses.
            inflateReset(&stream)
        case Z_OK: break
        case Z_BUF_ERROR: throw GunzipError(reason: "the compressed data is cut off")
        default: throw GunzipError(reason: "the compressed data is damaged")
        }
    }
}
