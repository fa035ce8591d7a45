#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A regular file mapped into memory, read-only. Pages are read when they are touched.
public final class MappedFile: @unchecked Sendable {
    /// The file's path, as it was named.
    public let path: String
    /// The whole content, valid as long as this object lives.
    public let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Maps the file. Throws ``FileError`` if it cannot be read, is empty or is no regular file.
    public init(_ path: String) throws {
        self.path = path
        // Not blocking: opening a FIFO must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 { throw FileError(path, doing: "read") }
        defer { close(descriptor) }
        var info = stat()
        if fstat(descriptor, &info) != 0 { throw FileError(path, doing: "read") }
        if info.st_mode & S_IFMT != S_IFREG { throw FileError(path, "not a regular file") }
        if info.st_size <= 0 { throw FileError(path, "the file is empty") }
        guard let base = mmap(nil, Int(info.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw FileError(path, doing: "map")
        }
        bytes = UnsafeRawBufferPointer(start: base, count: Int(info.st_size))
        isMapped = true
    }

    /// A copy of bytes in memory in their exact size, in place of a file: what the fuzzers read, so that no byte beyond goes unnoticed.
    init(copying source: UnsafeRawBufferPointer) throws {
        path = "memory"
        if source.isEmpty { throw FileError(path, "the file is empty") }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 16)
        copy.copyMemory(from: source)
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
    }

    deinit {
        if isMapped { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) } else { bytes.deallocate() }
    }
}
